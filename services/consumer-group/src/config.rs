//! What the service is told at start.

use std::num::NonZeroU32;

use nkeys::{KeyPair, KeyPairType};
use rowcast_bus::{BusConfig, Replicas};
use rowcast_domain::Secret;
use rowcast_service::Settings;

/// Settings of consumer-group.
///
/// Every password and key is read from the file that its variable names.
#[derive(Debug)]
pub struct Config {
    /// Login to account CONTROL.
    ///
    /// `ROWCAST_NATS_URL`: one or more NATS URLs, separated by commas, for all four logins. Default
    /// `nats://127.0.0.1:4222`.
    /// `ROWCAST_NATS_REPLICAS`: copies of streams and buckets, 1, 3 or 5. Default 1.
    /// `ROWCAST_NATS_USER`: default `consumer-group`.
    /// `ROWCAST_NATS_PASSWORD_FILE`: required.
    pub control: BusConfig,
    /// Login to account DATA.
    ///
    /// `ROWCAST_DATA_NATS_USER`: default `consumer-group-data`.
    /// `ROWCAST_DATA_NATS_PASSWORD_FILE`: required.
    pub data: BusConfig,
    /// Login to account AUTH.
    ///
    /// `ROWCAST_CALLOUT_NATS_USER`: default `callout`.
    /// `ROWCAST_CALLOUT_NATS_PASSWORD_FILE`: required.
    pub callout: BusConfig,
    /// Login to the system account.
    ///
    /// `ROWCAST_SYS_NATS_USER`: default `sys`.
    /// `ROWCAST_SYS_NATS_PASSWORD_FILE`: required.
    pub system: BusConfig,
    /// `ROWCAST_CALLOUT_SEED_FILE`: file with the seed of the account nkey that signs users. Required.
    pub callout_seed: Secret,
    /// `ROWCAST_DATABASE_URL_FILE`: file with the URL of the control-plane database. Required.
    pub database_url: Secret,
    /// `ROWCAST_SECRET_KEY_FILE`: file with the key that opens sealed passwords. Required.
    pub secret_key: Secret,
    /// `ROWCAST_CLIENT_NATS_URL`: the NATS URLs that clients are told, separated by commas. Default:
    /// those of `ROWCAST_NATS_URL`.
    pub client_urls: Vec<String>,
    /// `ROWCAST_GROUPS_PER_TASK`: most groups of a task. Default 20.
    pub groups_per_task: u32,
    /// `ROWCAST_DEAD_LETTERS_PER_GROUP`: most dead letters of a group; more wait until some are redriven or discarded. Default
    /// 10000, at least 1.
    pub dead_letters_per_group: u64,
    /// `ROWCAST_DEAD_LETTER_BYTES_PER_GROUP`: most bytes that they take. Default 67108864, 64 MiB.
    pub dead_letter_bytes_per_group: u64,
    /// `ROWCAST_LOGIN_LIFETIME_SECONDS`: after so long, or up to a tenth less, a login is over: NATS closes the connection, and
    /// its client logs in anew. Default 86400, a day.
    pub login_lifetime: NonZeroU32,
    /// `ROWCAST_LOGIN_CONNECTIONS`: most connections of a group at the same time. Default 100.
    pub login_connections: NonZeroU32,
}

impl Config {
    /// Reads them; problems are noted in `settings`.
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let url = settings.optional("nats_url", "nats://127.0.0.1:4222".to_owned());
        let replicas = settings.optional("nats_replicas", Replicas::One);
        let servers = url.as_deref().zip(replicas);
        let control = login(settings, servers, "", "consumer-group");
        let data = login(settings, servers, "data_", "consumer-group-data");
        let callout = login(settings, servers, "callout_", "callout");
        let system = login(settings, servers, "sys_", "sys");
        let callout_seed = settings.secret("callout_seed");
        if let Some(problem) = callout_seed.as_ref().and_then(seed_problem) {
            settings.problem("callout_seed", problem);
        }
        let database_url = settings.secret("database_url");
        let secret_key = settings.secret("secret_key");
        let client_url = settings.optional("client_nats_url", url.unwrap_or_default());
        let groups_per_task = settings.optional("groups_per_task", 20);
        let dead_letters = settings.optional("dead_letters_per_group", 10_000);
        if dead_letters == Some(0) {
            settings.problem(
                "dead_letters_per_group",
                "is 0, and what a group gives up would wait for ever: give 1 or more",
            );
        }
        let dead_letter_bytes = settings.optional("dead_letter_bytes_per_group", 64 * 1024 * 1024);
        let login_lifetime = settings.optional("login_lifetime_seconds", nonzero(86_400));
        let login_connections = settings.optional("login_connections", nonzero(100));
        Some(Self {
            control: control?,
            data: data?,
            callout: callout?,
            system: system?,
            callout_seed: callout_seed?,
            database_url: database_url?,
            secret_key: secret_key?,
            client_urls: client_url?
                .split(',')
                .map(|url| url.trim().to_owned())
                .collect(),
            groups_per_task: groups_per_task?,
            dead_letters_per_group: dead_letters?,
            dead_letter_bytes_per_group: dead_letter_bytes?,
            login_lifetime: login_lifetime?,
            login_connections: login_connections?,
        })
    }
}

fn nonzero(number: u32) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(number - 1)
}

fn login(
    settings: &mut Settings,
    servers: Option<(&str, Replicas)>,
    prefix: &str,
    default_user: &str,
) -> Option<BusConfig> {
    let user = settings.optional(&format!("{prefix}nats_user"), default_user.to_owned());
    let password = settings.secret(&format!("{prefix}nats_password"));
    let (url, replicas) = servers?;
    Some(BusConfig {
        url: url.to_owned(),
        name: default_user.to_owned(),
        user: user?,
        password: password?,
        replicas,
    })
}

fn seed_problem(seed: &Secret) -> Option<&'static str> {
    match KeyPair::from_seed(seed.expose()) {
        Ok(key) if key.key_pair_type() == KeyPairType::Account => None,
        Ok(_another) => Some("is the seed of another kind of key than an account's"),
        Err(_malformed) => Some("is no nkey seed"),
    }
}
