//! Where the service finds NATS, and its process there.

use std::process::Stdio;

use anyhow::Context as _;
use rowcast_bus::{Bus, BusConfig, Replicas};
use rowcast_domain::Secret;
use rowcast_testkit::{Nats, NatsCluster};
use tokio::process::{Child, Command};

/// One server, or several.
pub(crate) trait Broker {
    /// Where clients connect, with commas between.
    fn urls(&self) -> String;

    /// Password of a user of `nats.conf`.
    fn password(&self, user: &str) -> &str;

    /// Seed of the key that signs the answers to the auth callout.
    fn callout_seed(&self) -> &str;
}

impl Broker for Nats {
    fn urls(&self) -> String {
        self.url().to_owned()
    }

    fn password(&self, user: &str) -> &str {
        self.password(user)
    }

    fn callout_seed(&self) -> &str {
        self.callout_seed()
    }
}

impl Broker for NatsCluster {
    fn urls(&self) -> String {
        self.urls()
    }

    fn password(&self, user: &str) -> &str {
        self.password(user)
    }

    fn callout_seed(&self) -> &str {
        self.callout_seed()
    }
}

pub(crate) fn spawn(
    broker: &impl Broker,
    database_url: &str,
    key: &str,
    settings: &[(&str, &str)],
) -> anyhow::Result<Child> {
    Ok(Command::new(env!("CARGO_BIN_EXE_consumer-group"))
        .env("ROWCAST_ADMIN_LISTEN", "127.0.0.1:0")
        .env("ROWCAST_LOG_FORMAT", "text")
        .env("ROWCAST_NATS_URL", broker.urls())
        .env("ROWCAST_NATS_PASSWORD", broker.password("consumer-group"))
        .env(
            "ROWCAST_DATA_NATS_PASSWORD",
            broker.password("consumer-group-data"),
        )
        .env("ROWCAST_CALLOUT_NATS_PASSWORD", broker.password("callout"))
        .env("ROWCAST_SYS_NATS_PASSWORD", broker.password("sys"))
        .env("ROWCAST_CALLOUT_SEED", broker.callout_seed())
        .env("ROWCAST_SECRET_KEY", key)
        .env("ROWCAST_DATABASE_URL", database_url)
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?)
}

/// A connection of the test's own.
pub(crate) async fn bus(broker: &impl Broker, user: &str) -> anyhow::Result<Bus> {
    let config = BusConfig {
        url: broker.urls(),
        user: user.to_owned(),
        password: Secret::new(broker.password(user)),
        name: "test".to_owned(),
        replicas: Replicas::One,
    };
    Bus::connect(&config).await.context("no bus")
}
