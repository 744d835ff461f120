//! NATS with the configuration that containers use too.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::child::{Child, Launch, Signal};
use crate::credentials::NATS_USERS;
use crate::error::Error;
use crate::state::{State, make_folder};
use crate::{find, port, probe};

const CONFIGURATION: &str = include_str!("../../bus/nats.conf");
const CLUSTER_CONFIGURATION: &str = include_str!("../../bus/cluster.conf");

/// How long the server may take to answer; after a crash it reads its streams first.
const START_LIMIT: Duration = Duration::from_secs(30);

/// User of the routes between servers, as `cluster.conf` says.
const ROUTE_USER: &str = "route";

/// How long the server may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Where the server listens.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Port of clients.
    pub port: u16,
    /// Port of the monitor.
    pub monitor_port: u16,
    /// Copies its log to our standard error.
    pub echo: bool,
    /// What it is among other servers; `None` where it is alone.
    pub peer: Option<NatsPeer>,
}

/// One server of several.
#[derive(Debug, Clone)]
pub struct NatsPeer {
    /// Its name, and that of its folder.
    pub name: String,
    /// Port for the other servers.
    pub port: u16,
    /// Ports of the other servers.
    pub others: Vec<u16>,
}

impl NatsOptions {
    /// Name of the process and of its log.
    fn process(&self) -> String {
        self.peer
            .as_ref()
            .map_or_else(|| "nats".to_owned(), |peer| format!("nats-{}", peer.name))
    }

    fn folder(&self, state: &State) -> PathBuf {
        let folder = state.nats_folder();
        match &self.peer {
            None => folder,
            Some(peer) => folder.join(&peer.name),
        }
    }

    fn store(&self, state: &State) -> PathBuf {
        self.folder(state).join("store")
    }

    /// One of several is not healthy before most of them run: then it is enough that it answers.
    const fn health(&self) -> &'static str {
        match self.peer {
            None => "/healthz",
            Some(_) => "/healthz?js-enabled-only=true",
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Nats {
    state: State,
    options: NatsOptions,
    /// Configuration that takes the place of what `nats.conf` says.
    overrides: String,
    child: Child,
}

impl Nats {
    /// Starts the server with the streams and secrets of `state`, and waits until it answers.
    ///
    /// # Errors
    /// Where it is not installed, a port is in use, or it does not get ready.
    pub async fn start(state: &State, options: NatsOptions) -> Result<Self, Error> {
        let child = launch(state, &options, "").await?;
        Ok(Self {
            state: state.clone(),
            options,
            overrides: String::new(),
            child,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.options.port)
    }

    /// Where the monitor answers.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.options.monitor_port)
    }

    /// The folder of its streams (NATS docs, "Configuring `JetStream`", `store_dir`).
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.options.store(&self.state)
    }

    /// The process.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Kills the server, as a power cut would.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.child.kill().await
    }

    /// Stops the server if it runs, and starts it again on the same ports with what it has stored.
    ///
    /// # Errors
    /// Those of [`Self::stop`] and [`Self::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await?;
        self.child = launch(&self.state, &self.options, &self.overrides).await?;
        Ok(())
    }

    /// As [`Self::restart`], from now on with configuration that takes the place of what `nats.conf` says.
    ///
    /// # Errors
    /// Those of [`Self::restart`].
    pub async fn restart_with(&mut self, overrides: &str) -> Result<(), Error> {
        overrides.clone_into(&mut self.overrides);
        self.restart().await
    }

    /// Whether it says that it is well: all its streams, and its place among the others.
    ///
    /// # Errors
    /// Its complaint.
    pub async fn healthy(&self) -> Result<(), String> {
        probe::healthy(self.options.monitor_port, "/healthz").await
    }

    /// Ends the server.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.child.stop(STOP_LIMIT).await
    }
}

