//! Settings, read once at the start.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use rowcast_bus::{BusConfig, Replicas};
use rowcast_domain::Secret;
use rowcast_service::Settings;

use crate::auth::TrustedProxies;
use crate::client_networks::ClientNetworks;
use crate::egress::EgressAddresses;

/// What the service needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// `ROWCAST_HTTP_LISTEN`: where the REST API answers. Default `127.0.0.1:8080`.
    pub http_listen: SocketAddr,
    /// `ROWCAST_ADMIN_TOKEN` or `ROWCAST_ADMIN_TOKEN_FILE`: the bearer token of the API. Required.
    pub admin_token: Secret,
    /// `ROWCAST_API_RATE`: requests a second that each token may make, and five times as many at once; each
    /// process counts for itself. Default 100.
    pub api_rate: NonZeroU32,
    /// `ROWCAST_API_ADDRESS_RATE`: requests a second that may come from one address, whatever their tokens, and five times
    /// as many at once; each process counts for itself. Default 500.
    pub api_address_rate: NonZeroU32,
    /// `ROWCAST_TRUSTED_PROXIES`: addresses and networks, separated by commas, whose `X-Forwarded-For` says where a request
    /// comes from. Default none.
    pub trusted_proxies: TrustedProxies,
    /// `ROWCAST_AUDIT_DAYS`: how long the audit log is kept. Default 400.
    pub audit_days: NonZeroU32,
    /// `ROWCAST_RECHECK_SECONDS`: how long after a look at what was prechecked a started task is looked at
    /// again; with a problem, a twelfth of it. Default 3600.
    pub recheck_seconds: NonZeroU32,
    /// `ROWCAST_EGRESS_ADDRESSES`: addresses and networks from which precheck and capture reach sources, separated by
    /// commas; the API tells them to users. Default none.
    pub egress: EgressAddresses,
    /// `ROWCAST_CLIENT_NETWORKS`: listeners of NATS that a task's clients can use, as
    /// `internal=nats://10.0.0.5:4222;public=tls://nats.example.com:4222`, each with one or more URLs, separated by commas.
    /// Default none: all use what consumer-group tells.
    pub client_networks: ClientNetworks,
    /// `ROWCAST_SECRET_KEY` or `ROWCAST_SECRET_KEY_FILE`: seals passwords. Lines of 64 hexadecimal
    /// digits. Required.
    pub secret_key: Secret,
    /// `ROWCAST_DATABASE_URL` or `ROWCAST_DATABASE_URL_FILE`: the control-plane database. Required.
    pub database_url: Secret,
    /// `ROWCAST_NATS_URL` (default `nats://127.0.0.1:4222`), `ROWCAST_NATS_USER` (default
    /// `task-api`) and `ROWCAST_NATS_PASSWORD` or `ROWCAST_NATS_PASSWORD_FILE` (required).
    /// `ROWCAST_NATS_REPLICAS`: copies of streams and buckets, 1, 3 or 5. Default 1.
    pub nats: BusConfig,
}

impl Config {
    /// Reads the settings; problems are noted there.
    #[must_use]
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let http_listen =
            settings.optional("http_listen", SocketAddr::from(([127, 0, 0, 1], 8080)));
        let admin_token = settings.secret("admin_token");
        let api_rate = settings.optional("api_rate", nonzero(100));
        let api_address_rate = settings.optional("api_address_rate", nonzero(500));
        let trusted_proxies = settings.optional("trusted_proxies", TrustedProxies::default());
        let audit_days = settings.optional("audit_days", nonzero(400));
        let recheck_seconds = settings.optional("recheck_seconds", nonzero(3600));
        let egress = settings.optional("egress_addresses", EgressAddresses::default());
        let client_networks = settings.optional("client_networks", ClientNetworks::default());
        let secret_key = settings.secret("secret_key");
        let database_url = settings.secret("database_url");
        let url = settings.optional("nats_url", "nats://127.0.0.1:4222".to_owned());
        let user = settings.optional("nats_user", "task-api".to_owned());
        let password = settings.secret("nats_password");
        let replicas = settings.optional("nats_replicas", Replicas::One);
        Some(Self {
            http_listen: http_listen?,
            admin_token: admin_token?,
            api_rate: api_rate?,
            api_address_rate: api_address_rate?,
            trusted_proxies: trusted_proxies?,
            audit_days: audit_days?,
            recheck_seconds: recheck_seconds?,
            egress: egress?,
            client_networks: client_networks?,
            secret_key: secret_key?,
            database_url: database_url?,
            nats: BusConfig {
                url: url?,
                user: user?,
                password: password?,
                name: "task-api".to_owned(),
                replicas: replicas?,
            },
        })
    }
}

fn nonzero(number: u32) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(number - 1)
}
