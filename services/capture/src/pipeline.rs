//! One running task: the loop that calls the stages in order.
//!
//! Frames are decoded, encoded and queued for as long as there are any and there is room; what is
//! queued leaves as soon as the source has nothing more to give. Where there is no room, reading
//! waits for acknowledgements, and PostgreSQL waits for us.

pub(crate) mod source;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "no task reads from a server before PostgreSQL 10 yet"
    )
)]
pub(crate) mod translate;
pub(crate) mod decode;
pub(crate) mod change;
pub(crate) mod filter;
pub(crate) mod switch;
pub(crate) mod quarantine;
pub(crate) mod catalog;
pub(crate) mod encode;
pub(crate) mod stable_hash;
pub(crate) mod publish;
pub(crate) mod progress;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rowcast_domain::{Lsn, Position};
use rowcast_pg::replication::Frame;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::catalog::Catalog;
use self::change::{Change, WalMessage};
use self::decode::relation::Shape;
use self::decode::{Decoded, Decoder, Undecodable};
use self::encode::Encoder;
use self::progress::{Durable, Progress};
use self::publish::Publisher;
use self::publish::tail::Stored;
use self::quarantine::Quarantine;
use self::source::Source;
use self::switch::Switches;
use crate::error::{Error, StopReason};
use crate::server_time;

/// How often an idle source leaves a heartbeat in the stream: each lets PostgreSQL remove the WAL
/// that other databases write.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);

/// How long batches in flight may take at the end. What is not acknowledged then is read again.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// What a frame of this many bytes takes is long enough for other tasks to notice: a second a GB.
const LARGE_FRAME: usize = 1 << 20;

/// SQLSTATE of an object that does not exist.
const UNDEFINED_OBJECT: &str = "42704";

/// SQLSTATE of PostgreSQL 18's warning that it skips a missing publication.
const SKIPPED_PUBLICATION: &str = "55000";

/// The stages of one task.
pub(crate) struct Pipeline {
    pub(crate) source: Source,
    pub(crate) decoder: Decoder,
    pub(crate) catalog: Catalog,
    pub(crate) encoder: Encoder,
    pub(crate) publisher: Publisher,
    pub(crate) progress: Progress,
    pub(crate) stored: Stored,
    pub(crate) durable: watch::Sender<Durable>,
    pub(crate) last_heartbeat: Instant,
    pub(crate) switches: Switches,
    pub(crate) quarantine: Quarantine,
}

/// What became of one frame.
enum Step {
    /// There is none: the source must be waited for.
    Empty,
    /// It was taken.
    Taken,
    /// It was taken, and everything that committed before this LSN has been: no transaction is open.
    Boundary(Lsn),
    /// It is a change that cannot be read, with its bytes.
    Undecodable(Undecodable, Bytes),
    /// It is a shape, which the catalog must complete before the next frame.
    Shape(Shape),
}

