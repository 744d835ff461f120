//! How far a task is behind its source. Pure.
//!
//! ```text
//! reports ─▶ marks: the end of WAL, and when it was first seen ─▶ the oldest that is not confirmed ─▶ delay
//! ```

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_domain::{Backlog, Lsn};
use rowcast_proto::message::{CaptureState, TaskStatus};

/// A running task reports every five seconds; nothing is known of one that has not for this long.
const SILENCE: TimeDelta = TimeDelta::seconds(30);

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Seen {
    /// Changes flow; what is confirmed, and where WAL ends.
    Flowing {
        /// What is confirmed.
        confirmed: Lsn,
        /// Where WAL ends.
        end: Lsn,
    },
    /// They flow, and how far is not told.
    Unmeasured,
    /// They should flow, and do not.
    Interrupted,
    /// It waits for a decision, which is an incident of its own.
    Stopped,
}

impl Seen {
    /// Of the last report on a task that should run, `age` after it came.
    pub(crate) fn of(status: Option<&TaskStatus>, age: TimeDelta) -> Self {
        let Some(status) = status else {
            return Self::Interrupted;
        };
        match status.state() {
            CaptureState::Running if age > SILENCE => Self::Interrupted,
            CaptureState::Running => {
                match (status.confirmed_lsn.parse(), status.source_lsn.parse()) {
                    (Ok(confirmed), Ok(end)) => Self::Flowing { confirmed, end },
                    (Err(_), _) | (_, Err(_)) => Self::Unmeasured,
                }
            }
            CaptureState::Stopped => Self::Stopped,
            CaptureState::Unspecified => Self::Unmeasured,
            // The last two are of an older wish: it has not begun yet.
            CaptureState::Starting
            | CaptureState::Retrying
            | CaptureState::Suspended
            | CaptureState::Released => Self::Interrupted,
        }
    }
}

/// What a task that should run has still to confirm.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    backlog: Backlog,
    /// Since when nothing flows.
    interrupted: Option<DateTime<Utc>>,
}

impl Behind {
    /// A task that was last known to be caught up at `then`.
    pub(crate) fn since(then: DateTime<Utc>) -> Self {
        Self {
            backlog: Backlog::default(),
            interrupted: Some(then),
        }
    }

    /// Takes what was seen at `at`.
    pub(crate) fn observe(&mut self, seen: Seen, at: DateTime<Utc>) {
        match seen {
            Seen::Flowing { confirmed, end } => self.flowing(confirmed, end, at),
            Seen::Unmeasured => {}
            Seen::Interrupted | Seen::Stopped => {
                self.interrupted.get_or_insert(at);
            }
        }
    }

    fn flowing(&mut self, confirmed: Lsn, end: Lsn, at: DateTime<Utc>) {
        // What was written meanwhile is made up for once all of it is confirmed.
        if let Some(seen_at) = self.interrupted.take() {
            self.backlog.add(end, seen_at);
        }
        self.backlog.observe(confirmed, end, at);
    }

    /// How long ago the first of what is not confirmed was seen.
    pub(crate) fn delay(&self, now: DateTime<Utc>) -> TimeDelta {
        let first = self
            .backlog
            .oldest()
            .into_iter()
            .chain(self.interrupted)
            .min();
        first.map_or(TimeDelta::zero(), |first| {
            (now - first).max(TimeDelta::zero())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn flowing(confirmed: u64, end: u64) -> Seen {
        Seen::Flowing {
            confirmed: Lsn::new(confirmed),
            end: Lsn::new(end),
        }
    }

    fn delay(behind: &Behind, now: i64) -> i64 {
        behind.delay(at(now)).num_seconds()
    }

    #[test]
    fn a_busy_task_that_keeps_up_is_as_late_as_its_oldest_mark() {
        let mut behind = Behind::default();
        for second in (0..600).step_by(5) {
            let end = u64::try_from(second).unwrap() * 100;
            // What was written ten seconds ago is confirmed.
            behind.observe(flowing(end.saturating_sub(1000), end), at(second));
            assert!(delay(&behind, second) <= 10, "at {second}");
        }
        behind.observe(flowing(60_000, 60_000), at(600));
        assert_eq!(delay(&behind, 900), 0);
    }

    #[test]
    fn an_interruption_counts_until_all_of_it_is_confirmed() {
        let mut behind = Behind::default();
        behind.observe(flowing(100, 100), at(0));
        behind.observe(Seen::Interrupted, at(10));
        behind.observe(Seen::Interrupted, at(60));
        assert_eq!(delay(&behind, 100), 90);
        behind.observe(flowing(150, 900), at(110));
        assert_eq!(delay(&behind, 110), 100);
        behind.observe(flowing(899, 950), at(115));
        assert_eq!(delay(&behind, 115), 105);
        behind.observe(flowing(900, 960), at(120));
        assert_eq!(delay(&behind, 120), 5);
        let found = Behind::since(at(-70));
        assert_eq!(delay(&found, 0), 70);
    }

    #[test]
    fn an_interruption_forgets_nothing_of_what_was_behind_before() {
        let mut behind = Behind::default();
        for second in (0..10_800).step_by(5) {
            let end = u64::try_from(second).unwrap() + 2;
            behind.observe(flowing(1, end), at(second));
        }
        behind.observe(Seen::Interrupted, at(10_800));
        for second in (10_810..10_900).step_by(5) {
            let end = u64::try_from(second).unwrap() + 2;
            behind.observe(flowing(1, end), at(second));
        }
        assert_eq!(delay(&behind, 10_900), 10_900);
    }

    #[test]
    fn a_report_says_whether_changes_flow() {
        let status = |state: CaptureState, confirmed: &str| TaskStatus {
            state: state.into(),
            confirmed_lsn: confirmed.to_owned(),
            source_lsn: "0/20".to_owned(),
            ..TaskStatus::default()
        };
        let seen = |status: &TaskStatus, age: i64| Seen::of(Some(status), TimeDelta::seconds(age));
        let running = status(CaptureState::Running, "0/10");
        assert_eq!(seen(&running, 5), flowing(16, 32));
        assert_eq!(seen(&running, 31), Seen::Interrupted);
        assert_eq!(
            seen(&status(CaptureState::Running, ""), 5),
            Seen::Unmeasured
        );
        assert_eq!(seen(&status(CaptureState::Stopped, ""), 99), Seen::Stopped);
        assert_eq!(
            seen(&status(CaptureState::Retrying, ""), 99),
            Seen::Interrupted
        );
        assert_eq!(Seen::of(None, TimeDelta::zero()), Seen::Interrupted);
    }
}
