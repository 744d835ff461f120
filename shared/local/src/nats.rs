//! NATS with the configuration that containers use too.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::child::{Child, Launch, Signal};
use crate::credentials::NATS_USERS;
use crate::error::Error;
use crate::state::{State, make_folder};
use crate::{find, port, probe};

const CONFIGURATION: &str = include_str!("../../bus/nats.conf");

/// How long the server may take to answer; after a crash it reads its streams first.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long the server may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Where the server listens.
#[derive(Debug, Clone, Copy)]
pub struct NatsOptions {
    /// Port of clients.
    pub port: u16,
    /// Port of the monitor.
    pub monitor_port: u16,
    /// Copies its log to our standard error.
    pub echo: bool,
}

/// A running server.
#[derive(Debug)]
pub struct Nats {
    state: State,
    options: NatsOptions,
    child: Child,
}

impl Nats {
    /// Starts the server with the streams and secrets of `state`, and waits until it answers.
    ///
    /// # Errors
    /// Where it is not installed, a port is in use, or it does not get ready.
    pub async fn start(state: &State, options: NatsOptions) -> Result<Self, Error> {
        let child = launch(state, options).await?;
        Ok(Self {
            state: state.clone(),
            options,
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
        self.child = launch(&self.state, self.options).await?;
        Ok(())
    }

    /// Ends the server.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.child.stop(STOP_LIMIT).await
    }
}

async fn launch(state: &State, options: NatsOptions) -> Result<Child, Error> {
    let program = find::nats_server()?;
    port::require_free(options.port, "nats-server")?;
    port::require_free(options.monitor_port, "nats-server")?;
    let folder = state.nats_folder();
    make_folder(&folder)?;
    let configuration = folder.join("nats.conf");
    std::fs::write(&configuration, CONFIGURATION).map_err(Error::io("write", &configuration))?;
    let mut child = Child::spawn(Launch {
        name: "nats".to_owned(),
        program,
        arguments: vec!["-c".into(), configuration.into()],
        environment: environment(state, options, &folder)?,
        log: state.log("nats"),
        echo: options.echo,
        stop: Signal::Terminate,
        abort: Signal::Kill,
    })?;
    child
        .ready(START_LIMIT, async || {
            probe::healthy(options.monitor_port, "/healthz").await
        })
        .await?;
    Ok(child)
}

fn environment(
    state: &State,
    options: NatsOptions,
    folder: &Path,
) -> Result<Vec<(String, OsString)>, Error> {
    // In quotes: the server reads a value like a piece of its configuration, up to the first space.
    let store = format!("\"{}\"", folder.join("store").display());
    let mut environment: Vec<(String, OsString)> = [
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", options.port.to_string()),
        ("MONITOR_PORT", options.monitor_port.to_string()),
        ("STORE", store),
        ("CALLOUT_ISSUER", state.credentials().callout_issuer()?),
    ]
    .into_iter()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_the_configuration_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let options = NatsOptions {
            port: 1,
            monitor_port: 2,
            echo: false,
        };
        let mut given: Vec<String> = environment(&state, options, folder.path())
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let mut wanted: Vec<String> = CONFIGURATION
            .split_whitespace()
            .filter_map(|word| word.strip_prefix('$'))
            .filter(|word| word.starts_with("ROWCAST_"))
            .map(str::to_owned)
            .collect();
        given.sort();
        wanted.sort();
        assert_eq!(given, wanted);
    }
}
