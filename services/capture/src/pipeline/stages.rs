//! What happens to one message of the source: decoded, transformed, encoded, queued, counted. Synchronous; what has
//! to be waited for is handed back as a step.

use bytes::Bytes;
use rowcast_domain::{Lsn, Position};
use rowcast_proto::message::RowErrorAction;
use tokio::sync::watch;

use super::change::{Change, WalMessage};
use super::decode::relation::Shape;
use super::decode::{Decoded, Decoder, Undecodable};
use super::encode::Encoder;
use super::history::Awaited;
use super::progress::{Durable, Progress};
use super::publish::tail::Stored;
use super::publish::{Acked, Publisher};
use super::transform::{Failed, Transform};
use super::translate::table::TableText;
use crate::error::{Error, StopReason};
use crate::server_time;

/// What a frame of this many bytes takes is long enough for other tasks to notice: a second a GB.
const LARGE_FRAME: usize = 1 << 20;

/// The policy fails on a row.
const ETL_FAILED: &str = "EtlFailed";

/// The stages that share what is known of the stream.
pub(crate) struct Stages {
    pub(crate) decoder: Decoder,
    pub(crate) transform: Transform,
    pub(crate) encoder: Encoder,
    pub(crate) publisher: Publisher,
    pub(crate) progress: Progress,
    pub(crate) stored: Stored,
    /// How many changes of the open transaction the policy has left out.
    pub(crate) left_out: u64,
    /// What the source has to send again first.
    pub(crate) awaited: Awaited,
    pub(crate) durable: watch::Sender<Durable>,
}

/// What became of one message.
pub(crate) enum Step {
    /// There is none: the source must be waited for.
    Empty,
    /// It was taken.
    Taken,
    /// It was taken, and everything that commits before this LSN has been: no transaction is open.
    Boundary(Lsn),
    /// It is a change that cannot be read, with its bytes.
    Undecodable(Undecodable, Bytes),
    /// It is a shape, which the catalog must complete before the next message.
    Shape(Shape),
    /// It is a line of a table that must be looked up, and taken again then.
    Line(TableText, Lsn, Bytes),
}

impl Stages {
    /// Takes one pgoutput message. `lsn` says where it stands, for errors.
    ///
    /// # Errors
    /// Where it cannot be decoded or encoded.
    pub(crate) fn take(&mut self, lsn: Lsn, data: &[u8]) -> Result<Step, Error> {
        let change = match self.decoder.decode(lsn, data)? {
            Decoded::Nothing => return Ok(Step::Taken),
            Decoded::Undecodable(change) => {
                return Ok(Step::Undecodable(change, Bytes::copy_from_slice(data)));
            }
            Decoded::Shape(body) => return Ok(Step::Shape(Shape::from(body))),
            Decoded::Change(change) => change,
        };
        if let Change::Begin(transaction) = &change {
            self.awaited.begins(*transaction)?;
            for told in self.transform.begins(transaction.commit_lsn) {
                self.encoder.define(&told);
            }
        }
        let boundary = boundary(&change);
        let (transform, stored) = (&mut self.transform, self.stored);
        let change = match beside(data.len(), || transformed(transform, change, stored))? {
            Transformed::Told(change) => change,
            Transformed::LeftOut => {
                self.left_out += 1;
                return Ok(Step::Taken);
            }
            Transformed::ToPark(change) => {
                return Ok(Step::Undecodable(change, Bytes::copy_from_slice(data)));
            }
        };
        let change = counted(change, &mut self.left_out);
        if let Some((end_lsn, _)) = boundary {
            self.awaited.passes(end_lsn)?;
        }
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

    /// Puts a message in the place of a change that cannot be read.
    ///
    /// # Errors
    /// Where the table was never defined.
    pub(crate) fn leave_out(&mut self, change: &Undecodable) -> Result<(), Error> {
        let (publisher, progress) = (&mut self.publisher, &mut self.progress);
        self.encoder.undecodable(change, |message| {
            progress.queue();
            publisher.push(message);
        })?;
        Ok(())
    }

    /// Whether everything that has come is in the stream.
    pub(crate) const fn is_settled(&self) -> bool {
        !self.decoder.in_transaction() && self.progress.is_idle()
    }

    /// Whether a heartbeat at this LSN would tell something.
    pub(crate) fn wants_heartbeat(&self, wal_end: Lsn) -> bool {
        self.is_settled()
            && wal_end > self.progress.durable().lsn
            && !self.stored.holds(Position::new(wal_end, 0))
    }

    /// Says that nothing happened up to `wal_end`.
    ///
    /// # Errors
    /// Where the broker's limit is too low for any message.
    pub(crate) fn beat(&mut self, wal_end: Lsn) -> Result<(), Error> {
        let heartbeat = self.encoder.heartbeat(wal_end, server_time::now())?;
        self.progress.queue();
        self.publisher.push(heartbeat);
        self.publisher.end_transaction();
        self.progress.commit(wal_end, None);
        Ok(())
    }

    /// A batch is in the stream.
    pub(crate) fn acknowledged(&mut self, acked: Acked) {
        self.progress.ack(acked);
        self.durable.send_replace(self.progress.durable());
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

/// What the policy makes of a change.
enum Transformed<'a> {
    Told(Change<'a>),
    LeftOut,
    ToPark(Undecodable),
}

/// Applies the policy.
///
/// # Errors
/// Where a row fails that is not stored yet, and the task is to stop then.
fn transformed<'a>(
    transform: &'a mut Transform,
    change: Change<'a>,
    stored: Stored,
) -> Result<Transformed<'a>, Error> {
    let row = match change {
        Change::Row(row) => row,
        Change::Truncate {
            transaction,
            mut relations,
            cascade,
            restart_identity,
        } => {
            for (_ordinal, relation) in &mut relations {
                *relation = transform.told(relation);
            }
            return Ok(Transformed::Told(Change::Truncate {
                transaction,
                relations,
                cascade,
                restart_identity,
            }));
        }
        Change::Begin(_) | Change::Ddl(_) | Change::Message(_) | Change::Commit { .. } => {
            return Ok(Transformed::Told(change));
        }
    };
    let (transaction, ordinal, position) = (row.transaction, row.ordinal, row.position());
    let Failed {
        relation,
        reason,
        action,
    } = match transform.row(row) {
        Ok(Some(row)) => return Ok(Transformed::Told(Change::Row(row))),
        Ok(None) => return Ok(Transformed::LeftOut),
        Err(failed) => failed,
    };
    match action {
        RowErrorAction::Drop => Ok(Transformed::LeftOut),
        RowErrorAction::Stop if !stored.holds(position) => {
            Err(StopReason::EtlFailed(reason).into())
        }
        RowErrorAction::Unspecified | RowErrorAction::Park | RowErrorAction::Stop => {
            Ok(Transformed::ToPark(Undecodable {
                code: ETL_FAILED,
                transaction,
                ordinal,
                relation,
                reason,
            }))
        }
    }
}

/// With the number of changes that are told in fact.
fn counted<'a>(change: Change<'a>, left_out: &mut u64) -> Change<'a> {
    if let Change::Commit {
        transaction,
        end_lsn,
        changes,
        tracked,
    } = change
    {
        let left_out = std::mem::replace(left_out, 0);
        return Change::Commit {
            transaction,
            end_lsn,
            changes,
            tracked: tracked.saturating_sub(left_out),
        };
    }
    change
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
