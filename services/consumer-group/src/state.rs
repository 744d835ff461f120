//! What the service's tasks share.

use std::sync::Arc;

use rowcast_bus::{Bus, ConnectError};
use rowcast_service::keyring::{Keyring, KeyringError};
use sqlx::postgres::PgPool;
use tokio::sync::Notify;

use crate::config::Config;
use crate::members::Members;
use crate::password::{HashError, Hasher};
use crate::room::{Rooms, Share};

/// Connections and settings. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The service's tables.
    pub(crate) pool: PgPool,
    /// Account DATA: streams and consumers.
    pub(crate) data: Bus,
    /// The system account: connections of clients.
    pub(crate) system: Bus,
    /// Who is connected, as last told.
    pub(crate) members: Members,
    /// Opens the passwords of new groups.
    pub(crate) keyring: Keyring,
    /// Hashes passwords.
    pub(crate) hasher: Hasher,
    /// The NATS URLs that clients are told.
    pub(crate) client_urls: Arc<[String]>,
    /// Most groups of a task.
    pub(crate) groups_per_task: u32,
    /// What groups have of the stream of dead letters.
    pub(crate) rooms: Rooms,
    /// Wakes the reconciler: the wanted groups have changed.
    pub(crate) changed: Arc<Notify>,
}

/// The state cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// NATS does not let us in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The key is malformed.
    #[error("ROWCAST_SECRET_KEY_FILE holds no usable key")]
    Key(#[from] KeyringError),
    /// The hash function does not work.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl State {
    /// Connects to the accounts that every part needs.
    pub(crate) async fn open(config: &Config, pool: PgPool) -> Result<Self, StateError> {
        Ok(Self {
            pool,
            data: Bus::connect(&config.data).await?,
            system: Bus::connect(&config.system).await?,
            members: Members::default(),
            keyring: Keyring::from_secret(&config.secret_key)?,
            hasher: Hasher::new()?,
            client_urls: config.client_urls.as_slice().into(),
            groups_per_task: config.groups_per_task,
            rooms: Rooms::new(Share {
                letters: config.dead_letters_per_group,
                bytes: config.dead_letter_bytes_per_group,
            }),
            changed: Arc::new(Notify::new()),
        })
    }
}
