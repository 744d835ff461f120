//! What the service is told at start.

use std::num::NonZeroU16;

use chrono::TimeDelta;
use rowcast_bus::{BusConfig, Replicas};
use rowcast_domain::Secret;
use rowcast_service::Settings;

/// As Alibaba Cloud DTS: frozen for seven days, released on the eighth.
const GRACE_DAYS: NonZeroU16 = NonZeroU16::MIN.saturating_add(6);

/// Settings of billing.
#[derive(Debug)]
pub struct Config {
    /// `ROWCAST_NATS_URL`: one or more NATS URLs, separated by commas. Default `nats://127.0.0.1:4222`.
    /// `ROWCAST_NATS_USER`: the user. Default `billing`.
    /// `ROWCAST_NATS_PASSWORD_FILE`: file with its password. Required.
    /// `ROWCAST_NATS_REPLICAS`: copies of streams and buckets, 1, 3 or 5. Default 1.
    pub bus: BusConfig,
    /// `ROWCAST_DATABASE_URL_FILE`: file with the URL of the control-plane database. Required.
    pub database_url: Secret,
    /// `ROWCAST_GRACE_DAYS`: days for which a subscription that has expired can be renewed before its task is
    /// released, at least 1. Default 7, as in Alibaba Cloud DTS.
    pub grace: TimeDelta,
}

impl Config {
    /// Reads them; problems are noted in `settings`.
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let url = settings.optional("nats_url", "nats://127.0.0.1:4222".to_owned());
        let user = settings.optional("nats_user", "billing".to_owned());
        let password = settings.secret("nats_password");
        let replicas = settings.optional("nats_replicas", Replicas::One);
        let database_url = settings.secret("database_url");
        let grace_days = settings.optional("grace_days", GRACE_DAYS);
        Some(Self {
            bus: BusConfig {
                url: url?,
                user: user?,
                password: password?,
                name: "billing".to_owned(),
                replicas: replicas?,
            },
            database_url: database_url?,
            grace: TimeDelta::days(grace_days?.get().into()),
        })
    }
}
