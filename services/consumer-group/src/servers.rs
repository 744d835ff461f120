//! Asks every NATS server, by the system account, and knows how many answers are to come.

use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::Bus;
use rowcast_bus::async_nats::{Message, Subscriber};
use rowcast_proto::subject;
use rowcast_service::BoxError;
use serde::Deserialize;
use tokio::time::Instant;

/// How long the servers may take to tell how many they are.
const COUNT: Duration = Duration::from_millis(150);

/// Where all have answered, others have this long: a server that has just started knows of few.
const MORE: Duration = Duration::from_millis(250);

/// What all servers answer to one question.
#[derive(Debug)]
pub(crate) struct Answers {
    replies: Subscriber,
    until: Instant,
    heard: usize,
    /// How many there are; `None` where that is not known.
    servers: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    statsz: Statistics,
}

#[derive(Deserialize)]
struct Statistics {
    active_servers: usize,
}

impl Answers {
    /// Asks. What is answered later than `within` is not heard.
    ///
    /// # Errors
    /// Where there is no connection to ask by.
    pub(crate) async fn ask(
        system: &Bus,
        subject: &'static str,
        question: Vec<u8>,
        within: Duration,
    ) -> Result<Self, BoxError> {
        let client = system.client();
        let inbox = client.new_inbox();
        let replies = client.subscribe(inbox.clone()).await?;
        client
            .publish_with_reply(subject, inbox, question.into())
            .await?;
        let until = Instant::now() + within;
        let servers = match tokio::time::timeout(COUNT, number_of_servers(system)).await {
            Ok(Ok(number)) => Some(number),
            Ok(Err(error)) => {
                tracing::debug!(%error, "how many NATS servers there are is not known");
                None
            }
            Err(_elapsed) => None,
        };
        Ok(Self {
            replies,
            until,
            heard: 0,
            servers,
        })
    }

    /// The next answer; `None` once all have answered, or none has for that long.
    pub(crate) async fn next(&mut self, patience: Duration) -> Option<Message> {
        let are_all = self.servers.is_some_and(|servers| self.heard >= servers);
        let patience = if are_all {
            MORE.min(patience)
        } else {
            patience
        };
        let until = self.until.min(Instant::now() + patience);
        let answer = tokio::time::timeout_at(until, self.replies.next()).await;
        let answer = answer.ok().flatten()?;
        self.heard += 1;
        Some(answer)
    }

    /// Servers that have answered.
    pub(crate) const fn heard(&self) -> usize {
        self.heard
    }

    /// Servers that are known to be there and have not answered: for some minutes also one that has died.
    pub(crate) fn silent(&self) -> usize {
        self.servers.unwrap_or_default().saturating_sub(self.heard)
    }
}

/// As whichever server answers first tells it.
async fn number_of_servers(system: &Bus) -> Result<usize, BoxError> {
    let asked = system.client().request(subject::PING_STATISTICS, "".into());
    let answer: Answer = serde_json::from_slice(&asked.await?.payload)?;
    Ok(answer.statsz.active_servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_how_many_servers_there_are() {
        let text = r#"{"server":{"name":"rowcast-1","id":"N"},
            "statsz":{"start":"2026-11-23T05:33:10.1Z","mem":14,"active_servers":3}}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        assert_eq!(answer.statsz.active_servers, 3);
    }
}
