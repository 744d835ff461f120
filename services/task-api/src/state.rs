//! What every handler and task of the process shares.

use std::sync::Arc;

use chrono::TimeDelta;
use ring::hmac;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::{Bus, provision};
use rowcast_proto::stream::{EVENTS, LOG, PARKED, PRECHECKS, TASK_STATUS, TASKS};
use rowcast_service::keyring::Keyring;
use rowcast_service::{BoxError, CancellationToken, database};
use sqlx::postgres::PgPool;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::auth::{AdminToken, Door, Pace};
use crate::client_networks::ClientNetworks;
use crate::config::Config;
use crate::egress::EgressAddresses;

/// The service's schema in the control-plane database.
pub(crate) const SCHEMA: &str = "task_api";

/// Who may follow something at the same time: each holds a consumer of the broker.
const FOLLOWERS: usize = 200;

/// The process's connections and keys. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    bus: Bus,
    prechecks: kv::Store,
    keyring: Keyring,
    admin_token: AdminToken,
    pace: Pace,
    door: Door,
    audit_kept: TimeDelta,
    recheck_every: TimeDelta,
    egress: EgressAddresses,
    client_networks: ClientNetworks,
    fingerprint_key: hmac::Key,
    wish_changed: Notify,
    seats: Arc<Semaphore>,
    stop: CancellationToken,
}

impl App {
    /// Connects, migrates the schema, and provisions what this service owns on NATS.
    ///
    /// # Errors
    /// Where the key is malformed, or the database or NATS does not let us in.
    pub(crate) async fn connect(
        config: &Config,
        stop: CancellationToken,
    ) -> Result<Self, BoxError> {
        let keyring = Keyring::from_secret(&config.secret_key)?;
        let admin_token = AdminToken::new(&config.admin_token)?;
        let secret = config.secret_key.expose().as_bytes();
        let fingerprint_key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let pool = database::connect(&config.database_url, SCHEMA).await?;
        sqlx::migrate!().run(&pool).await?;
        let bus = Bus::connect(&config.nats).await?;
        provision::stream(&bus, &EVENTS).await?;
        provision::stream(&bus, &PARKED).await?;
        provision::stream(&bus, &LOG).await?;
        provision::bucket(&bus, &TASKS).await?;
        provision::bucket(&bus, &TASK_STATUS).await?;
        let prechecks = provision::bucket(&bus, &PRECHECKS).await?;
        Ok(Self(Arc::new(Shared {
            pool,
            bus,
            prechecks,
            keyring,
            admin_token,
            pace: Pace::new(config.api_rate),
            door: Door::new(config.api_address_rate, config.trusted_proxies.clone()),
            audit_kept: TimeDelta::days(config.audit_days.get().into()),
            recheck_every: TimeDelta::seconds(config.recheck_seconds.get().into()),
            egress: config.egress.clone(),
            client_networks: config.client_networks.clone(),
            fingerprint_key,
            wish_changed: Notify::new(),
            seats: Arc::new(Semaphore::new(FOLLOWERS)),
            stop,
        })))
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.0.bus
    }

    /// Where prechecks tell how far they have come.
    pub(crate) fn prechecks(&self) -> &kv::Store {
        &self.0.prechecks
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    pub(crate) fn admin_token(&self) -> &AdminToken {
        &self.0.admin_token
    }

    /// How long the audit log is kept.
    pub(crate) fn audit_kept(&self) -> TimeDelta {
        self.0.audit_kept
    }

    /// How long after a look a started task is looked at again.
    pub(crate) fn recheck_every(&self) -> TimeDelta {
        self.0.recheck_every
    }

    /// From where sources are connected to.
    pub(crate) fn egress(&self) -> &EgressAddresses {
        &self.0.egress
    }

    /// By which clients reach NATS.
    pub(crate) fn client_networks(&self) -> &ClientNetworks {
        &self.0.client_networks
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.0.pace
    }

    pub(crate) fn door(&self) -> &Door {
        &self.0.door
    }

    /// Makes the fingerprints of requests with an Idempotency-Key.
    pub(crate) fn fingerprint_key(&self) -> &hmac::Key {
        &self.0.fingerprint_key
    }

    /// A place among those who follow something as it goes on; `None` where all are taken.
    pub(crate) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.seats).try_acquire_owned().ok()
    }

    /// Told when the process is to end.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Told after a commit that may have changed a wish.
    pub(crate) fn wish_changed(&self) -> &Notify {
        &self.0.wish_changed
    }
}
