//! One running task: the loop that calls the stages in order.
//!
//! Frames are decoded, encoded and queued for as long as there are any and there is room; what is
//! queued leaves as soon as the source has nothing more to give. Where there is no room, reading
//! waits for acknowledgements, and PostgreSQL waits for us.

pub(crate) mod source;
pub(crate) mod translate;
pub(crate) mod decode;
pub(crate) mod change;
pub(crate) mod filter;
pub(crate) mod history;
pub(crate) mod hold_back;
pub(crate) mod memory;
pub(crate) mod switch;
pub(crate) mod transform;
pub(crate) mod quarantine;
pub(crate) mod stages;
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
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::catalog::Catalog;
use self::change::Relation;
use self::decode::Undecodable;
use self::quarantine::Quarantine;
use self::source::Source;
use self::stages::{Stages, Step};
use self::switch::Switches;
use self::translate::Translation;
use crate::error::{Error, StopReason};

/// How often an idle source leaves a heartbeat in the stream: each lets PostgreSQL remove the WAL
/// that other databases write.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);

/// Messages taken at most before others get their turn.
const YIELD_EVERY: u32 = 1000;

/// How long batches in flight may take at the end. What is not acknowledged then is read again.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// SQLSTATE of an object that does not exist.
const UNDEFINED_OBJECT: &str = "42704";

/// SQLSTATE of PostgreSQL 18's warning that it skips a missing publication.
const SKIPPED_PUBLICATION: &str = "55000";

/// One running task.
pub(crate) struct Pipeline {
    pub(crate) source: Source,
    /// Where the server has no pgoutput.
    pub(crate) translation: Option<Translation>,
    pub(crate) stages: Stages,
    pub(crate) catalog: Catalog,
    pub(crate) switches: Switches,
    pub(crate) quarantine: Quarantine,
    pub(crate) last_heartbeat: Instant,
    pub(crate) held: Arc<memory::Held>,
}

impl Pipeline {
    /// Runs until told to stop.
    ///
    /// # Errors
    /// Whatever interrupts it; what the stream holds is open then.
    pub(crate) async fn run(mut self, stop: &CancellationToken) -> Result<(), Error> {
        let patience = self.source.patience;
        loop {
            self.take_messages().await?;
            let stages = &mut self.stages;
            // Where there is no room, batches are in flight: their acknowledgements make it.
            tokio::select! {
                biased;
                () = stop.cancelled() => return Box::pin(self.finish()).await,
                acked = stages.publisher.acked() => stages.acknowledged(acked?),
                // Only while we listen: where there is no room, the source waits for us.
                filled = timeout(patience, self.source.frames.fill()), if stages.publisher.has_room() => {
                    filled
                        .map_err(|_elapsed| Error::SourceSilent(patience))?
                        .map_err(while_streaming)?;
                    self.source.received.hear();
                }
            }
        }
    }

    async fn take_messages(&mut self) -> Result<(), Error> {
        self.stages.publisher.send_full().await?;
        let mut taken = 0_u32;
        while self.stages.publisher.has_room() {
            taken += 1;
            if taken.is_multiple_of(YIELD_EVERY) {
                // What is left out or stored already is never waited for: a lost lease or a stop must not
                // wait for the end of it.
                tokio::task::yield_now().await;
            }
            match self.take_message()? {
                Step::Empty => {
                    self.count_memory();
                    return Ok(self.stages.publisher.flush().await?);
                }
                Step::Taken => {}
                Step::Boundary(lsn) => self.switch(lsn).await?,
                Step::Undecodable(change, frame) => self.park(&change, frame).await?,
                Step::Shape(shape) => {
                    let selector = &self.stages.decoder.filter().now.selector;
                    let relation = Arc::new(self.catalog.complete(shape, selector).await?);
                    let told = self.stages.transform.define(Arc::clone(&relation));
                    self.tell_shapes(told).await?;
                    self.stages.decoder.define(relation);
                }
                Step::Line(table, lsn, line) => {
                    if let Some(translation) = &mut self.translation {
                        translation.look_up(table, lsn, &line).await?;
                    }
                }
            }
            self.stages.publisher.send_full().await?;
        }
        self.count_memory();
        Ok(())
    }

