//! Moments at which all tasks of a process do what they do now and then.
//!
//! A process may have hundreds of tasks that each renew a lease, report, or look at something every second or
//! so. At moments of their own they would wake it a thousand times a second, each for a few microseconds of
//! work; at the same ones it wakes once, and what they send leaves in one write.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// What the moments are counted from.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The next moment of this period.
#[must_use]
pub fn next(period: Duration) -> Instant {
    let begin = *BEGIN;
    let passed = begin.elapsed().as_nanos() % period.as_nanos().max(1);
    let passed = u64::try_from(passed).unwrap_or_default();
    Instant::now() + period.saturating_sub(Duration::from_nanos(passed))
}

/// Ticks at every moment of this period; not at once, and not again for those that were missed.
#[must_use]
pub fn every(period: Duration) -> Interval {
    let mut timer = interval_at(next(period), period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    timer
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn whoever_begins_when_ticks_at_the_same_moments() {
        let mut first = every(PERIOD);
        tokio::time::advance(PERIOD / 3).await;
        let mut second = every(PERIOD);
        for _ in 0..3 {
            let (one, other) = (first.tick().await, second.tick().await);
            let apart = one.max(other) - one.min(other);
            // What is measured takes a moment itself.
            assert!(apart < PERIOD / 10, "{apart:?}");
        }
        tokio::time::advance(5 * PERIOD / 2).await;
        let late = first.tick().await;
        assert!(late <= Instant::now());
        assert!(first.tick().await > Instant::now() - PERIOD / 10);
    }
}
