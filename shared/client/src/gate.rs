//! Keeps changes in order where deliveries were lost.
//!
//! An acknowledgement covers everything before it, also what the server has sent and this member has
//! not received: to a process that crashed, or over a connection that broke. The server sends it
//! again only after the consumer's ack wait, and newer changes first. To hand those out would be to
//! lose the older ones with the next acknowledgement. So after a loss, changes are held until all
//! that the server counts as sent and unacknowledged is here, and are then handed out in order.
//!
//! What the caller has and has not acknowledged comes again too, and not always in order: a server that
//! was killed may send first what it no longer knows to have sent. So a repeat is held until everything
//! that the caller has not acknowledged has come again: to hand out an older change behind a newer one would be to undo it.
//!
//! Deliveries may be in another order than the changes, and an acknowledgement carries the number of a delivery: the server
//! takes one with a lower number than that of one before for old, says that it has it, and stores nothing (nats-server
//! 2.15, `processAckMsg`, `dseq <= o.adflr`). So what is handed out in the order of the changes gets the numbers of what
//! is held in their order too.
//!
//! Holds at most what the consumer may have in flight (its `max_ack_pending`).

use std::collections::{BTreeMap, BTreeSet};

/// The consumer as the server sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Stream sequence up to which everything is acknowledged.
    pub(crate) ack_floor: u64,
    /// Stream sequence of the newest change sent.
    pub(crate) delivered: u64,
    /// Number of its deliveries, counting repeats.
    pub(crate) deliveries: u64,
    /// Changes sent and not acknowledged.
    pub(crate) unacknowledged: usize,
}

/// What has passed the gate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Passed<T> {
    pub(crate) item: T,
    /// The number to acknowledge it with.
    pub(crate) number: u64,
    /// Whether it came while the caller had it already, and had not acknowledged it: a server that was killed may send it as
    /// if for the first time.
    pub(crate) is_copy: bool,
}

/// Holds items by stream sequence while something before them is missing.
#[derive(Debug)]
pub(crate) struct Gate<T> {
    /// With the number of a delivery.
    held: BTreeMap<u64, (u64, T)>,
    /// Those numbers.
    numbers: BTreeSet<u64>,
    /// Handed out and not acknowledged.
    out: BTreeSet<u64>,
    /// Held, and handed out before: acknowledged since.
    copies: BTreeSet<u64>,
    deliveries: u64,
    open: bool,
}

impl<T> Gate<T> {
    /// A gate for a member that begins now. It is open where nothing is in flight.
    pub(crate) fn new(seen: Seen) -> Self {
        Self {
            held: BTreeMap::new(),
            numbers: BTreeSet::new(),
            out: BTreeSet::new(),
            copies: BTreeSet::new(),
            deliveries: seen.deliveries,
            open: seen.unacknowledged == 0,
        }
    }

    /// Notes a delivery; one missing before it closes the gate.
    pub(crate) fn count(&mut self, delivery: u64) {
        if delivery != self.deliveries + 1 {
            self.open = false;
        }
        self.deliveries = delivery;
    }

    /// Takes an item that came with this delivery; a repeat of what is out closes the gate.
    pub(crate) fn hold(&mut self, sequence: u64, delivery: u64, item: T) {
        if self.out.contains(&sequence) {
            self.open = false;
        }
        // What comes behind an acknowledgement may be news: the server has forgotten that.
        self.copies.remove(&sequence);
        self.numbers.insert(delivery);
        if let Some((before, _item)) = self.held.insert(sequence, (delivery, item))
            && before != delivery
        {
            self.numbers.remove(&before);
        }
    }

    /// The next item, where nothing before it is missing.
    pub(crate) fn next(&mut self) -> Option<Passed<T>> {
        if !self.open {
            return None;
        }
        let (sequence, (delivery, item)) = self.held.pop_first()?;
        let is_acknowledged = self.copies.remove(&sequence);
        let is_copy = !self.out.insert(sequence) || is_acknowledged;
        let number = self.numbers.pop_first().unwrap_or(delivery);
        if number != delivery
            && let Some((other, _item)) = self.held.values_mut().find(|held| held.0 == number)
        {
            *other = delivery;
        }
        Some(Passed {
            item,
            number,
            is_copy,
        })
    }

