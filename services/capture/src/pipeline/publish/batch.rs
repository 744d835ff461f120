//! When a batch is full. Pure.
//!
//! A transaction that fits in a small batch is never split: readers see all of it or nothing.

use std::collections::VecDeque;
use std::time::Duration;

use rowcast_bus::batch::MAX_MESSAGES;

use crate::pipeline::encode::Outbound;

/// So many bytes are worth a batch. Below the broker's payload limit: a single large row does not wait for
/// others.
const SMALL: usize = 900 * 1000;

/// Most bytes in a batch: a second one is on its way to the broker, which keeps both in memory.
const LARGE: usize = 3500 * 1000;

/// A batch that is acknowledged later shows a link or a disk on which a large one might come too late.
const QUICK: Duration = Duration::from_secs(1);

/// A batch that is acknowledged soon shows that large ones come in time only if it has so many bytes itself.
const TELLING: usize = SMALL / 2;

/// What was seen of a link and a disk so long ago says nothing of them any more.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// Fewer messages than these cost the broker less one by one than as a batch: for each batch it makes a
/// folder, and syncs it five times (`nats-server` 2.15, `newBatchStore`).
const WORTH_A_BATCH: usize = 12;

/// As many messages, or bytes, are written at once where nothing holds them together.
const WORTH_A_WRITE: usize = 256;
const BYTES_WORTH_A_WRITE: usize = 128 * 1024;

/// Messages queued at most, so that a full batch is ready while another is filled.
const MAX_QUEUED: usize = 2 * MAX_MESSAGES;

/// How many bytes go into a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Where little waits, or little gets through.
    Small,
    /// What has to wait may as well grow: beside the writing each batch costs the broker the same, a folder
    /// and five syncs (`nats-server` 2.15, `newBatchStore`).
    Large,
}

impl Size {
    /// Of the batches that follow one of so many bytes that took so long.
    pub(crate) fn after(self, bytes: usize, took: Duration) -> Self {
        if took >= QUICK {
            Self::Small
        } else if bytes >= TELLING {
            Self::Large
        } else {
            self
        }
    }

    /// Of the batches that follow so long a time in which nothing was in flight.
    pub(crate) fn after_rest(self, rest: Duration) -> Self {
        if rest >= FORGOTTEN { Self::Small } else { self }
    }

    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Small => SMALL,
            Self::Large => LARGE,
        }
    }
}

/// Messages that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    messages: VecDeque<Outbound>,
    bytes: usize,
    /// Counts of queued messages at which a transaction ends, rising.
    ends: VecDeque<usize>,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes of subjects and payloads that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether more may wait: a batch, and as much as the next needs to be worth it. Beyond that one message:
    /// the pieces of a large one are queued together, but share its bytes.
    pub(crate) fn has_room(&self, size: Size) -> bool {
        self.messages.len() < MAX_QUEUED && self.bytes < size.bytes() + SMALL
    }

    /// Whether a batch of this size is full.
    pub(crate) fn is_full(&self, size: Size) -> bool {
        self.messages.len() >= MAX_MESSAGES || self.bytes >= size.bytes()
    }

    pub(crate) fn push(&mut self, message: Outbound) {
        self.bytes += size(&message);
        self.messages.push_back(message);
    }

    pub(crate) fn end_transaction(&mut self) {
        let end = self.messages.len();
        if end > 0 && self.ends.back() != Some(&end) {
            self.ends.push_back(end);
        }
    }

    /// A batch of at most this size, if a small one is full.
    pub(crate) fn take_full(&mut self, size: Size) -> Option<Vec<Outbound>> {
        if !self.is_full(Size::Small) {
            return None;
        }
        let fit = self.fit(size);
        let whole = self
            .ends
            .iter()
            .copied()
            .take_while(|&end| end <= fit)
            .last();
        // Without the end of a transaction, the one at the front is larger than a batch.
        Some(self.take(whole.unwrap_or(fit)))
    }

    /// Whole transactions, as many as fit in a batch; none of a transaction that still arrives.
    pub(crate) fn take_transactions(&mut self, size: Size) -> Option<Vec<Outbound>> {
        let fit = self.fit(size);
        let whole = self
            .ends
            .iter()
            .copied()
            .take_while(|&end| end <= fit)
            .last()?;
        Some(self.take(whole))
    }

    /// Whether what is queued is better sent one by one: it is little, and begins with a transaction of
    /// one message, which needs no batch to be whole.
    pub(crate) fn is_short(&self) -> bool {
        self.messages.len() < WORTH_A_BATCH && self.ends.front() == Some(&1)
    }

    /// The first transaction.
    pub(crate) fn take_first(&mut self) -> Option<Vec<Outbound>> {
        let end = *self.ends.front()?;
        Some(self.take(end.min(self.fit(Size::Small))))
    }

    /// Whether a write to the broker is worth it where messages need not be held together.
    pub(crate) fn is_worth_a_write(&self) -> bool {
        self.messages.len() >= WORTH_A_WRITE || self.bytes >= BYTES_WORTH_A_WRITE
    }

    /// As many messages as fit in a small batch, whatever transactions they are of.
    pub(crate) fn take_some(&mut self) -> Vec<Outbound> {
        self.take(self.fit(Size::Small))
    }

    /// How many messages from the front fit in a batch; at least one.
    ///
    /// One beside which a small batch has no room for the next goes alone, whatever the size: the broker
    /// writes it once then, and not twice.
    fn fit(&self, size: Size) -> usize {
        let small = self.fit_in(SMALL);
        match size {
            Size::Large if small > 1 => self.fit_in(LARGE),
            Size::Large | Size::Small => small,
        }
    }

    /// How many messages from the front have so many bytes; at least one.
    fn fit_in(&self, most: usize) -> usize {
        let mut bytes = 0;
        let fitting = self
            .messages
            .iter()
            .take(MAX_MESSAGES)
            .take_while(|message| {
                bytes += size(message);
                bytes <= most
            });
        fitting.count().max(1)
    }

    fn take(&mut self, count: usize) -> Vec<Outbound> {
        let count = count.min(self.messages.len());
        let batch: Vec<Outbound> = self.messages.drain(..count).collect();
        self.bytes -= batch.iter().map(size).sum::<usize>();
        while self.ends.front().is_some_and(|&end| end <= count) {
            self.ends.pop_front();
        }
        for end in &mut self.ends {
            *end -= count;
        }
        batch
    }
}

