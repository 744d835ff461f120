//! Settings, read once at the start.

use lettre::message::Mailbox;
use rowcast_bus::{BusConfig, Replicas};
use rowcast_domain::Secret;
use rowcast_pg::Networks;
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
    /// `ROWCAST_SECRET_KEY` or `ROWCAST_SECRET_KEY_FILE`: opens the secrets of contacts. Lines of 64 hexadecimal digits.
    pub secret_key: Secret,
    /// `ROWCAST_WEBHOOK_NETWORKS`: where webhooks may be, as `10.0.0.0/8,!10.9.0.0/16`. Default everywhere; never
    /// link-local.
    pub webhook_networks: Networks,
    /// The server for mail; absent where none is sent.
    pub mail: Option<MailConfig>,
}

/// By what mail is sent.
#[derive(Debug)]
pub struct MailConfig {
    /// `ROWCAST_SMTP_URL` or `ROWCAST_SMTP_URL_FILE`, as `smtps://user:password@host:465`, or
    /// `smtp://user:password@host:587?tls=required` for STARTTLS.
    pub url: Secret,
    /// `ROWCAST_MAIL_FROM`: who writes, as `Rowcast <rowcast@example.com>`.
    pub from: Mailbox,
}

impl MailConfig {
    /// Both settings or none.
    #[expect(
        clippy::option_option,
        reason = "noted problem, absent, and present are three things"
    )]
    fn read(settings: &mut Settings) -> Option<Option<Self>> {
        let url = settings.maybe_secret("smtp_url");
        let from = settings.maybe("mail_from");
        match (url?, from?) {
            (Some(url), Some(from)) => Some(Some(Self { url, from })),
            (None, None) => Some(None),
            (Some(_), None) => {
                settings.problem("mail_from", "is not set beside the mail server");
                None
            }
            (None, Some(_)) => {
                settings.problem("smtp_url", "is not set beside who writes");
                None
            }
        }
    }
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
        let secret_key = settings.secret("secret_key");
        let webhook_networks = settings.optional("webhook_networks", Networks::default());
        let mail = MailConfig::read(settings);
        Some(Self {
            nats: BusConfig {
                url: url?,
                user: user?,
                password: password?,
                name: "alerting".to_owned(),
                replicas: replicas?,
            },
            database_url: database_url?,
            secret_key: secret_key?,
            webhook_networks: webhook_networks?,
            mail: mail?,
        })
    }
}