impl Pipeline {
    /// Runs until told to stop.
    ///
    /// # Errors
    /// Whatever interrupts it; what the stream holds is open then.
    pub(crate) async fn run(mut self, stop: &CancellationToken) -> Result<(), Error> {
        loop {
            self.take_frames().await?;
            // Where there is no room, batches are in flight: their acknowledgements make it.
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.finish().await,
                acked = self.publisher.acked() => self.acknowledged(acked?),
                filled = self.source.frames.fill(), if self.publisher.has_room() => {
                    filled.map_err(while_streaming)?;
                }
            }
        }
    }

    async fn take_frames(&mut self) -> Result<(), Error> {
        self.publisher.send_full().await?;
        while self.publisher.has_room() {
            match self.take_frame()? {
                Step::Empty => return Ok(self.publisher.flush().await?),
                Step::Taken => {}
                Step::Boundary(lsn) => self.switches.take(lsn, &mut self.decoder).await?,
                Step::Undecodable(change, frame) => self.park(&change, frame).await?,
                Step::Shape(shape) => {
                    let relation = Arc::new(self.catalog.complete(shape).await?);
                    self.encoder.define(&relation);
                    self.decoder.define(relation);
                }
            }
            self.publisher.send_full().await?;
        }
        Ok(())
    }

    fn take_frame(&mut self) -> Result<Step, Error> {
        let frame = self
            .source
            .frames
            .next_buffered()
            .map_err(while_streaming)?;
        let Some(frame) = frame else {
            return Ok(Step::Empty);
        };
        match frame {
            Frame::XLogData {
                start, end, data, ..
            } => {
                self.source.received.advance(end);
                let change = match self.decoder.decode(start, data)? {
                    Decoded::Nothing => return Ok(Step::Taken),
                    Decoded::Undecodable(change) => {
                        return Ok(Step::Undecodable(change, Bytes::copy_from_slice(data)));
                    }
                    Decoded::Shape(body) => return Ok(Step::Shape(Shape::from(body))),
                    Decoded::Change(change) => change,
                };
                let boundary = boundary(&change);
                let (publisher, progress) = (&mut self.publisher, &mut self.progress);
                if let Some(change) = not_stored(self.stored, change) {
                    beside(data.len(), || {
                        self.encoder.encode(&change, |message| {
                            progress.queue();
                            publisher.push(message);
                        })
                    })?;
                }
                let Some((end_lsn, committed_at)) = boundary else {
                    return Ok(Step::Taken);
                };
                publisher.end_transaction();
                progress.commit(end_lsn, committed_at);
                if progress.is_idle() {
                    self.durable.send_replace(progress.durable());
                }
                Ok(Step::Boundary(end_lsn))
            }
            Frame::Keepalive {
                wal_end,
                reply_requested,
            } => {
                self.source.received.advance(wal_end);
                if reply_requested {
                    self.source.received.reply_now();
                }
                self.beat(wal_end)?;
                if self.decoder.in_transaction() {
                    return Ok(Step::Taken);
                }
                Ok(Step::Boundary(wal_end))
            }
            Frame::Notice {
                severity,
                code,
                message,
            } => {
                if code == SKIPPED_PUBLICATION {
                    return Err(StopReason::PublicationMissing(message.to_owned()).into());
                }
                tracing::warn!(severity, code, message, "notice from the source");
                Ok(Step::Taken)
            }
        }
    }

    /// Parks a change that cannot be read, and tells its readers in its place.
    async fn park(&mut self, change: &Undecodable, frame: Bytes) -> Result<(), Error> {
        let position = Position::new(change.transaction.commit_lsn, change.ordinal);
        if self.stored.holds(position) {
            return Ok(());
        }
        self.quarantine.park(change, frame).await?;
        let message = self.encoder.undecodable(change)?;
        self.progress.queue();
        self.publisher.push(message);
        Ok(())
    }

    /// On an idle source the WAL moves on all the same. Its end is confirmed only after a message that
    /// carries it is stored, so that the stream's tail never lies behind the slot.
    fn beat(&mut self, wal_end: Lsn) -> Result<(), Error> {
        let position = Position::new(wal_end, 0);
        let idle = !self.decoder.in_transaction() && self.progress.is_idle();
        if !idle
            || wal_end <= self.progress.durable().lsn
            || self.stored.holds(position)
            || self.last_heartbeat.elapsed() < HEARTBEAT_EVERY
        {
            return Ok(());
        }
        self.last_heartbeat = Instant::now();
        let heartbeat = self.encoder.heartbeat(wal_end, server_time::now())?;
        self.progress.queue();
        self.publisher.push(heartbeat);
        self.publisher.end_transaction();
        self.progress.commit(wal_end, None);
        Ok(())
    }

    fn acknowledged(&mut self, acked: publish::Acked) {
        self.progress
            .ack(acked.messages, acked.position, acked.sequence);
        self.durable.send_replace(self.progress.durable());
    }

    /// Sends whole transactions that are queued and waits for what is in flight, so that the next
    /// start has less to read again.
    async fn finish(mut self) -> Result<(), Error> {
        let finish = async {
            self.publisher.flush().await?;
            while self.publisher.in_flight() > 0 {
                let acked = self.publisher.acked().await?;
                self.acknowledged(acked);
            }
            Ok(())
        };
        tokio::time::timeout(FINISH_WITHIN, finish)
            .await
            .unwrap_or(Ok(()))
    }
}

/// Where no transaction is open after the change: everything that committed before that LSN has
/// arrived. With the time of the commit.
const fn boundary(change: &Change<'_>) -> Option<(Lsn, Option<i64>)> {
    match change {
        Change::Commit {
            transaction,
            end_lsn,
            ..
        } => Some((*end_lsn, Some(transaction.committed_at))),
        Change::Message(WalMessage {
            transaction: None,
            lsn,
            ..
        }) => Some((*lsn, None)),
        Change::Begin(_)
        | Change::Row(_)
        | Change::Truncate { .. }
        | Change::Ddl(_)
        | Change::Message(_) => None,
    }
}

/// Works on a frame of so many bytes. On a large one where no other task waits for the thread: the
/// renewal of the lease might come too late.
fn beside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes < LARGE_FRAME {
        work()
    } else {
        tokio::task::block_in_place(work)
    }
}

/// What of a change the stream does not hold from an earlier session.
fn not_stored(stored: Stored, change: Change<'_>) -> Option<Change<'_>> {
    let held = match &change {
        Change::Begin(transaction) => stored.holds_begin(Position::new(transaction.commit_lsn, 0)),
        Change::Row(row) => stored.holds(row.position()),
        Change::Ddl(ddl) => stored.holds(ddl.position()),
        Change::Message(message) => stored.holds(message.position()),
        Change::Commit {
            transaction,
            changes,
            ..
        } => stored.holds(Position::new(transaction.commit_lsn, changes + 1)),
        Change::Truncate { .. } => false,
    };
    if held {
        return None;
    }
    let Change::Truncate {
        transaction,
        mut relations,
        cascade,
        restart_identity,
    } = change
    else {
        return Some(change);
    };
    // A truncate of many tables may have ended between two batches.
    relations.retain(|(ordinal, _)| !stored.holds(Position::new(transaction.commit_lsn, *ordinal)));
    if relations.is_empty() {
        return None;
    }
    Some(Change::Truncate {
        transaction,
        relations,
        cascade,
        restart_identity,
    })
}

/// Up to version 17 a missing publication ends the stream with an error of the plugin.
fn while_streaming(error: rowcast_pg::Error) -> Error {
    if error.sqlstate() == Some(UNDEFINED_OBJECT) {
        return StopReason::PublicationMissing(error.to_string()).into();
    }
    error.into()
}
