//! What every handler and task of the process shares.

use std::sync::Arc;

use ring::hmac;
use rowcast_bus::{Bus, provision};
use rowcast_proto::stream::{EVENTS, PARKED, TASK_STATUS, TASKS};
use rowcast_service::keyring::Keyring;
use rowcast_service::{BoxError, database};
use sqlx::postgres::PgPool;
use tokio::sync::Notify;

use crate::auth::TokenDigest;
use crate::config::Config;

/// The service's schema in the control-plane database.
pub(crate) const SCHEMA: &str = "task_api";

/// The process's connections and keys. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    bus: Bus,
    keyring: Keyring,
    token: TokenDigest,
    fingerprint_key: hmac::Key,
    wish_changed: Notify,
}

impl App {
    /// Connects, migrates the schema, and provisions what this service owns on NATS.
    ///
    /// # Errors
    /// Where the key is malformed, or the database or NATS does not let us in.
    pub(crate) async fn connect(config: &Config) -> Result<Self, BoxError> {
        let keyring = Keyring::from_secret(&config.secret_key)?;
        let token = TokenDigest::of(&config.admin_token)?;
        let secret = config.secret_key.expose().as_bytes();
        let fingerprint_key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let pool = database::connect(&config.database_url, SCHEMA).await?;
        sqlx::migrate!().run(&pool).await?;
        let bus = Bus::connect(&config.nats).await?;
        provision::stream(&bus, &EVENTS).await?;
        provision::stream(&bus, &PARKED).await?;
        provision::bucket(&bus, &TASKS).await?;
        provision::bucket(&bus, &TASK_STATUS).await?;
        Ok(Self(Arc::new(Shared {
            pool,
            bus,
            keyring,
            token,
            fingerprint_key,
            wish_changed: Notify::new(),
        })))
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.0.bus
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    pub(crate) fn token(&self) -> &TokenDigest {
        &self.0.token
    }

    /// Makes the fingerprints of requests with an Idempotency-Key.
    pub(crate) fn fingerprint_key(&self) -> &hmac::Key {
        &self.0.fingerprint_key
    }

    /// Told after a commit that may have changed a wish.
    pub(crate) fn wish_changed(&self) -> &Notify {
        &self.0.wish_changed
    }
}
