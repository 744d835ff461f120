//! What a server says of itself: whether it syncs before it acknowledges, and how much it may store.

use std::time::Duration;

use serde::Deserialize;

use super::Answer;

/// A server (NATS docs, "Monitoring", `/varz`).
#[derive(Debug, Clone, Deserialize)]
pub struct ServerState {
    /// Every server has one: what has none is no NATS server.
    #[serde(rename = "server_name")]
    pub name: String,
    /// Such as `2.15.1`.
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Debug, Clone, Deserialize, Default)]
struct JetStream {
    #[serde(default)]
    config: Option<Config>,
    #[serde(default)]
    stats: Stats,
}

#[derive(Debug, Clone, Deserialize, Default)]
struct Config {
    /// Set only where the configuration says `sync_interval: always`.
    #[serde(default)]
    sync_always: bool,
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
    /// Bytes; `max_file_store` in the configuration.
    #[serde(default)]
    max_storage: u64,
}

#[derive(Debug, Clone, Deserialize, Default)]
struct Stats {
    /// Bytes of all streams.
    #[serde(default)]
    storage: u64,
    /// Bytes that streams with a limit may come to.
    #[serde(default)]
    reserved_storage: u64,
}

/// Less than a quorum of the servers answers.
#[derive(Debug, thiserror::Error)]
#[error(
    "{answered} of {asked} NATS servers answer at their monitoring endpoints, which is no quorum{silent}"
)]
pub struct NoQuorum {
    answered: usize,
    asked: usize,
    silent: String,
}

/// The server's own default, where it tells none (NATS docs, "Configuring JetStream").
const DEFAULT_INTERVAL: Duration = Duration::from_mins(2);

/// What was written just after a sync began is synced by the next one.
const INTERVALS: u32 = 2;

impl ServerState {
    /// Whether it stores streams at all.
    #[must_use]
    pub const fn has_jetstream(&self) -> bool {
        self.jetstream.config.is_some()
    }

    /// Bytes that streams may take on its disk.
    #[must_use]
    pub fn most_storage(&self) -> u64 {
        let config = self.jetstream.config.as_ref();
        config.map_or(0, |config| config.max_storage)
    }

    /// Bytes that streams take on its disk.
    #[must_use]
    pub const fn used_storage(&self) -> u64 {
        self.jetstream.stats.storage
    }

    /// Bytes that streams with a limit may come to. With a further stream's limit they must stay below
    /// [`Self::most_storage`], or the server refuses the stream (error 10047).
    #[must_use]
    pub const fn reserved_storage(&self) -> u64 {
        self.jetstream.stats.reserved_storage
    }

    /// How long after its acknowledgement a message may still be lost with the machine.
    #[must_use]
    pub fn hold_back(&self) -> Duration {
        let config = self.jetstream.config.clone().unwrap_or_default();
        if config.sync_always {
            return Duration::ZERO;
        }
        let interval = match config.sync_interval {
            0 => DEFAULT_INTERVAL,
            nanoseconds => Duration::from_nanos(nanoseconds),
        };
        INTERVALS * interval
    }
}

pub(super) fn hold_back(answers: &[Answer<ServerState>]) -> Result<Duration, NoQuorum> {
    let asked = answers.len();
    let mut answered = 0;
    let mut silent = String::new();
    let mut longest = Duration::ZERO;
    for Answer { url, said } in answers {
        match said {
            Ok(state) => {
                answered += 1;
                longest = longest.max(state.hold_back());
            }
            Err(error) => silent.push_str(&format!("; {url}: {error}")),
        }
    }
    if answered <= asked / 2 {
        return Err(NoQuorum {
            answered,
            asked,
            silent,
        });
    }
    Ok(longest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(sync_always: bool, seconds: u64) -> Answer<ServerState> {
        let interval = seconds * 1_000_000_000;
        let varz = json!({
            "server_name": "n", "version": "2.15.1",
            "jetstream": {"config": {"sync_always": sync_always, "sync_interval": interval}},
        });
        Answer {
            url: "http://n:8222".to_owned(),
            said: Ok(serde_json::from_value(varz).unwrap()),
        }
    }

    fn silent() -> Answer<ServerState> {
        Answer {
            url: "http://n:8222".to_owned(),
            said: Err("refused".to_owned()),
        }
    }

    #[test]
    fn one_silent_server_of_three_is_not_held_against_the_others() {
        let synced = server(true, 0);
        let held = hold_back(&[server(true, 120), silent(), synced]);
        assert!(held.is_ok_and(|held| held.is_zero()));
    }

    #[test]
    fn less_than_a_quorum_proves_nothing() {
        for answers in [
            vec![silent()],
            vec![],
            vec![server(true, 0), silent(), silent()],
            vec![server(true, 0), silent()],
        ] {
            hold_back(&answers).unwrap_err();
        }
    }

    #[test]
    fn one_server_that_syncs_later_holds_everything_back() {
        let held = |answers: &[_]| hold_back(answers).unwrap().as_secs();
        assert_eq!(
            held(&[server(true, 0), server(false, 30), server(true, 0)]),
            60
        );
        assert_eq!(held(&[server(false, 0)]), 240);
    }

    #[test]
    fn a_server_without_streams_says_so() {
        let plain: ServerState = serde_json::from_value(json!({"server_name": "n"})).unwrap();
        assert!(!plain.has_jetstream() && plain.most_storage() == 0);
    }
}
