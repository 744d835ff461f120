//! Three NATS servers of the test's own.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream;
use rowcast_domain::Secret;
use rowcast_local::{NatsOptions, NatsPeer, State, port};
use tempfile::TempDir;

use crate::eventually;
use crate::nats::{Logins, folder};

const SERVERS: usize = 3;

/// How long the servers may take to choose a leader, and to have every stream in step again.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// A running cluster with the configuration that production uses.
#[derive(Debug)]
pub struct NatsCluster {
    // Before the folder: dropped first, so that nobody writes there any more.
    servers: Vec<Server>,
    logins: Logins,
    callout_seed: Secret,
    _folder: TempDir,
}

#[derive(Debug)]
struct Server {
    process: rowcast_local::Nats,
    name: String,
    is_up: bool,
}

impl NatsCluster {
    /// Starts three servers without streams, and waits until they are one.
    ///
    /// # Errors
    /// Where NATS is not installed or a server does not start.
    ///
    /// # Panics
    /// Where they do not find each other.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = folder("nats-cluster")?;
        let state = State::open(folder.path())?;
        let ports: [u16; 3 * SERVERS] = port::distinct()?;
        let ports: Vec<&[u16]> = ports.chunks(SERVERS).collect();
        let [client, monitor, route] = ports.as_slice() else {
            anyhow::bail!("not three kinds of ports");
        };
        let mut servers = Vec::new();
        for number in 0..SERVERS {
            let name = format!("rowcast-{}", number + 1);
            let mut others = route.to_vec();
            let options = NatsOptions {
                port: client[number],
                monitor_port: monitor[number],
                echo: false,
                peer: Some(NatsPeer {
                    name: name.clone(),
                    port: others.remove(number),
                    others,
                }),
            };
            servers.push(Server {
                process: rowcast_local::Nats::start(&state, options).await?,
                name,
                is_up: true,
            });
        }
        let cluster = Self {
            servers,
            logins: Logins::read(&state)?,
            callout_seed: state.credentials().callout_seed()?,
            _folder: folder,
        };
        cluster.settled().await;
        Ok(cluster)
    }

    /// Where clients connect: all servers, separated by commas.
    #[must_use]
    pub fn urls(&self) -> String {
        let urls: Vec<String> = self.servers.iter().map(|one| one.process.url()).collect();
        urls.join(",")
    }

    /// Where the monitors answer, separated by commas.
    #[must_use]
    pub fn monitor_urls(&self) -> String {
        let servers = self.servers.iter();
        let urls: Vec<String> = servers.map(|one| one.process.monitor_url()).collect();
        urls.join(",")
    }

    /// Number of its servers.
    #[must_use]
    pub const fn size(&self) -> usize {
        SERVERS
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

    /// Connects as a user of `nats.conf`, to whichever server runs.
    ///
    /// # Errors
    /// Where no server lets it in.
    pub async fn client(&self, user: &str) -> anyhow::Result<async_nats::Client> {
        self.logins.client(&self.urls(), user).await
    }

    /// Which server leads a stream; `None` where there is no leader, or nobody tells. `client` is a user of
    /// the stream's account.
    pub async fn leader(&self, client: &async_nats::Client, stream: &str) -> Option<usize> {
        let context = jetstream::new(client.clone());
        let stream = context.get_stream(stream).await.ok()?;
        let leader = stream.cached_info().cluster.as_ref()?.leader.clone()?;
        self.servers.iter().position(|one| one.name == leader)
    }

    /// Kills one server, as a power cut would.
    ///
    /// # Errors
    /// Where there is none, or it cannot be signalled.
    pub async fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        let server = self.server(number)?;
        server.is_up = false;
        Ok(server.process.kill().await?)
    }

    /// Starts one server again, with its ports and what it has stored. Does not wait for its place among the
    /// others.
    ///
    /// # Errors
    /// Where there is none, or it does not come back.
    pub async fn restart(&mut self, number: usize) -> anyhow::Result<()> {
        let server = self.server(number)?;
        server.process.restart().await?;
        server.is_up = true;
        Ok(())
    }

    /// Starts every server again, one after the other, with these settings instead of the usual ones.
    ///
    /// # Errors
    /// Where one does not come back.
    ///
    /// # Panics
    /// Where they do not find each other again.
    pub async fn restart_with(&mut self, overrides: &str) -> anyhow::Result<()> {
        for server in &mut self.servers {
            server.process.restart_with(overrides).await?;
        }
        self.settled().await;
        Ok(())
    }

    /// Waits until the servers that run say that they are well.
    ///
    /// # Panics
    /// Where they do not in time.
    pub async fn settled(&self) {
        for server in self.servers.iter().filter(|one| one.is_up) {
            let what = format!("{} is healthy", server.name);
            let healthy = async || server.process.healthy().await.is_ok();
            eventually(&what, SETTLE_LIMIT, healthy).await;
        }
    }

    fn server(&mut self, number: usize) -> anyhow::Result<&mut Server> {
        self.servers.get_mut(number).context("no such server")
    }
}
