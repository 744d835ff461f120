//! PostgreSQL with a cluster of our own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rowcast_domain::Secret;
use tokio::process::Command;

use crate::account::{Account, reachable};
use crate::child::{Child, Launch, Signal, command, run, setting};
use crate::error::Error;
use crate::state::{State, make_folder};
use crate::{find, port};

/// How long the server may take to answer; after a crash it replays its log first.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long the server may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The database of the control plane.
pub const DATABASE: &str = "rowcast";

/// The superuser.
const SUPERUSER: &str = "postgres";

/// How the server runs.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Folder of its programs; the newest on this machine where absent.
    pub programs: Option<PathBuf>,
    /// Its port.
    pub port: u16,
    /// Whether what it says is committed survives a power cut. Tests need not.
    pub durable: bool,
    /// Copies its log to our standard error.
    pub echo: bool,
    /// More settings; they win over ours.
    pub settings: BTreeMap<String, String>,
    /// Settings are written into the new cluster's `postgresql.conf`, where `ALTER SYSTEM` wins over them. Otherwise they
    /// stand on the command line, which nothing wins over.
    pub alterable: bool,
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    state: State,
    options: PostgresOptions,
    bin: PathBuf,
    account: Option<Account>,
    folder: PathBuf,
    password: Secret,
    child: Child,
}

impl Postgres {
    /// Starts the server with the cluster of `state`, which is made the first time.
    ///
    /// # Errors
    /// Where it is not installed, its port is in use, or it does not get ready.
    pub async fn start(state: &State, options: PostgresOptions) -> Result<Self, Error> {
        let bin = options
            .programs
            .clone()
            .map_or_else(find::postgres_bin, Ok)?;
        let account = Account::for_postgres()?;
        let password = state.credentials().database_password(SUPERUSER)?;
        let folder = folder(state, account)?;
        if !folder.join("data").join("PG_VERSION").is_file() {
            initialize(&bin, &folder, account, &password, &options).await?;
        }
        let child = launch(&bin, &folder, account, state, &options).await?;
        Ok(Self {
            state: state.clone(),
            options,
            bin,
            account,
            folder,
            password,
            child,
        })
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.options.port
    }

    /// The superuser's password.
    #[must_use]
    pub const fn password(&self) -> &Secret {
        &self.password
    }

    /// Where the cluster is, which is outside the state folder where its account cannot reach that.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// URL of a database, as superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> Secret {
        self.url_as(SUPERUSER, &self.password, database)
    }

    /// The process.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Makes the control-plane database, and in it a role and a schema of a service's name, where
    /// they are missing. Returns the URL of that role.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn service_database(&self, service: &str) -> Result<Secret, Error> {
        let role = service.replace('-', "_");
        let password = self.state.credentials().database_password(&role)?;
        self.sql("postgres", &create_database(&role, &password))
            .await?;
        self.sql(DATABASE, &create_schema(&role)).await?;
        Ok(self.url_as(&role, &password, DATABASE))
    }

    /// Runs statements as superuser; prints what they select, without frames.
    ///
    /// # Errors
    /// At the first statement that the server refuses.
    pub async fn sql(&self, database: &str, statements: &str) -> Result<String, Error> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", "127.0.0.1", "-U", SUPERUSER, "-d", database])
            .args(["-p", &self.options.port.to_string()])
            .env("PGPASSWORD", self.password.expose());
        run("psql", psql, statements).await
    }

    /// Ends the server at once and starts it again: it recovers from its log, as after a crash.
    ///
    /// # Errors
    /// Where it cannot be signalled or does not get ready.
    pub async fn crash_and_restart(&mut self) -> Result<(), Error> {
        self.child.signal(Signal::Quit)?;
        self.child.wait().await?;
        self.relaunch().await
    }

    /// Ends the server with its sessions, and starts it again.
    ///
    /// # Errors
    /// Where it cannot be signalled or does not get ready.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await?;
        self.relaunch().await
    }

    /// Ends the server and its sessions.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.child.stop(STOP_LIMIT).await
    }

    async fn relaunch(&mut self) -> Result<(), Error> {
        let (state, options) = (&self.state, &self.options);
        self.child = launch(&self.bin, &self.folder, self.account, state, options).await?;
        Ok(())
    }

    fn url_as(&self, role: &str, password: &Secret, database: &str) -> Secret {
        let password = password.expose();
        let port = self.options.port;
        Secret::new(format!(
            "postgres://{role}:{password}@127.0.0.1:{port}/{database}"
        ))
    }
}

/// The cluster's folder, owned by its account.
fn folder(state: &State, account: Option<Account>) -> Result<PathBuf, Error> {
    let wanted = state.postgres_folder();
    let Some(account) = account else {
        make_folder(&wanted)?;
        return Ok(wanted);
    };
    let folder = reachable(&wanted);
    make_folder(&folder)?;
    account.own(&folder)?;
    Ok(folder)
}

