//! Whether the source sends again what the stream ends with. Pure.
//!
//! A server that was restored from a snapshot of itself has the same identity and timeline, and once
//! it has written enough, its WAL reaches beyond what was read. Only what it sends tells: the slot of
//! a snapshot stands before the stream's tail, so the transaction at the tail is decoded once more, of
//! the same WAL at the same LSN. Where the source goes beyond that LSN without it, its WAL is another.

use rowcast_domain::{Lsn, Position};
use rowcast_proto::subject::Op;

use super::change::Transaction;
use super::publish::tail::Last;
use crate::error::StopReason;

/// The transaction that the source has to send again, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Awaited(Option<Known>);

/// What the stream tells of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    commit_lsn: Lsn,
    committed_at: Option<i64>,
}

impl Awaited {
    /// Awaits the transaction of `tail`, where `slot` stands before it: the server decodes every commit
    /// from there on. Only rows are taken for certain: `objects_since` is where the task's objects, and
    /// with them the publication, were changed last.
    pub(crate) fn behind(slot: Lsn, tail: Option<Last>, objects_since: Lsn) -> Self {
        let Some(last) = tail else {
            return Self::default();
        };
        let Position {
            commit_lsn,
            ordinal,
        } = last.half.map_or(last.position, |half| half.position);
        let is_row = match last.op {
            Op::Insert | Op::Update | Op::Delete | Op::Truncate | Op::Pack => true,
            Op::Schema
            | Op::Begin
            | Op::Commit
            | Op::Heartbeat
            | Op::Ddl
            | Op::Message
            | Op::Gap => false,
        };
        let is_sent_again = is_row && ordinal > 0 && slot <= commit_lsn;
        Self(
            (is_sent_again && objects_since <= commit_lsn).then_some(Known {
                commit_lsn,
                committed_at: last.committed_at,
            }),
        )
    }

    /// The source sends a transaction.
    ///
    /// # Errors
    /// Where the awaited one should have come before, or stood there.
    pub(crate) fn begins(&mut self, transaction: Transaction) -> Result<(), StopReason> {
        let Transaction {
            commit_lsn,
            committed_at,
            ..
        } = transaction;
        if let Some(awaited) = self.0.take_if(|awaited| awaited.commit_lsn == commit_lsn)
            && awaited
                .committed_at
                .is_some_and(|time| time != committed_at)
        {
            return Err(StopReason::HistoryDiverged(format!(
                "the stream ends with a transaction that committed at {commit_lsn}, where the server has one that was committed at another time"
            )));
        }
        self.passes(commit_lsn)
    }

    /// The source has sent everything that committed before `lsn`.
    ///
    /// # Errors
    /// Where the awaited one should have been among it.
    pub(crate) fn passes(&self, lsn: Lsn) -> Result<(), StopReason> {
        match self.0 {
            Some(Known {
                commit_lsn: awaited,
                ..
            }) if awaited < lsn => Err(StopReason::HistoryDiverged(format!(
                "the stream ends with a transaction that committed at {awaited}, and the server, which has to send it again, has none there"
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(op: Op, lsn: u64, ordinal: u64) -> Option<Last> {
        Some(Last {
            position: Position::new(Lsn::new(lsn), ordinal),
            op,
            half: None,
            committed_at: Some(7),
        })
    }

    fn transaction(commit_lsn: u64, committed_at: i64) -> Transaction {
        Transaction {
            commit_lsn: Lsn::new(commit_lsn),
            committed_at,
            xid: 1,
        }
    }

    fn awaited(slot: u64, tail: Option<Last>) -> Awaited {
        Awaited::behind(Lsn::new(slot), tail, Lsn::INVALID)
    }

    #[test]
    fn the_transaction_at_the_tail_has_to_come_again() {
        let mut same = awaited(50, tail(Op::Insert, 100, 3));
        same.begins(transaction(60, 7)).unwrap();
        same.passes(Lsn::new(100)).unwrap();
        same.begins(transaction(100, 7)).unwrap();
        same.begins(transaction(200, 7)).unwrap();
        same.passes(Lsn::new(300)).unwrap();

        let mut other = awaited(50, tail(Op::Insert, 100, 3));
        other.begins(transaction(90, 7)).unwrap();
        let error = other.begins(transaction(101, 7)).unwrap_err();
        assert_eq!(error.code(), "HistoryDiverged");
        assert!(other.passes(Lsn::new(101)).is_err());
    }

    #[test]
    fn another_transaction_at_the_same_place_is_another_history() {
        let mut other = awaited(50, tail(Op::Pack, 100, 3));
        let error = other.begins(transaction(100, 8)).unwrap_err();
        assert_eq!(error.code(), "HistoryDiverged");
    }

    #[test]
    fn what_the_server_need_not_send_again_is_not_awaited() {
        let nothing = Awaited::default();
        assert_eq!(awaited(50, None), nothing);
        assert_eq!(awaited(101, tail(Op::Insert, 100, 3)), nothing);
        assert_eq!(awaited(50, tail(Op::Heartbeat, 100, 0)), nothing);
        assert_eq!(awaited(50, tail(Op::Gap, 100, 2)), nothing);
        let changed = Awaited::behind(Lsn::new(50), tail(Op::Delete, 100, 3), Lsn::new(120));
        assert_eq!(changed, nothing);
    }
}
