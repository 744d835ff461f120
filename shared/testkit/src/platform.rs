//! The whole platform, of a test's own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use rowcast_local::{PlatformOptions, Ports, Service, State};
use tempfile::TempDir;

/// What a test wants to be different.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// More variables for all services, as `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub environment: BTreeMap<String, String>,
    /// More variables for one service; they win over the others.
    pub service_environment: BTreeMap<Service, BTreeMap<String, String>>,
    /// More settings of PostgreSQL.
    pub postgres_settings: BTreeMap<String, String>,
    /// Copies every log to standard error.
    pub echo: bool,
}

/// How often a platform is tried to be started.
const ATTEMPTS: usize = 3;

/// Whether a port that was free is not any more.
fn is_port_taken(error: &anyhow::Error) -> bool {
    let said = format!("{error:#}");
    ["Address already in use", "is in use"]
        .iter()
        .any(|words| said.contains(words))
}

/// The running platform: reads and does what [`rowcast_local::Platform`] does.
#[derive(Debug)]
pub struct Platform {
    // Before the folder: dropped first, so that nobody writes there any more.
    platform: rowcast_local::Platform,
    state: State,
    _folder: TempDir,
}

impl Platform {
    /// Starts PostgreSQL, NATS and the services as they were built last.
    ///
    /// # Errors
    /// Where something is not installed or not built, or does not get ready.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        // Between looking for a free port and listening on it another test may have taken it.
        for _attempt in 1..ATTEMPTS {
            match Box::pin(Self::start_once(options.clone())).await {
                Err(error) if is_port_taken(&error) => {}
                started => return started,
            }
        }
        Box::pin(Self::start_once(options)).await
    }

    async fn start_once(options: Options) -> anyhow::Result<Self> {
        let folder = crate::nats::folder("platform")?;
        let state = State::open(folder.path())?;
        let options = PlatformOptions {
            programs: programs()?,
            ports: Ports::free()?,
            durable: false,
            postgres_settings: options.postgres_settings,
            echo: options.echo,
            environment: options.environment,
            service_environment: options.service_environment,
        };
        // Boxed: it holds the start of eight processes.
        let platform = Box::pin(rowcast_local::Platform::start(&state, options)).await?;
        Ok(Self {
            platform,
            state,
            _folder: folder,
        })
    }

    /// Everything a process of the platform has written.
    ///
    /// # Errors
    /// Where there is no such process.
    pub fn log(&self, process: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.state.log(process))
            .with_context(|| format!("no log of {process}"))
    }

    /// Password of a user of `nats.conf`.
    ///
    /// # Errors
    /// Where there is no such user.
    pub fn nats_password(&self, user: &str) -> anyhow::Result<String> {
        Ok(self
            .state
            .credentials()
            .nats_password(user)?
            .expose()
            .to_owned())
    }

    /// Connects to a database of the platform's PostgreSQL as superuser.
    ///
    /// # Errors
    /// Where the database is missing.
    pub async fn sql(&self, database: &str) -> anyhow::Result<tokio_postgres::Client> {
        crate::postgres::connect(self.postgres.url(database).expose()).await
    }

    /// Stops the services, then NATS, then PostgreSQL, each in its own orderly way.
    ///
    /// # Errors
    /// Where one cannot be signalled.
    pub async fn stop(self) -> anyhow::Result<()> {
        Ok(self.platform.stop().await?)
    }
}

impl std::ops::Deref for Platform {
    type Target = rowcast_local::Platform;

    fn deref(&self) -> &Self::Target {
        &self.platform
    }
}

impl std::ops::DerefMut for Platform {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.platform
    }
}

/// Cargo puts programs beside each other, and tests one folder deeper.
fn programs() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().filter(|folder| !folder.ends_with("deps"));
    let above = || program.parent().and_then(std::path::Path::parent);
    let folder = folder.or_else(above);
    Ok(folder
        .context("the program runs from the root folder")?
        .into())
}