    fn take_message(&mut self) -> Result<Step, Error> {
        if let Some(translation) = &mut self.translation
            && let Some((lsn, message)) = translation.next()?
        {
            return match self.stages.take(lsn, message)? {
                // A translated transaction stands where it ends.
                Step::Boundary(end) => Ok(Step::Boundary(Lsn::new(end.as_u64() + 1))),
                step @ (Step::Empty
                | Step::Taken
                | Step::Undecodable(..)
                | Step::Shape(_)
                | Step::Line(..)) => Ok(step),
            };
        }
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
                match &mut self.translation {
                    None => self.stages.take(start, data),
                    Some(translation) => Ok(match translation.take(start, data)? {
                        None => Step::Taken,
                        Some(table) => Step::Line(table, start, Bytes::copy_from_slice(data)),
                    }),
                }
            }
            Frame::Keepalive {
                wal_end,
                reply_requested,
            } => {
                self.source.received.advance(wal_end);
                if reply_requested {
                    self.source.received.reply_now();
                }
                self.beat(wal_end)
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

    /// Takes what is asked for of the objects and the policy, at a boundary.
    async fn switch(&mut self, boundary: Lsn) -> Result<(), Error> {
        let Stages {
            decoder, transform, ..
        } = &mut self.stages;
        let told = self.switches.take(boundary, decoder, transform).await?;
        self.tell_shapes(told).await
    }

    /// Makes shapes known before their first use.
    async fn tell_shapes(&mut self, told: Vec<Arc<Relation>>) -> Result<(), Error> {
        for relation in told {
            self.catalog.publish(&relation.schema).await?;
            self.stages.encoder.define(&relation);
        }
        Ok(())
    }

    /// Parks a change that cannot be told, and tells its readers in its place.
    async fn park(&mut self, change: &Undecodable, frame: Bytes) -> Result<(), Error> {
        let position = Position::new(change.transaction.commit_lsn, change.ordinal);
        if self.stages.stored.holds(position) {
            return Ok(());
        }
        self.quarantine.park(change, frame).await?;
        self.stages.leave_out(change)
    }

    /// On an idle source the WAL moves on all the same. Its end is confirmed only after a message that
    /// carries it is stored, so that the stream's tail never lies behind the slot.
    fn beat(&mut self, wal_end: Lsn) -> Result<Step, Error> {
        self.stages.awaited.passes(wal_end)?;
        let open = self.translation.as_ref().is_some_and(Translation::is_open);
        if open || self.stages.decoder.in_transaction() {
            return Ok(Step::Taken);
        }
        if self.stages.is_settled() {
            self.source.received.settle(wal_end);
        }
        let due = self.last_heartbeat.elapsed() >= HEARTBEAT_EVERY;
        if due && self.stages.wants_heartbeat(wal_end) {
            self.last_heartbeat = Instant::now();
            self.stages.beat(wal_end)?;
        }
        // A translated transaction stands where it ends.
        let behind = u64::from(self.translation.is_some());
        Ok(Step::Boundary(Lsn::new(wal_end.as_u64() + behind)))
    }

    /// Sends whole transactions that are queued and waits for what is in flight, so that the next
    /// start has less to read again.
    async fn finish(self) -> Result<(), Error> {
        let mut stages = self.stages;
        let finish = async {
            stages.publisher.flush().await?;
            while stages.publisher.in_flight() > 0 {
                let acked = stages.publisher.acked().await?;
                stages.acknowledged(acked);
                stages.publisher.flush().await?;
            }
            Ok(())
        };
        timeout(FINISH_WITHIN, finish).await.unwrap_or(Ok(()))
    }
}

/// Up to version 17 a missing publication ends the stream with an error of the plugin.
fn while_streaming(error: rowcast_pg::Error) -> Error {
    if error.sqlstate() == Some(UNDEFINED_OBJECT) {
        return StopReason::PublicationMissing(error.to_string()).into();
    }
    error.into()
}