/// Bytes of a message's subject and payload.
pub(crate) fn size(message: &Outbound) -> usize {
    message.subject.len() + message.payload.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use rowcast_domain::{Lsn, Position};
    use rowcast_proto::subject::Op;

    use super::*;
    use crate::pipeline::encode::Payload;

    fn message(transaction: u64, ordinal: u64, bytes: usize) -> Outbound {
        Outbound {
            subject: "".into(),
            payload: Payload::Whole(Bytes::from(vec![0; bytes])),
            position: Position::new(Lsn::new(transaction), ordinal),
            op: Op::Insert,
        }
    }

    fn push(queue: &mut Queue, transaction: u64, count: u64, bytes: usize) {
        for ordinal in 1..=count {
            queue.push(message(transaction, ordinal, bytes));
        }
        queue.end_transaction();
    }

    #[test]
    fn a_transaction_that_fits_is_never_split() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 600, 10);
        push(&mut queue, 2, 600, 10);
        assert_eq!(queue.take_full(Size::Small).unwrap().len(), 600);
        assert!(queue.take_full(Size::Small).is_none());
        assert_eq!(queue.take_transactions(Size::Small).unwrap().len(), 600);
        assert!(queue.take_transactions(Size::Small).is_none());
    }

    #[test]
    fn a_transaction_larger_than_a_batch_goes_in_several() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 1500, 10);
        assert_eq!(queue.take_full(Size::Small).unwrap().len(), 1000);
        assert_eq!(queue.take_transactions(Size::Small).unwrap().len(), 500);
    }

    #[test]
    fn a_transaction_that_still_arrives_waits_for_its_end() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 2, 10);
        queue.push(message(2, 1, 10));
        assert_eq!(queue.take_transactions(Size::Small).unwrap().len(), 2);
        assert!(queue.take_transactions(Size::Small).is_none());
    }

    #[test]
    fn a_few_transactions_of_one_message_go_one_by_one() {
        let mut queue = Queue::default();
        for transaction in 1..12 {
            push(&mut queue, transaction, 1, 10);
        }
        assert!(queue.is_short());
        assert_eq!(queue.take_first().unwrap().len(), 1);
        push(&mut queue, 12, 1, 10);
        assert!(queue.is_short());
        push(&mut queue, 13, 1, 10);
        assert!(!queue.is_short(), "they are worth a batch");

        let mut queue = Queue::default();
        assert!(!queue.is_short() && queue.take_first().is_none());
        queue.push(message(1, 1, 10));
        assert!(!queue.is_short(), "its transaction still arrives");
        queue.push(message(1, 2, 10));
        queue.end_transaction();
        assert!(!queue.is_short(), "only a batch holds it together");
    }

    #[test]
    fn messages_that_nothing_holds_together_leave_as_they_come() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 200, 10);
        queue.push(message(2, 1, 10));
        assert!(!queue.is_worth_a_write());
        assert_eq!(queue.take_some().len(), 201);
        assert!(queue.is_empty() && queue.take_some().is_empty());
        push(&mut queue, 3, 1500, 10);
        assert!(queue.is_worth_a_write());
        assert_eq!(
            [queue.take_some().len(), queue.take_some().len()],
            [1000, 500]
        );
        push(&mut queue, 4, 1, 200_000);
        assert!(queue.is_worth_a_write());
    }

    #[test]
    fn bytes_fill_a_batch_too() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 3, 400_000);
        assert_eq!(queue.take_full(Size::Small).unwrap().len(), 2);
        assert_eq!(queue.take_transactions(Size::Small).unwrap().len(), 1);
        push(&mut queue, 2, 1, 1_000_000);
        assert_eq!(queue.take_full(Size::Small).unwrap().len(), 1);
    }

    #[test]
    fn a_batch_that_has_waited_holds_more() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 14, 60_000);
        assert!(queue.take_full(Size::Large).is_none(), "it is too little");
        for transaction in 2..80 {
            push(&mut queue, transaction, 1, 60_000);
        }
        assert!(!queue.has_room(Size::Small) && !queue.has_room(Size::Large));
        assert!(queue.is_full(Size::Large));
        assert_eq!(queue.take_full(Size::Large).unwrap().len(), 58);
        assert!(queue.has_room(Size::Large) && !queue.has_room(Size::Small));
        assert!(queue.is_full(Size::Small) && !queue.is_full(Size::Large));
        assert_eq!(queue.take_full(Size::Small).unwrap().len(), 15);
    }

    #[test]
    fn messages_as_large_as_a_small_batch_go_alone() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 4, 1_000_000);
        assert_eq!(queue.take_full(Size::Large).unwrap().len(), 1);
    }

    #[test]
    fn where_batches_take_long_they_are_small() {
        for size in [Size::Small, Size::Large] {
            assert_eq!(
                size.after(SMALL, Duration::from_millis(40)),
                Size::Large,
                "from {size:?}"
            );
            for bytes in [300, SMALL, LARGE] {
                assert_eq!(size.after(bytes, Duration::from_secs(2)), Size::Small);
            }
        }
    }

    #[test]
    fn a_burst_behind_a_tiny_batch_begins_with_small_ones() {
        let soon = Duration::from_millis(3);
        let mut queue = Queue::default();
        for transaction in 1..80 {
            push(&mut queue, transaction, 1, 60_000);
        }
        let size = Size::Small.after(300, soon);
        let first = queue.take_full(size).unwrap();
        assert_eq!(first.len(), 15);
        let size = size.after(first.iter().map(super::size).sum(), soon);
        assert_eq!(queue.take_full(size).unwrap().len(), 58);
        let size = size.after(300, soon);
        assert_eq!(size, Size::Large, "little says nothing against it");
        assert_eq!(size.after_rest(soon), Size::Large);
        assert_eq!(size.after_rest(Duration::from_secs(60)), Size::Small);
    }

    proptest! {
        #[test]
        fn messages_leave_in_order_and_small_transactions_whole(
            sizes in prop::collection::vec((1_u64..1400, 1_usize..6000), 1..12),
            size in prop::sample::select(vec![Size::Small, Size::Large]),
        ) {
            let mut queue = Queue::default();
            let mut batches = Vec::new();
            for (transaction, (count, bytes)) in (1_u64..).zip(&sizes) {
                push(&mut queue, transaction, *count, *bytes);
                while let Some(batch) = queue.take_full(size) {
                    batches.push(batch);
                }
            }
            while let Some(batch) = queue.take_transactions(size) {
                batches.push(batch);
            }
            let all: Vec<Position> = batches.iter().flatten().map(|m| m.position).collect();
            prop_assert_eq!(all.len() as u64, sizes.iter().map(|(count, _)| count).sum::<u64>());
            prop_assert!(all.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(queue.bytes, 0);
            for (transaction, (count, bytes)) in (1_u64..).zip(&sizes) {
                let fits = *count <= 1000 && usize::try_from(*count).unwrap() * bytes <= size.bytes();
                let holding = batches.iter().filter(|batch| {
                    batch.iter().any(|m| m.position.commit_lsn == Lsn::new(transaction))
                });
                prop_assert!(!fits || holding.count() == 1);
            }
        }
    }
}
