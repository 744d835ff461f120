//! The environment of each service, and the files behind it.

use std::ffi::OsString;

use crate::error::Error;
use crate::postgres::Postgres;
use crate::state::State;

/// A service of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Carries out the wishes: change capture.
    Capture,
    /// Looks at sources before a task starts.
    Precheck,
    /// Logins and consumers of the readers.
    ConsumerGroup,
    /// Orders and usage.
    Billing,
    /// Rules, incidents, notices.
    Alerting,
    /// REST API and the life of tasks.
    TaskApi,
}

impl Service {
    /// Every service, the one that takes requests last.
    pub const ALL: [Self; 6] = [
        Self::Capture,
        Self::Precheck,
        Self::ConsumerGroup,
        Self::Billing,
        Self::Alerting,
        Self::TaskApi,
    ];

    /// Its program, its log, and its user of NATS.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Precheck => "precheck",
            Self::ConsumerGroup => "consumer-group",
            Self::Billing => "billing",
            Self::Alerting => "alerting",
            Self::TaskApi => "task-api",
        }
    }

    const fn has_database(self) -> bool {
        match self {
            Self::ConsumerGroup | Self::Billing | Self::Alerting | Self::TaskApi => true,
            Self::Capture | Self::Precheck => false,
        }
    }
}

/// What the services need to know of each other and of the engines.
#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) nats_url: String,
    pub(super) nats_monitor_url: String,
    pub(super) api_port: u16,
    pub(super) log_format: &'static str,
}

pub(super) async fn environment(
    service: Service,
    admin_port: u16,
    state: &State,
    postgres: &Postgres,
    endpoints: &Endpoints,
) -> Result<Vec<(String, OsString)>, Error> {
    let mut environment = Environment::new(state);
    environment.variables.push(admin_listen(admin_port));
    environment.set("LOG_FORMAT", endpoints.log_format);
    environment.set("NATS_URL", &endpoints.nats_url);
    environment.nats_login("", service.name())?;
    if service.has_database() {
        let url = postgres.service_database(service.name()).await?;
        let name = format!("database-url-{}", service.name());
        let file = state.credentials().store(&name, &url)?;
        environment.set("DATABASE_URL_FILE", file);
    }
    match service {
        Service::TaskApi => {
            environment.set("HTTP_LISTEN", format!("127.0.0.1:{}", endpoints.api_port));
            environment.admin_token()?;
            environment.secret_key()?;
        }
        Service::Capture => {
            environment.set("NATS_MONITOR_URL", &endpoints.nats_monitor_url);
            environment.nats_login("DATA_", "capture-data")?;
            environment.secret_key()?;
        }
        Service::ConsumerGroup => {
            environment.set("CLIENT_NATS_URL", &endpoints.nats_url);
            environment.nats_login("DATA_", "consumer-group-data")?;
            environment.nats_login("CALLOUT_", "callout")?;
            environment.nats_login("SYS_", "sys")?;
            environment.callout_seed()?;
            environment.secret_key()?;
        }
        Service::Precheck => {
            environment.set("NATS_MONITOR_URL", &endpoints.nats_monitor_url);
            environment.secret_key()?;
        }
        Service::Alerting => environment.secret_key()?,
        Service::Billing => {}
    }
    Ok(environment.variables)
}

/// Where a service answers `/live`, `/ready` and `/metrics`.
pub(super) fn admin_listen(port: u16) -> (String, OsString) {
    let address = format!("127.0.0.1:{port}");
    ("ROWCAST_ADMIN_LISTEN".to_owned(), address.into())
}

struct Environment<'a> {
    state: &'a State,
    variables: Vec<(String, OsString)>,
}

impl<'a> Environment<'a> {
    const fn new(state: &'a State) -> Self {
        Self {
            state,
            variables: Vec::new(),
        }
    }

    fn set(&mut self, key: &str, value: impl Into<OsString>) {
        self.variables
            .push((format!("ROWCAST_{key}"), value.into()));
    }

    fn nats_login(&mut self, prefix: &str, user: &str) -> Result<(), Error> {
        let file = self.state.credentials().nats_password_file(user)?;
        self.set(&format!("{prefix}NATS_USER"), user);
        self.set(&format!("{prefix}NATS_PASSWORD_FILE"), file);
        Ok(())
    }

    fn secret_key(&mut self) -> Result<(), Error> {
        let file = self.state.credentials().secret_key_file()?;
        self.set("SECRET_KEY_FILE", file);
        Ok(())
    }

    fn admin_token(&mut self) -> Result<(), Error> {
        let file = self.state.credentials().admin_token_file()?;
        self.set("ADMIN_TOKEN_FILE", file);
        Ok(())
    }

    fn callout_seed(&mut self) -> Result<(), Error> {
        let file = self.state.credentials().callout_seed_file()?;
        self.set("CALLOUT_SEED_FILE", file);
        Ok(())
    }
}
