//! Settings, read once at the start.

use rowcast_bus::{BusConfig, Replicas};
use rowcast_domain::Secret;
use rowcast_service::Settings;

/// What the service needs to know.
#[derive(Debug)]
pub struct Config {
    /// `ROWCAST_NATS_URL`, `ROWCAST_NATS_USER` (default `alerting`) and `ROWCAST_NATS_PASSWORD` or
    /// `ROWCAST_NATS_PASSWORD_FILE`.
    /// `ROWCAST_NATS_REPLICAS`: copies of streams and buckets, 1, 3 or 5. Default 1.
    pub nats: BusConfig,
    /// `ROWCAST_DATABASE_URL` or `ROWCAST_DATABASE_URL_FILE`: the control-plane database, as
    /// `postgres://user:password@host/database`.
    pub database_url: Secret,
}

impl Config {
    /// Reads the settings; problems are noted there.
    #[must_use]
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let url = settings.required("nats_url");
        let user = settings.optional("nats_user", "alerting".to_owned());
        let password = settings.secret("nats_password");
        let replicas = settings.optional("nats_replicas", Replicas::One);
        let database_url = settings.secret("database_url");
        Some(Self {
            nats: BusConfig {
                url: url?,
                user: user?,
                password: password?,
                name: "alerting".to_owned(),
                replicas: replicas?,
            },
            database_url: database_url?,
        })
    }
}
