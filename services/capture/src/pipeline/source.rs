//! Stage 1: the replication stream, and the confirmations back to PostgreSQL.
//!
//! Confirmations run in a task of their own, so that no slow publish can keep them until
//! `wal_sender_timeout` cuts the connection. What may be confirmed is written to the checkpoint
//! first: a slot found ahead of it was moved by someone else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rowcast_bus::beat;
use rowcast_domain::Lsn;
use rowcast_pg::replication::{FrameReader, Status, StatusWriter};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::hold_back::HoldBack;
use super::memory::Held;
use super::progress::Durable;
use super::quarantine;
use crate::checkpoint::Checkpoints;
use crate::error::Error;
use crate::keeper::{Tracking, Verification};

/// How often something new is confirmed: PostgreSQL may then remove WAL, and every confirmation
/// costs a write of the checkpoint.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);

/// Longest silence towards PostgreSQL; also never more than a third of its own time-out.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// How long a server may say nothing though it is asked, at least: one under load is slow to answer.
const LEAST_PATIENCE: Duration = Duration::from_secs(5);

/// The same at most, and where the server never ends a connection by itself.
const MOST_PATIENCE: Duration = Duration::from_mins(5);

/// How long a server may say nothing though it is asked, before the connection is given up: a link may
/// be half-open, with a peer that acknowledges every byte and passes none on.
///
/// As patient as the server is with us: before 15 it does not answer while it decodes a long
/// transaction of which nothing is published.
pub(crate) fn patience(server_timeout: Option<Duration>) -> Duration {
    server_timeout.map_or(MOST_PATIENCE, |limit| {
        limit.clamp(LEAST_PATIENCE, MOST_PATIENCE)
    })
}

/// What the pipeline tells the confirmations.
#[derive(Debug)]
pub(crate) struct Received {
    /// End of what was received.
    lsn: AtomicU64,
    /// Up to where nothing is left to be stored.
    settled: AtomicU64,
    /// The server wants an answer now.
    reply: Notify,
    /// Somebody waits for the source to say how far it is.
    word: AtomicBool,
    /// The source has said something lately.
    heard: AtomicBool,
}

