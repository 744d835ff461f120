//! Whether the broker syncs to disk before it acknowledges, and else how much later: asked, not assumed.

use std::time::Duration;

use serde::Deserialize;

use crate::error::Error;
use crate::monitor::{Answer, Monitors};

#[derive(Deserialize)]
struct Varz {
    /// Every server has one: what has none is no NATS server.
    #[serde(rename = "server_name")]
    _server_name: String,
    #[serde(default)]
    jetstream: Jetstream,
}

#[derive(Deserialize, Default)]
struct Jetstream {
    #[serde(default)]
    config: Config,
}

#[derive(Deserialize, Default)]
struct Config {
    /// Set only where the configuration says `sync_interval: always`.
    #[serde(default)]
    sync_always: bool,
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
}

/// The server's own default, where it tells none (NATS docs, "Configuring JetStream").
const DEFAULT_INTERVAL: Duration = Duration::from_mins(2);

/// What was written just after a sync began is synced by the next one.
const INTERVALS: u32 = 2;

impl Config {
    /// How long after its acknowledgement a message may still be lost.
    fn hold_back(&self) -> Duration {
        if self.sync_always {
            return Duration::ZERO;
        }
        let interval = match self.sync_interval {
            0 => DEFAULT_INTERVAL,
            nanoseconds => Duration::from_nanos(nanoseconds),
        };
        INTERVALS * interval
    }
}

/// Asks every server (NATS docs, "Monitoring", `/varz`). One that is down is not held against the others
/// while they are a quorum: what they acknowledge is on the disks of a quorum. Tells how long after its
/// acknowledgement a message may still be lost with the machines.
///
/// # Errors
/// Where less than a quorum answers.
pub(crate) async fn hold_back(monitors: &Monitors) -> Result<Duration, Error> {
    decide(monitors.ask::<Varz>("/varz").await)
}

fn decide(answers: Vec<Answer<Varz>>) -> Result<Duration, Error> {
    let asked = answers.len();
    let mut answered = 0;
    let mut silent = String::new();
    let mut longest = Duration::ZERO;
    for Answer { url, said } in answers {
        match said {
            Ok(varz) => {
                answered += 1;
                longest = longest.max(varz.jetstream.config.hold_back());
            }
            Err(error) => silent.push_str(&format!("; {url}: {error}")),
        }
    }
    if answered <= asked / 2 {
        return Err(Error::broker(format!(
            "{answered} of {asked} NATS servers answer at their monitoring endpoints, which is no quorum{silent}"
        )));
    }
    Ok(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(sync_always: bool, seconds: u64) -> Answer<Varz> {
        Answer {
            url: "http://n:8222".to_owned(),
            said: Ok(Varz {
                _server_name: "n".to_owned(),
                jetstream: Jetstream {
                    config: Config {
                        sync_always,
                        sync_interval: seconds * 1_000_000_000,
                    },
                },
            }),
        }
    }

    fn silent() -> Answer<Varz> {
        Answer {
            url: "http://n:8222".to_owned(),
            said: Err("refused".to_owned()),
        }
    }

    #[test]
    fn one_silent_server_of_three_is_not_held_against_the_others() {
        let synced = server(true, 0);
        let decided = decide(vec![server(true, 120), silent(), synced]);
        assert!(decided.is_ok_and(|held| held.is_zero()));
    }

    #[test]
    fn less_than_a_quorum_is_tried_again() {
        for answers in [
            vec![silent()],
            vec![],
            vec![server(true, 0), silent(), silent()],
            vec![server(true, 0), silent()],
        ] {
            assert!(matches!(decide(answers), Err(Error::Broker(_))));
        }
    }

    #[test]
    fn one_server_that_syncs_later_holds_everything_back() {
        let held = |answers| decide(answers).unwrap().as_secs();
        assert_eq!(
            held(vec![server(true, 0), server(false, 30), server(true, 0)]),
            60
        );
        assert_eq!(held(vec![server(false, 0)]), 240);
    }
}