async fn launch(state: &State, options: &NatsOptions, overrides: &str) -> Result<Child, Error> {
    let program = find::nats_server()?;
    port::require_free(options.port, "nats-server")?;
    port::require_free(options.monitor_port, "nats-server")?;
    let folder = options.folder(state);
    make_folder(&folder)?;
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(Error::io("write", &path))?;
        Ok::<_, Error>(path)
    };
    // Of a key that stands twice, the server takes the second.
    let mut configuration = write("nats.conf", format!("{CONFIGURATION}\n{overrides}\n"))?;
    if options.peer.is_some() {
        configuration = write("cluster.conf", CLUSTER_CONFIGURATION.to_owned())?;
    }
    let mut child = Child::spawn(Launch {
        name: options.process(),
        program,
        arguments: vec!["-c".into(), configuration.into()],
        environment: environment(state, options)?,
        log: state.log(&options.process()),
        echo: options.echo,
        stop: Signal::Terminate,
        abort: Signal::Kill,
    })?;
    child
        .ready(START_LIMIT, async || {
            probe::healthy(options.monitor_port, options.health()).await
        })
        .await?;
    Ok(child)
}

fn environment(state: &State, options: &NatsOptions) -> Result<Vec<(String, OsString)>, Error> {
    // In quotes: the server reads a value like a piece of its configuration, up to the first space.
    let store = format!("\"{}\"", options.store(state).display());
    let mut environment: Vec<(String, OsString)> = [
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", options.port.to_string()),
        ("MONITOR_PORT", options.monitor_port.to_string()),
        ("STORE", store),
        ("CALLOUT_ISSUER", state.credentials().callout_issuer()?),
    ]
    .into_iter()
    .chain(peer_environment(state, options.peer.as_ref())?)
    .map(|(name, value)| (format!("ROWCAST_NATS_{name}"), value.into()))
    .collect();
    for user in NATS_USERS {
        let name = user.to_ascii_uppercase().replace('-', "_");
        let password = state.credentials().nats_password(user)?;
        environment.push((
            format!("ROWCAST_NATS_PASSWORD_{name}"),
            password.expose().into(),
        ));
    }
    Ok(environment)
}

/// Of a server among others.
fn peer_environment(
    state: &State,
    peer: Option<&NatsPeer>,
) -> Result<Vec<(&'static str, String)>, Error> {
    let Some(peer) = peer else {
        return Ok(Vec::new());
    };
    let password = state.credentials().nats_password(ROUTE_USER)?;
    let password = password.expose();
    let route = |port: &u16| format!("\"nats-route://{ROUTE_USER}:{password}@127.0.0.1:{port}\"");
    let routes: Vec<String> = peer.others.iter().map(route).collect();
    Ok(vec![
        ("NAME", peer.name.clone()),
        ("CLUSTER_LISTEN", format!("\"127.0.0.1:{}\"", peer.port)),
        ("PASSWORD_ROUTE", password.to_owned()),
        ("ROUTES", format!("[{}]", routes.join(", "))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_the_configuration_is_given() {
        every_variable_is_given(None, CONFIGURATION);
        let peer = NatsPeer {
            name: "one".to_owned(),
            port: 3,
            others: vec![4, 5],
        };
        let configuration = [CONFIGURATION, CLUSTER_CONFIGURATION].concat();
        every_variable_is_given(Some(peer), &configuration);
    }

    fn every_variable_is_given(peer: Option<NatsPeer>, configuration: &str) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let options = NatsOptions {
            port: 1,
            monitor_port: 2,
            echo: false,
            peer,
        };
        let mut given: Vec<String> = environment(&state, &options)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let without_comments = configuration.lines().filter(|line| !line.starts_with('#'));
        let mut wanted: Vec<String> = without_comments
            .flat_map(str::split_whitespace)
            .filter_map(|word| word.strip_prefix('$'))
            .filter(|word| word.starts_with("ROWCAST_"))
            .map(str::to_owned)
            .collect();
        given.sort();
        wanted.sort();
        assert_eq!(given, wanted);
    }
}
