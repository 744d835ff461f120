//! What the operator decides.

use rowcast_bus::BusConfig;
use rowcast_domain::Secret;
use rowcast_service::Settings;

/// Settings of capture.
#[derive(Debug)]
pub struct Config {
    /// `ROWCAST_NATS_URL`, `ROWCAST_NATS_USER`, `ROWCAST_NATS_PASSWORD[_FILE]`: the control plane.
    pub(crate) control: BusConfig,
    /// `ROWCAST_DATA_NATS_USER`, `ROWCAST_DATA_NATS_PASSWORD[_FILE]`: the tasks' streams, on the same
    /// URL.
    pub(crate) data: BusConfig,
    /// `ROWCAST_NATS_MONITOR_URL`: monitoring endpoint of the NATS server, which proves that the
    /// server syncs before it acknowledges.
    pub(crate) nats_monitor_url: String,
    /// `ROWCAST_SECRET_KEY[_FILE]`: opens the passwords of sources; lines of 64 hexadecimal digits.
    pub(crate) secret_key: Secret,
}

impl Config {
    /// Reads the settings; problems are kept there.
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let url: Option<String> = settings.required("nats_url");
        let user = settings.optional("nats_user", "capture".to_owned());
        let password = settings.secret("nats_password");
        let data_user = settings.optional("data_nats_user", "capture-data".to_owned());
        let data_password = settings.secret("data_nats_password");
        let nats_monitor_url = settings.required("nats_monitor_url");
        let secret_key = settings.secret("secret_key");
        let bus = |url: String, user: String, password, name: &str| BusConfig {
            url,
            user,
            password,
            name: name.to_owned(),
        };
        let url = url?;
        Some(Self {
            control: bus(url.clone(), user?, password?, "capture"),
            data: bus(url, data_user?, data_password?, "capture data"),
            nats_monitor_url: nats_monitor_url?,
            secret_key: secret_key?,
        })
    }
}
