//! What may be confirmed where the broker syncs to disk only now and then. Pure but for its clock.
//!
//! ```text
//! acknowledged ─▶ waits ─▶ checkpoint ─▶ waits ─▶ confirmed to PostgreSQL
//! ```
//!
//! What the broker has acknowledged it may still lose with its machine, until it has synced. So the
//! checkpoint tells only what was acknowledged that long ago, and, as it lies with the same broker,
//! PostgreSQL is told only what was in the checkpoint that long ago. After such a loss the stream ends
//! behind the checkpoint, and the source still has what follows.
//!
//! Where the broker syncs before it acknowledges, nothing waits.

use std::collections::VecDeque;
use std::time::Duration;

use rowcast_domain::Lsn;
use tokio::time::Instant;

use super::progress::Durable;

/// What waits, oldest first: at most two entries for each second of the time.
#[derive(Debug)]
pub(crate) struct HoldBack {
    by: Duration,
    acknowledged: VecDeque<(Instant, Durable)>,
    /// What the checkpoint may say.
    safe: Durable,
    kept: VecDeque<(Instant, Lsn)>,
    /// What PostgreSQL may be told.
    confirmable: Lsn,
}

impl HoldBack {
    /// Holds back by this time; when the session begins, the checkpoint says `safe`, and PostgreSQL was told
    /// `confirmed`.
    pub(crate) const fn new(by: Duration, safe: Durable, confirmed: Lsn) -> Self {
        Self {
            by,
            acknowledged: VecDeque::new(),
            safe,
            kept: VecDeque::new(),
            confirmable: confirmed,
        }
    }

    /// Takes over what is acknowledged by now; tells what the checkpoint may say.
    pub(crate) fn acknowledge(&mut self, durable: Durable, now: Instant) -> Durable {
        let newest = self
            .acknowledged
            .back()
            .map_or(&self.safe, |(_, last)| last);
        if *newest != durable {
            self.acknowledged.push_back((now, durable));
        }
        while let Some((_, safe)) = self
            .acknowledged
            .pop_front_if(|(since, _)| now.duration_since(*since) >= self.by)
        {
            // The slot may stand before what an earlier session has written down.
            let lsn = safe.lsn.max(self.safe.lsn);
            self.safe = Durable { lsn, ..safe };
        }
        self.safe
    }

    /// The checkpoint says that everything up to `lsn` is safe.
    pub(crate) fn keep(&mut self, lsn: Lsn, now: Instant) {
        let newest = self.kept.back().map_or(self.confirmable, |(_, last)| *last);
        if lsn > newest {
            self.kept.push_back((now, lsn));
        }
    }

    /// What PostgreSQL may be told.
    pub(crate) fn confirmable(&mut self, now: Instant) -> Lsn {
        while let Some((_, lsn)) = self
            .kept
            .pop_front_if(|(since, _)| now.duration_since(*since) >= self.by)
        {
            self.confirmable = lsn;
        }
        self.confirmable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn durable(lsn: u64) -> Durable {
        Durable {
            lsn: Lsn::new(lsn),
            sequence: lsn,
            ..Durable::default()
        }
    }

    #[test]
    fn nothing_waits_where_the_broker_syncs_at_once() {
        let now = Instant::now();
        let mut held = HoldBack::new(Duration::ZERO, durable(1), Lsn::new(1));
        assert_eq!(held.acknowledge(durable(2), now), durable(2));
        held.keep(Lsn::new(2), now);
        assert_eq!(held.confirmable(now), Lsn::new(2));
    }

    #[test]
    fn the_checkpoint_waits_once_and_postgresql_twice() {
        let begin = Instant::now();
        let mut held = HoldBack::new(3 * SECOND, durable(1), Lsn::new(1));
        let mut confirmed = Vec::new();
        for second in 0..8_u32 {
            let now = begin + second * SECOND;
            let safe = held.acknowledge(durable(10 + u64::from(second)), now);
            let expected = if second < 3 { 1 } else { 7 + u64::from(second) };
            assert_eq!(safe, durable(expected), "{second}");
            held.keep(safe.lsn, now);
            confirmed.push(held.confirmable(now).as_u64());
        }
        assert_eq!(confirmed, [1, 1, 1, 1, 1, 1, 10, 11]);
    }

    #[test]
    fn what_stays_the_same_waits_once() {
        let begin = Instant::now();
        let mut held = HoldBack::new(3 * SECOND, durable(1), Lsn::new(1));
        for second in 0..100_u32 {
            held.acknowledge(durable(2), begin + second * SECOND);
            held.keep(Lsn::new(2), begin + second * SECOND);
        }
        assert!(held.acknowledged.is_empty() && held.kept.len() <= 1);
        assert_eq!(held.confirmable(begin + 200 * SECOND), Lsn::new(2));
    }
}
