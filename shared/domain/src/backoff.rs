//! How long to wait before the next try.

use std::time::Duration;

/// Doubling wait with jitter, from a first wait up to a limit.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits `first`, then twice as long each time, never over `limit`.
    #[must_use]
    pub const fn new(first: Duration, limit: Duration) -> Self {
        Self {
            first,
            limit,
            failures: 0,
        }
    }

    /// Forgets past failures.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure: between half and all of the doubled wait, so that many
    /// processes that failed together do not come back together.
    pub fn next_wait(&mut self) -> Duration {
        let full = self.full_wait();
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + rand::random::<f64>() / 2.0)
    }

    fn full_wait(&self) -> Duration {
        let factor = 2_u32.checked_pow(self.failures).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_over_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let mut full = Vec::new();
        for _ in 0..40 {
            full.push(backoff.full_wait().as_millis());
            let wait = backoff.next_wait();
            let bound = Duration::from_millis(u64::try_from(*full.last().unwrap()).unwrap());
            assert!(wait >= bound / 2 && wait <= bound);
        }
        assert_eq!(full[..5], [100, 200, 400, 800, 1000]);
        assert_eq!(full[39], 1000);
        backoff.reset();
        assert_eq!(backoff.full_wait(), Duration::from_millis(100));
    }
}
