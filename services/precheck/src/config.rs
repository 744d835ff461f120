//! Settings, read once at the start.

use rowcast_bus::monitor::Monitors;
use rowcast_bus::{BusConfig, Replicas};
use rowcast_domain::Secret;
use rowcast_pg::Networks;
use rowcast_service::Settings;

/// As many as DTS lets a task have.
const TABLE_LIMIT: usize = 500;

/// What the service needs to know.
#[derive(Debug)]
pub struct Config {
    /// `ROWCAST_NATS_URL`, `ROWCAST_NATS_USER` (default `precheck`) and `ROWCAST_NATS_PASSWORD` or
    /// `ROWCAST_NATS_PASSWORD_FILE`.
    /// `ROWCAST_NATS_REPLICAS`: copies of streams and buckets, 1, 3 or 5. Default 1.
    pub nats: BusConfig,
    /// `ROWCAST_NATS_MONITOR_URL`: monitoring endpoints of all NATS servers, separated by commas.
    pub nats_monitors: Monitors,
    /// `ROWCAST_SECRET_KEY` or `ROWCAST_SECRET_KEY_FILE`: opens the passwords of sources. Lines of
    /// 64 hexadecimal digits.
    pub secret_key: Secret,
    /// `ROWCAST_SOURCE_NETWORKS`: where sources may be, as `10.0.0.0/8,!10.9.0.0/16,unix`. Default everywhere; never
    /// at link-local addresses.
    pub source_networks: Networks,
    /// `ROWCAST_TABLE_LIMIT`: tables of a task, more of which a precheck alerts to. Default 500.
    pub table_limit: usize,
}

impl Config {
    /// Reads the settings; problems are noted there.
    #[must_use]
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let url = settings.required("nats_url");
        let user = settings.optional("nats_user", "precheck".to_owned());
        let password = settings.secret("nats_password");
        let replicas = settings.optional("nats_replicas", Replicas::One);
        let nats_monitors = settings.required("nats_monitor_url");
        let secret_key = settings.secret("secret_key");
        let source_networks = settings.optional("source_networks", Networks::default());
        let table_limit = settings.optional("table_limit", TABLE_LIMIT);
        Some(Self {
            nats: BusConfig {
                url: url?,
                user: user?,
                password: password?,
                name: "precheck".to_owned(),
                replicas: replicas?,
            },
            nats_monitors: nats_monitors?,
            secret_key: secret_key?,
            source_networks: source_networks?,
            table_limit: table_limit?,
        })
    }
}
