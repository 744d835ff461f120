//! Stage 6: what is durable. Pure.
//!
//! A commit may be confirmed to PostgreSQL once everything queued before it is acknowledged by the
//! stream. Messages are counted, not kept: `queued` and `acked` only rise.

use std::collections::VecDeque;

use rowcast_domain::{Lsn, Position};

use super::publish::Acked;

/// How far a task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Durable {
    /// Everything that committed before is in the stream: may be confirmed.
    pub(crate) lsn: Lsn,
    /// Position of the last message in the stream.
    pub(crate) position: Position,
    /// Its stream sequence.
    pub(crate) sequence: u64,
    /// Bytes of payload that this session has brought into the stream.
    pub(crate) bytes: u64,
    /// When the last transaction before `lsn` was committed, in microseconds since 2000-01-01 UTC;
    /// `None` where none was read since the start.
    pub(crate) committed_at: Option<i64>,
}

/// Counts messages and remembers which commits wait for them.
#[derive(Debug)]
pub(crate) struct Progress {
    queued: u64,
    acked: u64,
    /// Commits by the number of messages that must be acknowledged first. Commits that wait for the
    /// same number are one entry, so the entries are never more than the messages in flight.
    waiting: VecDeque<Waiting>,
    durable: Durable,
}

/// Commits that wait for acknowledgements.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// How many messages must be acknowledged.
    queued: u64,
    end_lsn: Lsn,
    committed_at: Option<i64>,
}

impl Progress {
    /// Starts from what is known to be durable.
    pub(crate) const fn new(durable: Durable) -> Self {
        Self {
            queued: 0,
            acked: 0,
            waiting: VecDeque::new(),
            durable,
        }
    }

    /// A message was queued.
    pub(crate) const fn queue(&mut self) {
        self.queued += 1;
    }

    /// Everything queued so far belongs to commits that end at or before `end_lsn`; the last of them
    /// was at `committed_at`, `None` where nothing was committed but the WAL moved on.
    pub(crate) fn commit(&mut self, end_lsn: Lsn, committed_at: Option<i64>) {
        let commit = Waiting {
            queued: self.queued,
            end_lsn,
            committed_at,
        };
        if self.queued == self.acked {
            return self.pass(commit);
        }
        match self.waiting.back_mut() {
            Some(last) if last.queued == self.queued => {
                last.end_lsn = end_lsn.max(last.end_lsn);
                last.committed_at = committed_at.or(last.committed_at);
            }
            Some(_) | None => self.waiting.push_back(commit),
        }
    }

    /// The stream has acknowledged more.
    pub(crate) fn ack(&mut self, acked: Acked) {
        self.acked += acked.messages;
        while let Some(commit) = self
            .waiting
            .pop_front_if(|commit| commit.queued <= self.acked)
        {
            self.pass(commit);
        }
        self.durable.position = acked.position;
        self.durable.sequence = acked.sequence;
        self.durable.bytes += acked.bytes;
    }

    fn pass(&mut self, commit: Waiting) {
        // Never backwards: PostgreSQL would forget nothing, but our own checkpoint would.
        self.durable.lsn = self.durable.lsn.max(commit.end_lsn);
        self.durable.committed_at = commit.committed_at.or(self.durable.committed_at);
    }

    /// What may be confirmed.
    pub(crate) const fn durable(&self) -> Durable {
        self.durable
    }

    /// Whether everything queued is acknowledged.
    pub(crate) const fn is_idle(&self) -> bool {
        self.queued == self.acked
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ack(progress: &mut Progress, messages: u64) {
        progress.ack(Acked {
            messages,
            position: Position::default(),
            sequence: 0,
            bytes: 0,
        });
    }

    #[test]
    fn a_commit_waits_for_the_messages_before_it() {
        let mut progress = Progress::new(Durable::default());
        progress.queue();
        progress.queue();
        progress.commit(Lsn::new(10), None);
        progress.queue();
        progress.commit(Lsn::new(20), None);
        ack(&mut progress, 1);
        assert_eq!(progress.durable().lsn, Lsn::INVALID);
        ack(&mut progress, 1);
        assert_eq!(progress.durable().lsn, Lsn::new(10));
        ack(&mut progress, 1);
        assert_eq!(progress.durable().lsn, Lsn::new(20));
    }

    #[test]
    fn a_transaction_without_messages_advances_at_once_when_nothing_is_in_flight() {
        let mut progress = Progress::new(Durable::default());
        progress.commit(Lsn::new(10), None);
        assert_eq!(progress.durable().lsn, Lsn::new(10));
        progress.queue();
        progress.commit(Lsn::new(20), None);
        progress.commit(Lsn::new(30), None);
        assert_eq!(progress.durable().lsn, Lsn::new(10));
        ack(&mut progress, 1);
        assert_eq!(progress.durable().lsn, Lsn::new(30));
    }

    proptest! {
        /// Whatever the order of events, what is confirmed never lies beyond an unacknowledged
        /// message, and never goes back.
        #[test]
        fn never_confirms_what_is_not_acknowledged(steps in prop::collection::vec(0_u8..3, 0..200)) {
            let mut progress = Progress::new(Durable::default());
            let (mut queued, mut acked, mut lsn) = (0_u64, 0_u64, 0_u64);
            let mut commits: Vec<(u64, u64)> = Vec::new();
            let mut last = Lsn::INVALID;
            for step in steps {
                match step {
                    0 => { progress.queue(); queued += 1; }
                    1 => { lsn += 10; commits.push((queued, lsn)); progress.commit(Lsn::new(lsn), None); }
                    _ if acked < queued => { acked += 1; ack(&mut progress, 1); }
                    _ => {}
                }
                let expected = commits.iter().filter(|(needs, _)| *needs <= acked).map(|(_, lsn)| *lsn);
                let expected = Lsn::new(expected.max().unwrap_or(0));
                prop_assert_eq!(progress.durable().lsn, expected);
                prop_assert!(progress.durable().lsn >= last);
                prop_assert!(progress.waiting.len() as u64 <= queued - acked);
                last = progress.durable().lsn;
            }
        }
    }
}
