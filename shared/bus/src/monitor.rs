//! The monitoring endpoints of the NATS servers: what they say of themselves (NATS docs, "Monitoring").

mod server;

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use server::{NoQuorum, ServerState};

/// A monitoring endpoint answers at once or not at all.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Complaints shown of one server; a server with many streams may have one for each.
const SHOWN: usize = 3;

/// One endpoint for each server.
#[derive(Debug, Clone)]
pub struct Monitors {
    urls: Vec<String>,
}

impl FromStr for Monitors {
    type Err = Infallible;

    /// URLs, separated by commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let urls = text.split(',').map(|url| url.trim().trim_end_matches('/'));
        let urls = urls.filter(|url| !url.is_empty()).map(str::to_owned);
        Ok(Self {
            urls: urls.collect(),
        })
    }
}

/// What one server says.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// Its endpoint.
    pub url: String,
    /// Its answer, or why there is none.
    pub said: Result<T, String>,
}

/// NATS docs, "Monitoring", `/healthz`.
#[derive(Deserialize)]
struct Health {
    #[serde(default)]
    status: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    errors: Vec<HealthError>,
}

#[derive(Deserialize)]
struct HealthError {
    #[serde(default)]
    error: String,
}

impl Monitors {
    /// How many servers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.urls.len()
    }

    /// What every server says of itself; all are asked at the same time.
    pub async fn servers(&self) -> Vec<Answer<ServerState>> {
        self.ask("/varz").await
    }

    /// How long after its acknowledgement a message may still be lost with the machines. A server that is
    /// down is not held against the others while they are a quorum: what they acknowledge is on the disks
    /// of a quorum.
    ///
    /// # Errors
    /// Where less than a quorum answers.
    pub async fn hold_back(&self) -> Result<Duration, NoQuorum> {
        server::hold_back(&self.servers().await)
    }

    /// What the servers complain of, such as a stream that cannot be written; `None` where they say that
    /// all is well.
    pub async fn complaints(&self) -> Option<String> {
        let answers = self.ask::<Health>("/healthz?details=true").await;
        let complaints: Vec<String> = answers.into_iter().filter_map(complaint).collect();
        (!complaints.is_empty()).then(|| complaints.join("; "))
    }

    /// `path` begins with a slash.
    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Vec<Answer<T>> {
        let answers = self.urls.iter().map(async |url| Answer {
            url: url.clone(),
            said: ask(&format!("{url}{path}"))
                .await
                .map_err(|error| error.to_string()),
        });
        futures::future::join_all(answers).await
    }
}

async fn ask<T: DeserializeOwned>(url: &str) -> Result<T, reqwest::Error> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    client.get(url).send().await?.json().await
}

fn complaint(answer: Answer<Health>) -> Option<String> {
    let Answer { url, said } = answer;
    let health = match said {
        Ok(health) if health.status == "ok" => return None,
        Ok(health) => health,
        Err(_silent) => return Some(format!("the NATS server at {url} does not answer")),
    };
    let errors = health.errors.into_iter().map(|error| error.error);
    let mut all: Vec<String> = std::iter::once(health.error)
        .chain(errors)
        .filter(|error| !error.is_empty())
        .collect();
    all.truncate(SHOWN);
    Some(format!(
        "the NATS server at {url} is {}: {}",
        health.status,
        all.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_separated_by_commas() {
        let Ok(monitors) = "http://a:1/, http://b:2,".parse::<Monitors>();
        assert_eq!(monitors.urls, ["http://a:1", "http://b:2"]);
    }
}
