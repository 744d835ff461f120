//! Leases in a KV bucket: which process tries. Safety never rests on them.
//!
//! A lease is an entry that only one process could create and that vanishes unless it is written
//! again. The broker's clock decides when, so a holder that was paused may not know that it lost the
//! lease; what it does is fenced elsewhere (the slot has one reader, the stream expects a sequence).

use std::time::Duration;

use async_nats::jetstream::kv;
use async_nats::jetstream::kv::{CreateErrorKind, UpdateErrorKind};
use bytes::Bytes;
use rowcast_proto::stream::LEASE_TTL;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{BoxError, beat};

/// How often a lease is renewed.
const RENEW_EVERY: Duration = Duration::from_millis(LEASE_TTL.as_secs() * 1000 / 4);

/// A holder gives up this long after its last renewal: before the entry can vanish.
const GIVE_UP_AFTER: Duration = Duration::from_millis(LEASE_TTL.as_secs() * 1000 * 7 / 10);

/// How long a renewal waits for its answer before it is asked again: twice before the holder gives up.
const ANSWER_WITHIN: Duration = Duration::from_millis(LEASE_TTL.as_secs() * 1000 / 5);

/// A lease that this process holds.
#[derive(Debug)]
pub struct Lease {
    store: kv::Store,
    key: String,
    holder: Bytes,
    revision: u64,
    renewed_at: Instant,
    /// The answer to the last renewal has not come: it may have been stored.
    in_doubt: bool,
}

impl Lease {
    /// Takes the lease if nobody has it.
    ///
    /// # Errors
    /// Where the bucket does not answer.
    pub async fn take(
        store: &kv::Store,
        key: &str,
        holder: &str,
    ) -> Result<Option<Self>, BoxError> {
        let holder = Bytes::from(holder.to_owned());
        let renewed_at = Instant::now();
        match store.create(key, holder.clone()).await {
            Ok(revision) => Ok(Some(Self {
                store: store.clone(),
                key: key.to_owned(),
                holder,
                revision,
                renewed_at,
                in_doubt: false,
            })),
            Err(error) => match error.kind() {
                CreateErrorKind::AlreadyExists => Ok(None),
                CreateErrorKind::InvalidKey
                | CreateErrorKind::Publish
                | CreateErrorKind::Ack
                | CreateErrorKind::Other => Err(error.into()),
            },
        }
    }

    /// Rises with every holder: the epoch of what is done under this lease.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.revision
    }

    /// Keeps the lease until `stop` is cancelled, then gives it back; returns early where it is lost.
    ///
    /// # Errors
    /// The loss, with its reason.
    pub async fn keep(mut self, stop: CancellationToken) -> Result<(), BoxError> {
        let mut timer = beat::every(RENEW_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return self.give_back().await,
                _ = timer.tick() => self.renew().await?,
            }
        }
    }

    async fn renew(&mut self) -> Result<(), BoxError> {
        let give_up_at = self.renewed_at + GIVE_UP_AFTER;
        let asked_at = Instant::now();
        // One answer that is lost on its way must not cost the lease: there is time for another question.
        let answer_by = give_up_at.min(asked_at + ANSWER_WITHIN);
        let update = async {
            if self.in_doubt
                && let Ok(Some(entry)) = self.store.entry(&self.key).await
                && entry.value == self.holder
            {
                self.revision = entry.revision;
            }
            let value = self.holder.clone();
            self.store.update(&self.key, value, self.revision).await
        };
        match tokio::time::timeout_at(answer_by, update).await {
            Ok(Ok(revision)) => {
                self.revision = revision;
                self.renewed_at = asked_at;
                self.in_doubt = false;
                Ok(())
            }
            Ok(Err(error)) => match error.kind() {
                UpdateErrorKind::WrongLastRevision => {
                    Err("the lease was taken by another process".into())
                }
                UpdateErrorKind::InvalidKey
                | UpdateErrorKind::TimedOut
                | UpdateErrorKind::Other => {
                    if Instant::now() >= give_up_at {
                        return Err(error.into());
                    }
                    self.in_doubt = true;
                    tracing::warn!(key = self.key, %error, "lease not renewed, trying again");
                    Ok(())
                }
            },
            Err(_elapsed) if Instant::now() < give_up_at => {
                self.in_doubt = true;
                tracing::warn!(key = self.key, "no answer to the renewal of the lease");
                Ok(())
            }
            Err(_elapsed) => Err("the lease could not be renewed in time".into()),
        }
    }

    async fn give_back(self) -> Result<(), BoxError> {
        // Only if it is still ours: the next holder's entry must stay.
        let deletion = self
            .store
            .delete_expect_revision(&self.key, Some(self.revision));
        tokio::time::timeout(RENEW_EVERY, deletion).await??;
        Ok(())
    }
}
