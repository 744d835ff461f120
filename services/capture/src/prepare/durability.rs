//! Whether the broker syncs to disk before it acknowledges: proved, not assumed.

use serde::Deserialize;

use crate::error::{Error, StopReason};
use crate::monitor::{Answer, Monitors};

#[derive(Deserialize)]
struct Varz {
    /// Every server has one: what has none is no NATS server.
    server_name: String,
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
}

/// Asks every server (NATS docs, "Monitoring", `/varz`). One that is down is not held against the others
/// while they are a quorum: what they acknowledge is on the disks of a quorum.
///
/// # Errors
/// Where less than a quorum answers, or one that answers does not sync.
pub(crate) async fn prove(monitors: &Monitors) -> Result<(), Error> {
    decide(monitors.ask::<Varz>("/varz").await)
}

fn decide(answers: Vec<Answer<Varz>>) -> Result<(), Error> {
    let asked = answers.len();
    let mut answered = 0;
    let mut silent = String::new();
    for Answer { url, said } in answers {
        match said {
            Ok(varz) if varz.jetstream.config.sync_always => answered += 1,
            Ok(varz) => return Err(StopReason::BrokerNotDurable(varz.server_name).into()),
            Err(error) => silent.push_str(&format!("; {url}: {error}")),
        }
    }
    if answered <= asked / 2 {
        return Err(Error::broker(format!(
            "{answered} of {asked} NATS servers answer at their monitoring endpoints, which is no quorum{silent}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(sync_always: bool) -> Answer<Varz> {
        Answer {
            url: "http://n:8222".to_owned(),
            said: Ok(Varz {
                server_name: "n".to_owned(),
                jetstream: Jetstream {
                    config: Config { sync_always },
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
        assert!(decide(vec![server(true), silent(), server(true)]).is_ok());
        assert!(decide(vec![server(true)]).is_ok());
    }

    #[test]
    fn less_than_a_quorum_is_tried_again() {
        for answers in [
            vec![silent()],
            vec![],
            vec![server(true), silent(), silent()],
            vec![server(true), silent()],
        ] {
            assert!(matches!(decide(answers), Err(Error::Broker(_))));
        }
    }

    #[test]
    fn one_server_that_does_not_sync_is_enough_to_stop() {
        let stopped = decide(vec![server(true), server(false), server(true)]);
        assert!(matches!(
            stopped,
            Err(Error::Stop(StopReason::BrokerNotDurable(name))) if name == "n"
        ));
    }
}