impl Received {
    pub(crate) fn new(lsn: Lsn) -> Arc<Self> {
        Arc::new(Self {
            lsn: AtomicU64::new(lsn.as_u64()),
            settled: AtomicU64::new(lsn.as_u64()),
            reply: Notify::new(),
            word: AtomicBool::new(false),
            heard: AtomicBool::new(false),
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

    /// Everything up to `lsn` is in the stream, or was nothing for it.
    pub(super) fn settle(&self, lsn: Lsn) {
        self.settled.fetch_max(lsn.as_u64(), Ordering::Relaxed);
    }

    /// Up to where nothing is left to be stored; it may be confirmed later.
    pub(crate) fn settled(&self) -> Lsn {
        Lsn::new(self.settled.load(Ordering::Relaxed))
    }

    /// The server asked for an answer.
    pub(crate) fn reply_now(&self) {
        self.reply.notify_one();
    }

    /// Asks the server to say how far it is: an idle one says nothing by itself for long.
    pub(crate) fn ask(&self) {
        self.word.store(true, Ordering::Relaxed);
        self.reply.notify_one();
    }

    /// The source has said something.
    pub(crate) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Where the source has said nothing since the last call, the next status asks whether it is there.
    fn ask_if_silent(&self) {
        if !self.heard.swap(false, Ordering::Relaxed) {
            self.word.store(true, Ordering::Relaxed);
        }
    }

    fn wants_word(&self) -> bool {
        self.word.swap(false, Ordering::Relaxed)
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
    /// What the buffers take.
    pub(crate) held: Arc<Held>,
    /// What is parked.
    pub(crate) quarantined: quarantine::Told,
    /// What is tracked, and what is missing.
    pub(crate) tracking: watch::Receiver<Tracking>,
    /// How long the broker may still lose what it has acknowledged.
    pub(crate) hold_back: Duration,
}

/// The receiving half.
pub(crate) struct Source {
    /// Frames.
    pub(crate) frames: FrameReader,
    /// Shared with the confirmations.
    pub(crate) received: Arc<Received>,
    /// How long it may be silent; see [`patience`].
    pub(crate) patience: Duration,
}

/// The confirming half.
pub(crate) struct Confirmer {
    writer: StatusWriter,
    checkpoints: Checkpoints,
    received: Arc<Received>,
    durable: watch::Receiver<Durable>,
    confirmed: watch::Sender<Lsn>,
    verifications: mpsc::Sender<Verification>,
    silence: Duration,
    held: HoldBack,
    /// What the checkpoint says of the acknowledged.
    known: Durable,
}

/// Whom the confirmations tell and ask.
pub(crate) struct Told {
    /// What PostgreSQL was told.
    pub(crate) confirmed: watch::Sender<Lsn>,
    /// The keeper, who looks at the publication before.
    pub(crate) verifications: mpsc::Sender<Verification>,
}

impl Confirmer {
    /// `server_timeout` is the server's `wal_sender_timeout`.
    pub(crate) fn new(
        writer: StatusWriter,
        checkpoints: Checkpoints,
        watched: &Watched,
        told: Told,
        server_timeout: Option<Duration>,
    ) -> Self {
        let (safe, durable) = (checkpoints.safe(), *watched.durable.borrow());
        let silence =
            server_timeout.map_or(LONGEST_SILENCE, |limit| LONGEST_SILENCE.min(limit / 3));
        Self {
            writer,
            checkpoints,
            received: Arc::clone(&watched.received),
            durable: watched.durable.clone(),
            confirmed: told.confirmed,
            verifications: told.verifications,
            silence,
            held: HoldBack::new(watched.hold_back, safe, durable.lsn),
            known: durable,
        }
    }

    /// Confirms until the pipeline ends, then once more and says goodbye.
    ///
    /// # Errors
    /// Where the source does not take the status.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut timer = beat::every(CONFIRM_EVERY);
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
            let news = self.advance(sent_at).await?;
            let silent = sent_at.elapsed() >= self.silence;
            if silent {
                self.received.ask_if_silent();
            }
            if news || silent {
                self.send().await?;
                sent_at = Instant::now();
            }
            if ended {
                self.writer.finish().await;
                return Ok(());
            }
        }
    }

    /// Brings the checkpoint up to date; tells whether there is more to confirm than before.
    async fn advance(&mut self, sent_at: Instant) -> Result<bool, Error> {
        let acknowledged = *self.durable.borrow_and_update();
        let safe = self.held.acknowledge(acknowledged, Instant::now());
        if safe.lsn > self.checkpoints.safe().lsn || acknowledged.lsn > self.known.lsn {
            if !self.keep_checkpoint((safe, acknowledged), sent_at).await? {
                return Ok(false);
            }
            self.known = acknowledged;
            self.held.keep(safe.lsn, Instant::now());
        }
        let confirmable = self.held.confirmable(Instant::now());
        Ok(self.confirmed.send_if_modified(|confirmed| {
            let news = confirmable > *confirmed;
            *confirmed = confirmable.max(*confirmed);
            news
        }))
    }

    /// Writes the checkpoint, once the publication was found unchanged; meanwhile the server goes on
    /// hearing from us. Tells whether it is written: without it nothing new is confirmed.
    async fn keep_checkpoint(
        &mut self,
        (safe, acknowledged): (Durable, Durable),
        mut sent_at: Instant,
    ) -> Result<bool, Error> {
        let Self {
            writer,
            checkpoints,
            verifications,
            received,
            confirmed,
            silence,
            ..
        } = self;
        let write = async {
            // What is durable was decoded before now, and up to now the publication was right.
            let (asked, verified) = oneshot::channel();
            if verifications.send(asked).await.is_err() || verified.await.is_err() {
                // The keeper has ended, and with it the session.
                return Ok(false);
            }
            checkpoints.write(safe, acknowledged).await?;
            Ok(true)
        };
        tokio::pin!(write);
        loop {
            tokio::select! {
                written = &mut write => match written {
                    Ok(written) => return Ok(written),
                    Err(fenced @ Error::Fenced { .. }) => return Err(fenced),
                    Err(error) => {
                        tracing::warn!(%error, "checkpoint not written, nothing is confirmed");
                        return Ok(false);
                    }
                },
                () = received.reply.notified() => {}
                () = tokio::time::sleep_until(sent_at + *silence) => received.ask_if_silent(),
            }
            let flushed = *confirmed.borrow();
            send(writer, received, flushed).await?;
            sent_at = Instant::now();
        }
    }

    async fn send(&mut self) -> Result<(), Error> {
        let confirmed = *self.confirmed.borrow();
        send(&mut self.writer, &self.received, confirmed).await
    }
}

async fn send(writer: &mut StatusWriter, received: &Received, flushed: Lsn) -> Result<(), Error> {
    let status = Status {
        written: received.lsn().max(flushed),
        flushed,
        applied: flushed,
        reply_requested: received.wants_word(),
    };
    Ok(writer.send(status).await?)
}
