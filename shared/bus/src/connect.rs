//! Connections to NATS.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, jetstream};
use bytes::Bytes;
use futures::StreamExt as _;
use rowcast_domain::Secret;
use tokio::time::Instant;

use crate::BoxError;
use crate::replicas::Replicas;

/// How a service logs in.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// One or more URLs, separated by commas.
    pub url: String,
    /// NATS user; decides the account.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Name of the connection, as operators see it.
    pub name: String,
    /// Copies of what this service makes: streams and buckets.
    pub replicas: Replicas,
}

/// NATS does not let us in.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to NATS at {url} as {user}")]
pub struct ConnectError {
    url: String,
    user: String,
    #[source]
    source: async_nats::ConnectError,
}

/// A connection. Cheap to clone; reconnects by itself.
#[derive(Debug, Clone)]
pub struct Bus {
    config: Arc<BusConfig>,
    client: Client,
    jetstream: jetstream::Context,
    replicas: Replicas,
}

/// How long one answer of the `JetStream` API may take.
const API_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may be away while we start.
const WAITED_FOR: Duration = Duration::from_secs(10);

const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);

impl Bus {
    /// Connects; a server that restarts in this moment is waited for. Later interruptions are healed in the
    /// background.
    ///
    /// # Errors
    /// Where no server answers, or the login is refused.
    pub async fn connect(config: &BusConfig) -> Result<Self, ConnectError> {
        let deadline = Instant::now() + WAITED_FOR;
        let client = loop {
            let source = match attempt(config).await {
                Ok(client) => break client,
                Err(source) => source,
            };
            if source.kind() != ConnectErrorKind::Io || Instant::now() >= deadline {
                return Err(ConnectError {
                    url: config.url.clone(),
                    user: config.user.clone(),
                    source,
                });
            }
            tracing::warn!(error = %source, "NATS is not there, trying again");
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        };
        let jetstream = ContextBuilder::new()
            .timeout(API_TIMEOUT)
            .build(client.clone());
        Ok(Self {
            config: Arc::new(config.clone()),
            client,
            jetstream,
            replicas: config.replicas,
        })
    }

    /// How it logged in.
    pub(crate) const fn config(&self) -> &Arc<BusConfig> {
        &self.config
    }

    /// Copies of the streams and buckets that are made.
    #[must_use]
    pub const fn replicas(&self) -> Replicas {
        self.replicas
    }

    /// The NATS client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until the server has taken all that was sent before, subscriptions included.
    ///
    /// A flush only hands it to the socket: somebody else's message may still be there first.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn round_trip(&self) -> Result<(), BoxError> {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await?;
        self.client.publish(inbox, Bytes::new()).await?;
        let answer = tokio::time::timeout(API_TIMEOUT, answers.next()).await?;
        answer
            .map(drop)
            .ok_or_else(|| "the connection is closed".into())
    }

    /// Its `JetStream` context.
    #[must_use]
    pub const fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }
}

async fn attempt(config: &BusConfig) -> Result<Client, async_nats::ConnectError> {
    let name = config.name.clone();
    let urls: Vec<&str> = config.url.split(',').map(str::trim).collect();
    ConnectOptions::with_user_and_password(config.user.clone(), config.password.expose().to_owned())
        .name(&config.name)
        .connection_timeout(CONNECT_TIMEOUT)
        .event_callback(move |event| {
            let name = name.clone();
            async move { report(&name, &event) }
        })
        .connect(urls.as_slice())
        .await
}

/// Permission errors reach the client as events only, never as the error of a call.
fn report(name: &str, event: &Event) {
    if matches!(event, Event::Connected) {
        tracing::info!(connection = name, "connected to NATS");
    } else {
        tracing::warn!(connection = name, %event, "NATS connection");
    }
}
