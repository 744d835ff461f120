//! What of a source's WAL is not confirmed yet, and since when it was there.

use chrono::{DateTime, Utc};

use crate::Lsn;

/// With more marks than this, those are dropped without which a time stays exact to a sixteenth. A day of
/// looks at every five seconds leaves about 200.
const MARKS: usize = 64;

/// How much longer than the time to its neighbours a mark is ago that is dropped.
const EXACTNESS: i32 = 16;

/// Marks on the way of a source's WAL: where it ended, and when that was first seen. The oldest that is not
/// confirmed says how far behind its reader is.
#[derive(Debug, Clone, Default)]
pub struct Backlog {
    marks: Vec<Mark>,
}

#[derive(Debug, Clone)]
struct Mark {
    end: Lsn,
    seen_at: DateTime<Utc>,
}

impl Backlog {
    /// What was written before `end` has been there since `seen_at`, before any of what was seen.
    pub fn add(&mut self, end: Lsn, seen_at: DateTime<Utc>) {
        self.marks.push(Mark { end, seen_at });
    }

    /// At `at` the WAL ends with `end`, and what ends at or before `confirmed` is done with.
    pub fn observe(&mut self, confirmed: Lsn, end: Lsn, at: DateTime<Utc>) {
        self.marks.retain(|mark| mark.end > confirmed);
        if end > confirmed && self.marks.iter().all(|mark| mark.end < end) {
            self.marks.push(Mark { end, seen_at: at });
        }
        if self.marks.len() > MARKS {
            self.thin(at);
        }
    }

    fn thin(&mut self, now: DateTime<Utc>) {
        let mut kept: Vec<Mark> = Vec::with_capacity(self.marks.len());
        for mark in self.marks.drain(..) {
            if let [.., before, _between] = kept.as_slice()
                && mark.seen_at - before.seen_at <= (now - mark.seen_at) / EXACTNESS
            {
                kept.pop();
            }
            kept.push(mark);
        }
        self.marks = kept;
    }

    /// Since when the first of what is not confirmed was there; `None` where everything is.
    #[must_use]
    pub fn oldest(&self) -> Option<DateTime<Utc>> {
        self.marks.iter().map(|mark| mark.seen_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn what_is_confirmed_is_forgotten() {
        let mut backlog = Backlog::default();
        backlog.observe(Lsn::new(10), Lsn::new(10), at(0));
        assert_eq!(backlog.oldest(), None);
        backlog.observe(Lsn::new(10), Lsn::new(20), at(1));
        backlog.observe(Lsn::new(10), Lsn::new(30), at(2));
        assert_eq!(backlog.oldest(), Some(at(1)));
        backlog.observe(Lsn::new(20), Lsn::new(30), at(3));
        assert_eq!(backlog.oldest(), Some(at(2)));
        backlog.observe(Lsn::new(30), Lsn::new(30), at(4));
        assert_eq!(backlog.oldest(), None);
    }

    #[test]
    fn one_that_confirms_nothing_grows_later_within_bounds() {
        let mut backlog = Backlog::default();
        for second in (0..86_400).step_by(5) {
            let end = Lsn::new(u64::try_from(second).unwrap() + 2);
            backlog.observe(Lsn::new(1), end, at(second));
            assert!(backlog.marks.len() <= 4 * MARKS);
        }
        assert_eq!(backlog.oldest(), Some(at(0)));
        // Half of the way is made up for.
        backlog.observe(Lsn::new(43_200), Lsn::new(86_400), at(86_400));
        let half = (at(86_400) - backlog.oldest().unwrap()).num_seconds();
        assert!((40_500..=43_200).contains(&half), "{half}");
    }
}
