//! A NATS server of the test's own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use async_nats::ConnectOptions;
use rowcast_domain::Secret;
use rowcast_local::credentials::NATS_USERS;
use rowcast_local::{NatsOptions, State, port};
use tempfile::TempDir;

/// A running server with the configuration that production uses.
#[derive(Debug)]
pub struct Nats {
    // Before the folder: dropped first, so that nobody writes there any more.
    server: rowcast_local::Nats,
    url: String,
    monitor_url: String,
    logins: Logins,
    callout_seed: Secret,
    log: PathBuf,
    _folder: TempDir,
}

impl Nats {
    /// Starts a server without streams.
    ///
    /// # Errors
    /// Where NATS is not installed or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = folder("nats")?;
        let state = State::open(folder.path())?;
        let [port, monitor_port] = port::distinct()?;
        let options = NatsOptions {
            port,
            monitor_port,
            echo: false,
            peer: None,
        };
        let server = rowcast_local::Nats::start(&state, options).await?;
        Ok(Self {
            url: server.url(),
            monitor_url: server.monitor_url(),
            server,
            logins: Logins::read(&state)?,
            callout_seed: state.credentials().callout_seed()?,
            log: state.log("nats"),
            _folder: folder,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the monitor answers.
    #[must_use]
    pub fn monitor_url(&self) -> &str {
        &self.monitor_url
    }

    /// The folder of its streams, one folder a stream below `jetstream/<account>/streams`.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.server.store()
    }

    /// Everything that the server has written.
    ///
    /// # Errors
    /// Where its log cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).context("no log of NATS")
    }

    /// Password of a user of `nats.conf`.
    ///
    /// # Panics
    /// Where there is no such user.
    #[must_use]
    pub fn password(&self, user: &str) -> &str {
        self.logins.password(user)
    }

    /// Seed of the key that signs the answers to the auth callout.
    #[must_use]
    pub fn callout_seed(&self) -> &str {
        self.callout_seed.expose()
    }

    /// Connects as a user of `nats.conf`.
    ///
    /// # Errors
    /// Where the server does not let it in.
    pub async fn client(&self, user: &str) -> anyhow::Result<async_nats::Client> {
        self.logins.client(&self.url, user).await
    }

    /// Kills the server, as a power cut would.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.server.kill().await?)
    }

    /// Starts the server again, with its ports and what it has stored. Stops it first if it runs.
    ///
    /// # Errors
    /// Where it does not come back.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        Ok(self.server.restart().await?)
    }

    /// As [`Self::restart`], from now on with configuration that takes the place of what `nats.conf` says.
    ///
    /// # Errors
    /// Where it does not come back.
    pub async fn restart_with(&mut self, overrides: &str) -> anyhow::Result<()> {
        Ok(self.server.restart_with(overrides).await?)
    }
}

/// The users of `nats.conf`.
#[derive(Debug)]
pub(crate) struct Logins {
    passwords: BTreeMap<&'static str, Secret>,
}

impl Logins {
    pub(crate) fn read(state: &State) -> anyhow::Result<Self> {
        let credentials = state.credentials();
        let passwords = NATS_USERS
            .into_iter()
            .map(|user| Ok((user, credentials.nats_password(user)?)))
            .collect::<Result<_, rowcast_local::Error>>()?;
        Ok(Self { passwords })
    }

    pub(crate) fn password(&self, user: &str) -> &str {
        match self.passwords.get(user) {
            Some(password) => password.expose(),
            None => panic!("nats.conf has no user {user}"),
        }
    }

    /// Connects to one of the servers, given by URLs with commas between.
    pub(crate) async fn client(
        &self,
        urls: &str,
        user: &str,
    ) -> anyhow::Result<async_nats::Client> {
        let password = self.password(user).to_owned();
        ConnectOptions::with_user_and_password(user.to_owned(), password)
            .name(format!("test of {user}"))
            .connect(urls.split(',').collect::<Vec<_>>().as_slice())
            .await
            .with_context(|| format!("cannot connect to NATS as {user}"))
    }
}

/// A folder that goes with the test, open enough for the account that PostgreSQL runs as.
pub(crate) fn folder(kind: &str) -> anyhow::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::Builder::new()
        .prefix(&format!("rowcast-test-{kind}-"))
        .tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}
