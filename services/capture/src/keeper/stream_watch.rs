//! Whether the task's stream is still what it was: nobody has emptied it, and its limits are ours.

use std::time::Duration;

use rowcast_bus::async_nats::jetstream::stream::{Config, State};
use tokio::time::Instant;

/// Room that one message may take in a stream beside its limit in bytes: the largest `max_payload` that NATS
/// recommends, and more.
const LARGEST_MESSAGE: u64 = 16 << 20;

/// What was acknowledged, and since when the stream has it.
#[derive(Debug)]
pub(crate) struct StreamWatch {
    /// What the stream was made as.
    wanted: Config,
    /// Acknowledged at the last look, and, where this session has seen it arrive, a time before that.
    sequence: u64,
    not_before: Option<Instant>,
    looked_at: Instant,
}

impl StreamWatch {
    /// `sequence` is where the stream ends now.
    pub(crate) fn new(wanted: Config, sequence: u64) -> Self {
        Self {
            wanted,
            sequence,
            not_before: None,
            looked_at: Instant::now(),
        }
    }

    /// What the stream was made as.
    pub(super) const fn wanted(&self) -> &Config {
        &self.wanted
    }

    /// Whether changes are missing that the stream's limits cannot have removed: it was purged. `acknowledged`
    /// is the last sequence that was acknowledged before `state` was asked for.
    ///
    /// Measured by our own clock from before a message was sent, for the broker's may be another one. So
    /// what was there before this session is not judged.
    pub(super) fn is_purged(
        &mut self,
        found: &Config,
        state: &State,
        acknowledged: u64,
        now: Instant,
    ) -> bool {
        let mut purged = self.lacks(found, state, now);
        if acknowledged > self.sequence {
            self.sequence = acknowledged;
            self.not_before = Some(self.looked_at);
            purged |= self.lacks(found, state, now);
        }
        self.looked_at = now;
        purged
    }

    fn lacks(&self, found: &Config, state: &State, now: Instant) -> bool {
        let Some(not_before) = self.not_before else {
            return false;
        };
        let gone = state.first_sequence > self.sequence;
        let aged =
            found.max_age > Duration::ZERO && now.duration_since(not_before) >= found.max_age;
        // A full stream stays full but for one message.
        let full = u64::try_from(found.max_bytes)
            .is_ok_and(|limit| limit > 0 && state.bytes + LARGEST_MESSAGE >= limit);
        let counted = found.max_messages > 0 || found.max_messages_per_subject > 0;
        gone && !aged && !full && !counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn state(first: u64, bytes: u64) -> State {
        let text = format!(
            r#"{{"messages":1,"bytes":{bytes},"first_seq":{first},"last_seq":{first},"consumer_count":0,
                "first_ts":"2026-01-01T00:00:00Z","last_ts":"2026-01-01T00:00:00Z"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn config(max_bytes: i64) -> Config {
        Config {
            max_age: 10 * MINUTE,
            max_bytes,
            ..Config::default()
        }
    }

    #[test]
    fn what_was_there_a_minute_ago_does_not_age_in_ten() {
        let mut watch = StreamWatch::new(config(-1), 5);
        let begin = watch.looked_at;
        assert!(!watch.is_purged(&config(-1), &state(1, 9), 7, begin + MINUTE));
        assert!(!watch.is_purged(&config(-1), &state(7, 9), 7, begin + MINUTE));
        assert!(watch.is_purged(&config(-1), &state(8, 0), 7, begin + 2 * MINUTE));
        // The same, while more arrives.
        let mut watch = StreamWatch::new(config(-1), 5);
        assert!(!watch.is_purged(&config(-1), &state(1, 9), 7, begin + MINUTE));
        assert!(watch.is_purged(&config(-1), &state(8, 9), 9, begin + 2 * MINUTE));
        // A purge before the first look.
        let mut watch = StreamWatch::new(config(-1), 5);
        assert!(watch.is_purged(&config(-1), &state(8, 0), 7, begin + MINUTE));
    }

    #[test]
    fn what_limits_remove_is_no_loss() {
        let mut watch = StreamWatch::new(config(-1), 5);
        let begin = watch.looked_at;
        assert!(!watch.is_purged(&config(-1), &state(1, 9), 7, begin + MINUTE));
        let later = begin + 11 * MINUTE;
        assert!(!watch.is_purged(&config(-1), &state(8, 0), 7, later));
        let mut watch = StreamWatch::new(config(1000), 5);
        assert!(!watch.is_purged(&config(1000), &state(8, 9), 7, begin + MINUTE));
        // What was there before this session may be as old as it likes.
        let mut watch = StreamWatch::new(config(-1), 5);
        assert!(!watch.is_purged(&config(-1), &state(6, 0), 5, begin + MINUTE));
    }
}