async fn initialize(
    bin: &Path,
    folder: &Path,
    account: Option<Account>,
    password: &Secret,
    options: &PostgresOptions,
) -> Result<(), Error> {
    // Made aside and renamed: an interrupted start leaves no half cluster.
    let fresh = folder.join("data.new");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).map_err(Error::io("remove", &fresh))?;
    }
    let password_file =
        crate::credentials::Credentials::open(&folder.join("once"))?.store("password", password)?;
    if let Some(account) = account {
        account.own(&folder.join("once"))?;
        account.own(&password_file)?;
    }
    let mut initdb = command(&bin.join("initdb"), account, Signal::Kill);
    initdb
        .arg("--pgdata")
        .arg(&fresh)
        .arg("--pwfile")
        .arg(&password_file)
        .args(["--username", SUPERUSER, "--auth", "scram-sha-256"])
        .args(["--encoding", "UTF8", "--no-locale"]);
    if !options.durable {
        initdb.arg("--no-sync");
    }
    let made = run("initdb", initdb, "").await;
    let once = folder.join("once");
    std::fs::remove_dir_all(&once).map_err(Error::io("remove", &once))?;
    made?;
    if options.alterable {
        let file = fresh.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        for (name, value) in alterable(options) {
            let value = value.replace('\'', "''");
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        std::fs::write(&file, text).map_err(Error::io("write", &file))?;
    }
    let data = folder.join("data");
    std::fs::rename(&fresh, &data).map_err(Error::io("make", &data))
}

async fn launch(
    bin: &Path,
    folder: &Path,
    account: Option<Account>,
    state: &State,
    options: &PostgresOptions,
) -> Result<Child, Error> {
    port::require_free(options.port, "PostgreSQL")?;
    let launch = Launch {
        name: "postgres".to_owned(),
        program: bin.join("postgres"),
        arguments: arguments(folder, options),
        environment: Vec::new(),
        log: state.log("postgres"),
        echo: options.echo,
        stop: Signal::Interrupt,
        abort: Signal::Quit,
    };
    let mut child = Child::spawn_as(launch, account)?;
    // Some builds have the server's programs only; the question is the same for every version.
    let pg_isready = match bin.join("pg_isready") {
        file if file.is_file() => file,
        _missing => find::postgres_bin()?.join("pg_isready"),
    };
    let port = options.port.to_string();
    child
        .ready(START_LIMIT, async || {
            let mut command = Command::new(&pg_isready);
            command.args(["-h", "127.0.0.1", "-p", &port, "-t", "2"]);
            run("pg_isready", command, "")
                .await
                .map(|_answer| ())
                .map_err(|_refusal| "it does not accept connections".to_owned())
        })
        .await?;
    Ok(child)
}

fn arguments(folder: &Path, options: &PostgresOptions) -> Vec<OsString> {
    let port = options.port.to_string();
    let mut settings = vec![
        ("port", port.as_str()),
        // A path of a socket may have 107 bytes; state folders are deeper.
        ("unix_socket_directories", ""),
    ];
    if !options.durable {
        settings.extend([("fsync", "off"), ("full_page_writes", "off")]);
    }
    if !options.alterable {
        settings.extend(alterable(options));
    }
    ["-D".into(), folder.join("data").into_os_string()]
        .into_iter()
        .chain(settings.into_iter().flat_map(|(k, v)| setting(k, v)))
        .collect()
}

/// Our settings that a cluster may have otherwise, and those that were asked for.
fn alterable(options: &PostgresOptions) -> impl Iterator<Item = (&str, &str)> {
    let more = options.settings.iter();
    [
        ("listen_addresses", "127.0.0.1"),
        ("password_encryption", "scram-sha-256"),
        ("max_connections", "200"),
        ("wal_level", "logical"),
        ("max_wal_senders", "50"),
        ("max_replication_slots", "50"),
    ]
    .into_iter()
    .chain(more.map(|(name, value)| (name.as_str(), value.as_str())))
}

/// The password is of our making and needs no escape.
fn create_database(role: &str, password: &Secret) -> String {
    let password = password.expose();
    format!(
        "SELECT 'CREATE DATABASE {DATABASE}'
         WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
         SELECT 'CREATE ROLE {role} LOGIN'
         WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec
         ALTER ROLE {role} PASSWORD '{password}';
         ALTER ROLE {role} SET search_path = {role};
         REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;
         GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO {role};"
    )
}

fn create_schema(role: &str) -> String {
    format!("CREATE SCHEMA IF NOT EXISTS {role} AUTHORIZATION {role};")
}
