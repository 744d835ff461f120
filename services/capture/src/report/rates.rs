//! How fast a task's changes come into the stream. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Over how long a rate is taken.
const OVER: Duration = Duration::from_secs(10);

/// How much had come at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Come {
    /// Messages: a sequence of the stream, or any number that grows with them.
    pub(super) messages: u64,
    /// Bytes of payload.
    pub(super) bytes: u64,
    /// How long a processor was at it.
    pub(super) busy: Duration,
}

/// What came, a second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rate {
    pub(super) messages: f64,
    pub(super) bytes: f64,
    /// Of one processor, 1 for all of its time.
    pub(super) busy: f64,
}

/// What had come at each look of the last ten seconds.
#[derive(Debug, Default)]
pub(super) struct Rates {
    looks: VecDeque<(Instant, Come)>,
}

impl Rates {
    /// At `now` so much had come. A session that begins anew counts from the beginning.
    pub(super) fn look(&mut self, come: Come, now: Instant) -> Rate {
        let restarted =
            |(_, last): &(Instant, Come)| come.messages < last.messages || come.bytes < last.bytes;
        if self.looks.back().is_some_and(restarted) {
            self.looks.clear();
        }
        self.looks.push_back((now, come));
        // One is kept that is older, so that the whole span is measured.
        while let Some((second, _)) = self.looks.get(1)
            && now.duration_since(*second) >= OVER
        {
            self.looks.pop_front();
        }
        let Some(&(since, first)) = self.looks.front() else {
            return Rate::default();
        };
        let seconds = now.duration_since(since).as_secs_f64();
        if seconds <= 0.0 {
            return Rate::default();
        }
        Rate {
            messages: as_float(come.messages - first.messages) / seconds,
            bytes: as_float(come.bytes - first.bytes) / seconds,
            busy: come.busy.saturating_sub(first.busy).as_secs_f64() / seconds,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is a float")]
const fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come(messages: u64) -> Come {
        Come {
            messages,
            bytes: messages * 100,
            busy: Duration::from_millis(messages),
        }
    }

    fn is(rate: Rate, messages: f64) -> bool {
        (rate.messages - messages).abs() < 0.01
            && (rate.bytes - messages * 100.0).abs() < 1.0
            && (rate.busy - messages / 1000.0).abs() < 0.001
    }

    #[test]
    fn a_rate_is_that_of_the_last_ten_seconds() {
        let mut rates = Rates::default();
        let begin = Instant::now();
        let second = Duration::from_secs(1);
        assert!(is(rates.look(come(0), begin), 0.0));
        assert!(is(rates.look(come(50), begin + second), 50.0));
        for past in 2..60 {
            let rate = rates.look(come(50 * u64::from(past)), begin + past * second);
            assert!(is(rate, 50.0), "{rate:?}");
            assert!(rates.looks.len() <= 12);
        }
        // Nothing comes any more.
        assert!(is(rates.look(come(50 * 59), begin + 64 * second), 25.0));
        assert!(is(rates.look(come(50 * 59), begin + 80 * second), 0.0));
    }

    #[test]
    fn a_session_that_begins_anew_is_measured_anew() {
        let mut rates = Rates::default();
        let begin = Instant::now();
        rates.look(come(1_000), begin);
        let rate = rates.look(come(10), begin + Duration::from_secs(1));
        assert!(is(rate, 0.0));
        let rate = rates.look(come(30), begin + Duration::from_secs(3));
        assert!(is(rate, 10.0));
    }
}
