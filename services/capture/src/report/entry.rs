//! The entry in KV that tells how a task is, written by the holder of its lease only.
//!
//! A process that was paused and wakes does not know yet that another holds the lease. What it would
//! tell is no longer so, and would stand there as long as the other has no news. So a write names the
//! revision that it replaces; where that is not the present one, the lease is looked at first.

use bytes::Bytes;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::TaskId;
use rowcast_service::BoxError;

/// How often a write is tried before which another has come.
const ATTEMPTS: u32 = 3;

/// Where one task's status is written.
#[derive(Debug)]
pub(super) struct StatusEntry {
    statuses: kv::Store,
    leases: kv::Store,
    task: TaskId,
    holder: String,
    /// Of the last write; `None` where its outcome is not known.
    revision: Option<u64>,
}

impl StatusEntry {
    /// `holder` is what the lease of this process says.
    pub(super) const fn new(
        statuses: kv::Store,
        leases: kv::Store,
        task: TaskId,
        holder: String,
    ) -> Self {
        Self {
            statuses,
            leases,
            task,
            holder,
            revision: None,
        }
    }

    /// Replaces the status.
    ///
    /// # Errors
    /// Where the broker does not answer, or another process holds the lease.
    pub(super) async fn write(&mut self, status: Bytes) -> Result<(), BoxError> {
        let key = self.task.as_str();
        let mut known = self.revision.take();
        for _attempt in 0..ATTEMPTS {
            let revision = match known.take() {
                Some(revision) => revision,
                None => self.present().await?,
            };
            match self.statuses.update(key, status.clone(), revision).await {
                Ok(revision) => {
                    self.revision = Some(revision);
                    return Ok(());
                }
                // Another has written, or a write of ours that was cut off has come late.
                Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err("others write it at the same time".into())
    }

    /// The revision that is to be replaced. It is read before the lease: a later holder that has written
    /// in between is not overwritten, and one that has not yet will overwrite.
    async fn present(&self) -> Result<u64, BoxError> {
        let key = self.task.as_str();
        let entry = self.statuses.entry(key).await?;
        let lease = self.leases.get(key).await?;
        if lease.is_none_or(|holder| holder != self.holder.as_bytes()) {
            return Err("another process holds the lease".into());
        }
        Ok(entry.map_or(0, |entry| entry.revision))
    }
}
