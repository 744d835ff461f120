//! Whether the broker syncs to disk before it acknowledges: proved, not assumed.

use std::time::Duration;

use serde::Deserialize;

use crate::error::Error;

/// The monitoring endpoint answers at once or not at all.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Varz {
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

/// Asks the server's monitoring endpoint (NATS docs, "Monitoring", `/varz`).
///
/// # Errors
/// Where it does not answer.
pub(crate) async fn is_durable(monitor_url: &str) -> Result<bool, Error> {
    let url = format!("{}/varz", monitor_url.trim_end_matches('/'));
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .build()
        .map_err(Error::broker)?;
    let varz: Varz = client
        .get(url)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(Error::broker)?
        .json()
        .await
        .map_err(Error::broker)?;
    Ok(varz.jetstream.config.sync_always)
}
