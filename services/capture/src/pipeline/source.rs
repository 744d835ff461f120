//! Stage 1: the replication stream, and the confirmations back to PostgreSQL.
//!
//! Confirmations run in a task of their own, so that no slow publish can keep them until
//! `wal_sender_timeout` cuts the connection. What may be confirmed is written to the checkpoint
//! first: a slot found ahead of it was moved by someone else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rowcast_domain::Lsn;
use rowcast_pg::replication::{FrameReader, Status, StatusWriter};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::progress::Durable;
use crate::checkpoint::Checkpoints;
use crate::error::Error;

/// How often something new is confirmed: PostgreSQL may then remove WAL, and every confirmation
/// costs a write of the checkpoint.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);

/// Longest silence towards PostgreSQL; also never more than a third of its own time-out.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// What the pipeline tells the confirmations.
#[derive(Debug)]
pub(crate) struct Received {
    /// End of what was received.
    lsn: AtomicU64,
    /// The server wants an answer now.
    reply: Notify,
}

impl Received {
    pub(crate) fn new(lsn: Lsn) -> Arc<Self> {
        Arc::new(Self {
            lsn: AtomicU64::new(lsn.as_u64()),
            reply: Notify::new(),
        })
    }

    /// Everything up to `lsn` has arrived.
    pub(crate) fn advance(&self, lsn: Lsn) {
        self.lsn.fetch_max(lsn.as_u64(), Ordering::Relaxed);
    }

    /// End of what has arrived.
    pub(crate) fn lsn(&self) -> Lsn {
        Lsn::new(self.lsn.load(Ordering::Relaxed))
    }

    /// The server asked for an answer.
    pub(crate) fn reply_now(&self) {
        self.reply.notify_one();
    }
}

/// What is told of a running task.
pub(crate) struct Watched {
    /// What is in the stream.
    pub(crate) durable: watch::Receiver<Durable>,
    /// What PostgreSQL was told.
    pub(crate) confirmed: watch::Receiver<Lsn>,
    /// What has arrived.
    pub(crate) received: Arc<Received>,
}

/// The receiving half.
pub(crate) struct Source {
    /// Frames.
    pub(crate) frames: FrameReader,
    /// Shared with the confirmations.
    pub(crate) received: Arc<Received>,
}

/// The confirming half.
pub(crate) struct Confirmer {
    writer: StatusWriter,
    checkpoints: Checkpoints,
    received: Arc<Received>,
    durable: watch::Receiver<Durable>,
    confirmed: watch::Sender<Lsn>,
    silence: Duration,
}

impl Confirmer {
    /// `server_timeout` is the server's `wal_sender_timeout`.
    pub(crate) fn new(
        writer: StatusWriter,
        checkpoints: Checkpoints,
        watched: &Watched,
        confirmed: watch::Sender<Lsn>,
        server_timeout: Option<Duration>,
    ) -> Self {
        let silence =
            server_timeout.map_or(LONGEST_SILENCE, |limit| LONGEST_SILENCE.min(limit / 3));
        Self {
            writer,
            checkpoints,
            received: Arc::clone(&watched.received),
            durable: watched.durable.clone(),
            confirmed,
            silence,
        }
    }

    /// Confirms until the pipeline ends, then once more and says goodbye.
    ///
    /// # Errors
    /// Where the source does not take the status.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut timer = tokio::time::interval(CONFIRM_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent_at = Instant::now();
        // At once: the server measures its time-out from the last word it heard.
        self.send().await?;
        loop {
            let ended = tokio::select! {
                _ = timer.tick() => self.durable.has_changed().is_err(),
                () = self.received.reply.notified() => {
                    self.send().await?;
                    sent_at = Instant::now();
                    continue;
                }
            };
            let advanced = self.durable.borrow().lsn > *self.confirmed.borrow();
            let news = advanced && self.keep_checkpoint(sent_at).await?;
            if news || sent_at.elapsed() >= self.silence {
                self.send().await?;
                sent_at = Instant::now();
            }
            if ended {
                self.writer.finish().await;
                return Ok(());
            }
        }
    }

    /// Writes the checkpoint; meanwhile the server goes on hearing from us. Tells whether it is
    /// written: without it nothing new is confirmed.
    async fn keep_checkpoint(&mut self, mut sent_at: Instant) -> Result<bool, Error> {
        let durable = *self.durable.borrow_and_update();
        let checkpoints = self.checkpoints.clone();
        let write = checkpoints.write(durable);
        tokio::pin!(write);
        loop {
            let silence_ends = sent_at + self.silence;
            tokio::select! {
                written = &mut write => {
                    return Ok(match written {
                        Ok(()) => {
                            self.confirmed.send_replace(durable.lsn);
                            true
                        }
                        Err(error) => {
                            tracing::warn!(%error, "checkpoint not written, nothing is confirmed");
                            false
                        }
                    });
                }
                () = self.received.reply.notified() => {}
                () = tokio::time::sleep_until(silence_ends) => {}
            }
            self.send().await?;
            sent_at = Instant::now();
        }
    }

    async fn send(&mut self) -> Result<(), Error> {
        let flushed = *self.confirmed.borrow();
        let written = self.received.lsn().max(flushed);
        let status = Status {
            written,
            flushed,
            applied: flushed,
            reply_requested: false,
        };
        Ok(self.writer.send(status).await?)
    }
}
