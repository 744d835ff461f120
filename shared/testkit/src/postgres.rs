//! A PostgreSQL cluster of the test's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rowcast_local::{PostgresOptions, State, port};
use tempfile::TempDir;

/// A running server: logical decoding on, SCRAM passwords, superuser `postgres`.
#[derive(Debug)]
pub struct Postgres {
    // Before the folder: dropped first, so that nobody writes there any more.
    server: rowcast_local::Postgres,
    programs: Option<PathBuf>,
    folder: TempDir,
}

/// Ports that are tried: between looking for one and listening on it another test may take it.
const PORTS: usize = 5;

impl Postgres {
    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// Where PostgreSQL is not installed or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_set(BTreeMap::new()).await
    }

    /// As [`Postgres::start`], with these settings of the server besides the usual ones.
    ///
    /// # Errors
    /// Those of [`Postgres::start`].
    pub async fn start_set(settings: BTreeMap<String, String>) -> anyhow::Result<Self> {
        Self::start_in(crate::nats::folder("pg")?, None, settings).await
    }

    /// As [`Postgres::start`], with settings that `ALTER SYSTEM` wins over: for what is wrong and is repaired.
    ///
    /// # Errors
    /// Where that version, or this machine's where none is given, does not start.
    pub async fn start_alterable(
        major: Option<u32>,
        settings: BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let programs = major.map(programs_of).transpose()?;
        Self::start_as(crate::nats::folder("pg")?, programs, settings, true).await
    }

    /// As [`Postgres::start`], in another major version than this machine's; `./dev test` fetches them.
    ///
    /// # Errors
    /// Where that version was not fetched, or the server does not start.
    pub async fn start_version(major: u32) -> anyhow::Result<Self> {
        let programs = programs_of(major)?;
        Self::start_in(crate::nats::folder("pg")?, Some(programs), BTreeMap::new()).await
    }

    /// Starts a server with the cluster of this folder.
    pub(crate) async fn start_in(
        folder: TempDir,
        programs: Option<PathBuf>,
        settings: BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        Self::start_as(folder, programs, settings, false).await
    }

    async fn start_as(
        folder: TempDir,
        programs: Option<PathBuf>,
        settings: BTreeMap<String, String>,
        alterable: bool,
    ) -> anyhow::Result<Self> {
        for _attempt in 0..PORTS {
            let state = State::open(folder.path())?;
            let options = PostgresOptions {
                programs: programs.clone(),
                port: port::free()?,
                durable: false,
                echo: false,
                settings: settings.clone(),
                alterable,
            };
            match rowcast_local::Postgres::start(&state, options).await {
                Ok(server) => {
                    return Ok(Self {
                        server,
                        programs,
                        folder,
                    });
                }
                // Another test was faster.
                Err(rowcast_local::Error::PortInUse { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("no port stays free for PostgreSQL")
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.server.port()
    }

    /// The superuser's password.
    #[must_use]
    pub fn password(&self) -> &str {
        self.server.password().expose()
    }

    /// URL of a database, as superuser.
    #[must_use]
    pub fn dsn(&self, database: &str) -> String {
        self.server.url(database).expose().to_owned()
    }

    /// Connects as superuser.
    ///
    /// # Errors
    /// Where the database is missing.
    pub async fn client(&self, database: &str) -> anyhow::Result<tokio_postgres::Client> {
        connect(&self.dsn(database)).await
    }

    /// Makes a role and a schema of a service's name in the database `rowcast`; returns its URL.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn service_database(&self, service: &str) -> anyhow::Result<String> {
        let url = self.server.service_database(service).await?;
        Ok(url.expose().to_owned())
    }

    /// Ends the server and its sessions, and starts it again.
    ///
    /// # Errors
    /// Where it does not come back.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        Ok(self.server.restart().await?)
    }

    /// Ends the server and its sessions; [`Postgres::restart`] starts it again.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        Ok(self.server.stop().await?)
    }

    /// The cluster's files.
    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        self.server.folder().join("data")
    }

    /// What the server has written into its log.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn log(&mut self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.server.child().log())?)
    }

    pub(crate) fn programs(&self) -> Option<PathBuf> {
        self.programs.clone()
    }

    /// The folder of cluster, secrets and logs.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the server as a crash would, and starts it again.
    ///
    /// # Errors
    /// Where it does not come back.
    pub async fn crash_and_restart(&mut self) -> anyhow::Result<()> {
        Ok(self.server.crash_and_restart().await?)
    }
}

/// Where the programs of this major version are.
fn programs_of(major: u32) -> anyhow::Result<PathBuf> {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/postgres");
    let programs = PathBuf::from(format!("{tools}/{major}/bin"));
    anyhow::ensure!(
        programs.is_dir(),
        "PostgreSQL {major} is not in {tools}: run ./dev test"
    );
    Ok(programs)
}

/// Connects by a URL.
///
/// # Errors
/// Where the server does not answer or refuses.
pub async fn connect(url: &str) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .context("cannot connect to PostgreSQL")?;
    // Ends with the client.
    #[expect(clippy::disallowed_methods, reason = "a test has no supervised tasks")]
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to PostgreSQL ended");
        }
    });
    Ok(client)
}
