//! What the operator decides.

use rowcast_bus::monitor::Monitors;
use rowcast_bus::{BusConfig, Replicas};
use rowcast_domain::Secret;
use rowcast_pg::Networks;
use rowcast_service::Settings;

/// Settings of capture.
#[derive(Debug)]
pub struct Config {
    /// `ROWCAST_NATS_URL` (one or more, separated by commas), `ROWCAST_NATS_USER`,
    /// `ROWCAST_NATS_PASSWORD[_FILE]`: the control plane. `ROWCAST_NATS_REPLICAS`: copies of streams and
    /// buckets, 1, 3 or 5. Default 1.
    pub(crate) control: BusConfig,
    /// `ROWCAST_DATA_NATS_USER`, `ROWCAST_DATA_NATS_PASSWORD[_FILE]`: the tasks' streams, on the same
    /// URL.
    pub(crate) data: BusConfig,
    /// `ROWCAST_NATS_MONITOR_URL`: monitoring endpoints of all NATS servers, separated by commas. They
    /// prove that the servers sync before they acknowledge.
    pub(crate) nats_monitors: Monitors,
    /// `ROWCAST_SECRET_KEY[_FILE]`: opens the passwords of sources; lines of 64 hexadecimal digits.
    pub(crate) secret_key: Secret,
    /// `ROWCAST_SOURCE_NETWORKS`: where sources may be, as `10.0.0.0/8,!10.9.0.0/16,unix`. Default everywhere; never
    /// at link-local addresses.
    pub(crate) source_networks: Networks,
}

impl Config {
    /// Reads the settings; problems are kept there.
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let url: Option<String> = settings.required("nats_url");
        let user = settings.optional("nats_user", "capture".to_owned());
        let password = settings.secret("nats_password");
        let data_user = settings.optional("data_nats_user", "capture-data".to_owned());
        let data_password = settings.secret("data_nats_password");
        let replicas = settings.optional("nats_replicas", Replicas::One);
        let nats_monitors: Option<Monitors> = settings.required("nats_monitor_url");
        if let (Some(monitors), Some(replicas)) = (&nats_monitors, replicas)
            && monitors.count() < replicas.count()
        {
            let problem =
                format!("names fewer servers than keep a copy of each stream ({replicas})");
            settings.problem("nats_monitor_url", &problem);
        }
        let secret_key = settings.secret("secret_key");
        let source_networks = settings.optional("source_networks", Networks::default());
        let (url, replicas) = (url?, replicas?);
        let bus = |user: String, password, name: &str| BusConfig {
            url: url.clone(),
            user,
            password,
            name: name.to_owned(),
            replicas,
        };
        Some(Self {
            control: bus(user?, password?, "capture"),
            data: bus(data_user?, data_password?, "capture data"),
            nats_monitors: nats_monitors?,
            secret_key: secret_key?,
            source_networks: source_networks?,
        })
    }
}