    /// Forgets what the caller had and has acknowledged. What is held stays, until it is looked at the server.
    pub(crate) fn acknowledged(&mut self, sequence: u64) {
        let rest = self.out.split_off(&(sequence + 1));
        let acknowledged = std::mem::replace(&mut self.out, rest);
        let copies = acknowledged.into_iter();
        self.copies
            .extend(copies.filter(|sequence| self.held.contains_key(sequence)));
    }

    /// Closes the gate: deliveries may be lost.
    pub(crate) const fn close(&mut self) {
        self.open = false;
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// Opens the gate where everything that the server has in flight is here. What it has acknowledged for another reader of
    /// the consumer goes: that one has it, and what came behind.
    pub(crate) fn check(&mut self, seen: Seen) {
        let rest = self.held.split_off(&(seen.ack_floor + 1));
        let done = std::mem::replace(&mut self.held, rest);
        for (sequence, (delivery, _item)) in done {
            self.numbers.remove(&delivery);
            self.copies.remove(&sequence);
        }
        let in_flight = seen.ack_floor + 1..=seen.delivered;
        let here = if in_flight.is_empty() {
            0
        } else {
            let held = self.held.range(in_flight.clone()).count();
            let out = self.out.range(in_flight).count();
            if self.has_repeats() { held } else { held + out }
        };
        self.open = here >= seen.unacknowledged;
    }

    /// Whether something is held that the caller has already: all of that is to come again, so the server must
    /// not be asked to wait on for any of it.
    pub(crate) fn has_repeats(&self) -> bool {
        self.held.keys().any(|sequence| self.out.contains(sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ack_floor: u64, delivered: u64, unacknowledged: usize) -> Seen {
        Seen {
            ack_floor,
            delivered,
            deliveries: delivered,
            unacknowledged,
        }
    }

    fn drain(gate: &mut Gate<u64>) -> Vec<u64> {
        std::iter::from_fn(|| gate.next())
            .map(|passed| passed.item)
            .collect()
    }

    fn deliver(gate: &mut Gate<u64>, delivery: u64, sequence: u64) {
        gate.count(delivery);
        gate.hold(sequence, delivery, sequence);
    }

    #[test]
    fn without_a_loss_changes_pass() {
        let mut gate = Gate::new(seen(4, 4, 0));
        deliver(&mut gate, 5, 5);
        assert_eq!(drain(&mut gate), [5]);
        deliver(&mut gate, 6, 9);
        assert_eq!(drain(&mut gate), [9]);
    }

    #[test]
    fn what_a_crashed_member_was_sent_comes_before_what_is_new() {
        // 5 and 6 were sent to a member that crashed.
        let mut gate = Gate::new(seen(4, 6, 2));
        deliver(&mut gate, 7, 7);
        gate.check(seen(4, 7, 3));
        assert!(drain(&mut gate).is_empty());
        deliver(&mut gate, 8, 5);
        deliver(&mut gate, 9, 6);
        gate.check(seen(4, 7, 3));
        assert_eq!(drain(&mut gate), [5, 6, 7]);
    }

    #[test]
    fn a_lost_delivery_closes_the_gate() {
        let mut gate = Gate::new(seen(0, 0, 0));
        deliver(&mut gate, 1, 1);
        assert_eq!(drain(&mut gate), [1]);
        deliver(&mut gate, 3, 3);
        assert!(drain(&mut gate).is_empty());
        // The caller acknowledges what it has; 2 comes again.
        gate.acknowledged(1);
        gate.check(seen(1, 3, 2));
        assert!(!gate.is_open());
        deliver(&mut gate, 4, 2);
        gate.check(seen(1, 3, 2));
        assert_eq!(drain(&mut gate), [2, 3]);
    }

    #[test]
    fn a_repeat_of_what_is_out_counts_once() {
        let mut gate = Gate::new(seen(0, 0, 0));
        deliver(&mut gate, 1, 1);
        assert_eq!(drain(&mut gate), [1]);
        deliver(&mut gate, 3, 3);
        deliver(&mut gate, 4, 1);
        gate.check(seen(0, 3, 3));
        assert!(!gate.is_open());
    }

    #[test]
    fn what_is_out_comes_again_in_order_or_not_at_all() {
        let mut gate = Gate::new(seen(0, 0, 0));
        for sequence in 1..=3 {
            deliver(&mut gate, sequence, sequence);
        }
        assert_eq!(drain(&mut gate), [1, 2, 3]);
        // The server was killed: it knows of 1 only.
        gate.close();
        deliver(&mut gate, 2, 2);
        gate.check(seen(0, 2, 2));
        assert!(drain(&mut gate).is_empty());
        deliver(&mut gate, 3, 3);
        deliver(&mut gate, 4, 1);
        gate.check(seen(0, 3, 3));
        assert_eq!(drain(&mut gate), [1, 2, 3]);
    }

    #[test]
    fn nothing_new_passes_between_repeats() {
        let mut gate = Gate::new(seen(0, 0, 0));
        deliver(&mut gate, 1, 1);
        deliver(&mut gate, 2, 2);
        assert_eq!(drain(&mut gate), [1, 2]);
        deliver(&mut gate, 3, 1);
        deliver(&mut gate, 4, 3);
        gate.check(seen(0, 3, 3));
        assert!(drain(&mut gate).is_empty());
        deliver(&mut gate, 5, 2);
        gate.check(seen(0, 3, 3));
        assert_eq!(drain(&mut gate), [1, 2, 3]);
    }

    #[test]
    fn numbers_rise_with_the_changes() {
        let mut gate = Gate::new(seen(4, 7, 3));
        // What is new comes first, and one comes twice.
        for (delivery, sequence) in [(8, 8), (9, 6), (10, 5), (11, 6), (12, 7)] {
            deliver(&mut gate, delivery, sequence);
        }
        gate.check(seen(4, 8, 4));
        let mut next = || gate.next().map(|passed| (passed.item, passed.number));
        let passed: Vec<_> = std::iter::from_fn(&mut next).collect();
        assert_eq!(passed, [(5, 8), (6, 10), (7, 11), (8, 12)]);
        deliver(&mut gate, 13, 9);
        let passed = gate.next().map(|passed| (passed.item, passed.number));
        assert_eq!(passed, Some((9, 13)));
    }

    #[test]
    fn what_came_again_before_its_acknowledgement_is_a_copy() {
        let mut gate = Gate::new(seen(0, 0, 0));
        deliver(&mut gate, 1, 1);
        assert!(!gate.next().unwrap().is_copy);
        // The server was killed, and sends it again as if for the first time; then the caller's acknowledgement is stored,
        // on its leader alone.
        deliver(&mut gate, 1, 1);
        gate.acknowledged(1);
        gate.check(seen(0, 1, 1));
        assert!(gate.next().unwrap().is_copy);
        // It was killed once more behind that, and has forgotten it.
        gate.acknowledged(1);
        deliver(&mut gate, 1, 1);
        gate.check(seen(0, 1, 1));
        assert!(!gate.next().unwrap().is_copy);
        // What the caller still has is one too.
        deliver(&mut gate, 2, 1);
        gate.check(seen(0, 1, 1));
        assert!(gate.next().unwrap().is_copy);
    }

    #[test]
    fn what_another_reader_has_acknowledged_is_not_handed_out_behind_it() {
        let mut gate = Gate::new(seen(10, 10, 0));
        deliver(&mut gate, 12, 12);
        deliver(&mut gate, 14, 14);
        assert!(drain(&mut gate).is_empty());
        // Another one was sent these, and those between, and has acknowledged 15.
        gate.check(seen(15, 15, 0));
        assert!(drain(&mut gate).is_empty());
        deliver(&mut gate, 15, 16);
        assert_eq!(drain(&mut gate), [16]);
    }

    #[test]
    fn an_empty_consumer_opens_the_gate() {
        let mut gate: Gate<u64> = Gate::new(seen(0, 6, 2));
        gate.check(seen(6, 6, 0));
        assert!(gate.is_open());
    }
}
