//! A TCP proxy before a server of the test, whose link fails when the test asks for it.
//!
//! ```text
//! process ──▶ 127.0.0.1:port ──▶ accept ──▶ one task a connection ──▶ 127.0.0.1:upstream
//!                                               ▲ orders: pass · stall · refuse, cut, cut after N bytes
//! ```

use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rowcast_local::port;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes read at a time.
const CHUNK: usize = 16 * 1024;

/// Time between two attempts to listen again on the port.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Who sends bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The process that connects to the proxy.
    Client,
    /// The server behind it.
    Upstream,
}

/// A link to a server on 127.0.0.1 that carries any number of connections. Dropped, it ends with all
/// of them.
///
/// It runs on the runtime of the test that starts it: a test that blocks its thread blocks the link.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    orders: Arc<Orders>,
    listening: watch::Receiver<bool>,
    /// Accepts, and owns the connections' tasks.
    _accepting: JoinSet<()>,
}

/// What the connections have to obey.
#[derive(Debug)]
struct Orders {
    upstream: AtomicU16,
    mode: watch::Sender<Mode>,
    /// Rises with every cut of all connections.
    cuts: watch::Sender<u64>,
    budget: Mutex<Option<Budget>>,
    connections: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    Stall,
    Refuse,
}

/// What may still pass before a connection is cut.
#[derive(Debug, Clone, Copy)]
struct Budget {
    sender: Sender,
    bytes: u64,
}

impl Proxy {
    /// Starts a proxy before the server that listens on `upstream`, now or later.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn start(upstream: u16) -> anyhow::Result<Self> {
        let port = port::free()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("cannot listen on port {port}"))?;
        let orders = Arc::new(Orders {
            upstream: AtomicU16::new(upstream),
            mode: watch::Sender::new(Mode::Pass),
            cuts: watch::Sender::new(0),
            budget: Mutex::new(None),
            connections: AtomicUsize::new(0),
        });
        let (is_listening, listening) = watch::channel(true);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(port, listener, Arc::clone(&orders), is_listening));
        Ok(Self {
            port,
            orders,
            listening,
            _accepting: accepting,
        })
    }

    /// Its port on 127.0.0.1, the same for its whole life.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Number of connections that it carries, stalled ones among them.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.orders.connections.load(Ordering::Relaxed)
    }

    /// From now on new connections go to another server; present ones stay where they are.
    pub fn redirect(&self, upstream: u16) {
        self.orders.upstream.store(upstream, Ordering::Relaxed);
    }

    /// Resets all present connections on both sides, stalled ones too; new ones are carried as before.
    /// Returns how many there were.
    pub fn cut(&self) -> usize {
        let present = self.connections();
        self.orders.cuts.send_modify(|cuts| *cuts += 1);
        present
    }

    /// Lets exactly `bytes` more from `sender` pass, over all connections together, and breaks the
    /// connection that carries the last of them, or with 0 the first that has anything to carry: the
    /// sender gets a reset, the other side gets every one of these bytes and then an end. The other
    /// connections stay, and nothing is limited any more. Replaces a limit that is not used up.
    pub fn cut_after(&self, sender: Sender, bytes: u64) {
        *self.orders.budget() = Some(Budget { sender, bytes });
    }

    /// Whether a cut of [`Self::cut_after`] is still to come.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.orders.budget().is_some()
    }

    /// The link is half-open: connections are accepted and kept, but nothing passes in either
    /// direction, not even an end or a reset.
    pub fn stall(&self) {
        self.orders.mode.send_replace(Mode::Stall);
    }

    /// As a server that is down: resets all connections and refuses new ones. Returns once the port is
    /// closed.
    pub async fn refuse(&self) {
        self.orders.mode.send_replace(Mode::Refuse);
        self.cut();
        self.until_listening(false).await;
    }

    /// Ends [`Self::stall`] and [`Self::refuse`]: what was held up passes, and new connections are
    /// carried.
    pub async fn resume(&self) {
        self.orders.mode.send_replace(Mode::Pass);
        self.until_listening(true).await;
    }

    async fn until_listening(&self, wanted: bool) {
        let mut listening = self.listening.clone();
        // An error means that the runtime is shutting down.
        let _ended = listening.wait_for(|&is| is == wanted).await;
    }
}

impl Orders {
    fn budget(&self) -> std::sync::MutexGuard<'_, Option<Budget>> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of `wanted` bytes may pass, and whether the connection is to be cut behind them.
    fn allow(&self, from: Sender, wanted: usize) -> (usize, bool) {
        let mut budget = self.budget();
        let Some(left) = budget.as_mut().filter(|left| left.sender == from) else {
            return (wanted, false);
        };
        let allowed = usize::try_from(left.bytes).map_or(wanted, |bytes| bytes.min(wanted));
        left.bytes -= allowed as u64;
        let is_used_up = left.bytes == 0;
        if is_used_up {
            *budget = None;
        }
        (allowed, is_used_up)
    }
}

/// Listens whenever connections are not refused.
async fn accept(
    port: u16,
    listener: TcpListener,
    orders: Arc<Orders>,
    is_listening: watch::Sender<bool>,
) {
    let mut connections = JoinSet::new();
    let mut mode = orders.mode.subscribe();
    let mut listener = Some(listener);
    loop {
        let open = match listener.take() {
            Some(open) => open,
            None => listen_again(port).await,
        };
        is_listening.send_replace(true);
        loop {
            tokio::select! {
                biased;
                _ = mode.wait_for(|&mode| mode == Mode::Refuse) => break,
                Ok((client, _address)) = open.accept() => {
                    connections.spawn(carry(client, Arc::clone(&orders)));
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
        drop(open);
        is_listening.send_replace(false);
        // An error means that the proxy is gone, and this task with it.
        let _gone = mode.wait_for(|&mode| mode != Mode::Refuse).await;
    }
}

async fn listen_again(port: u16) -> TcpListener {
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return listener,
            Err(error) => tracing::debug!(port, %error, "port not open yet"),
        }
        tokio::time::sleep(LISTEN_AGAIN_AFTER).await;
    }
}

/// Counts a connection for as long as it is carried.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(connections: &'a AtomicUsize) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(connections)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Carries one connection to its end.
async fn carry(client: TcpStream, orders: Arc<Orders>) {
    let _counted = Counted::new(&orders.connections);
    let mut cuts = orders.cuts.subscribe();
    let mut mode = orders.mode.subscribe();
    let connect = async {
        flows(&mut mode).await;
        TcpStream::connect((Ipv4Addr::LOCALHOST, orders.upstream.load(Ordering::Relaxed))).await
    };
    let upstream = tokio::select! {
        _ = cuts.changed() => return reset(&client),
        upstream = connect => upstream,
    };
    let Ok(upstream) = upstream else {
        return reset(&client);
    };
    let (mut client, mut upstream) = (client, upstream);
    let broken = {
        let (from_client, to_client) = client.split();
        let (from_upstream, to_upstream) = upstream.split();
        let there = pump(Sender::Client, from_client, to_upstream, &orders);
        let back = pump(Sender::Upstream, from_upstream, to_client, &orders);
        let both = async { tokio::try_join!(there, back) };
        tokio::select! {
            _ = cuts.changed() => Some(Broken::Lost),
            ended = both => ended.err(),
        }
    };
    match broken {
        None => {}
        Some(Broken::Lost) => {
            reset(&client);
            reset(&upstream);
        }
        Some(Broken::Behind(Sender::Client)) => break_behind(client, upstream, &mut cuts).await,
        Some(Broken::Behind(Sender::Upstream)) => break_behind(upstream, client, &mut cuts).await,
    }
}

/// Why a connection is to be broken off.
enum Broken {
    /// It was reset by one side, or is to be reset for both.
    Lost,
    /// What this side might send has passed.
    Behind(Sender),
}

/// Resets the sender. A reset of the receiver would throw away what is still on its way to it: it gets
/// an end behind that instead, and what it says meanwhile is not passed on.
async fn break_behind(sender: TcpStream, mut receiver: TcpStream, cuts: &mut watch::Receiver<u64>) {
    reset(&sender);
    drop(sender);
    let drain = async {
        receiver.shutdown().await?;
        // A socket that is closed with unread bytes sends a reset.
        tokio::io::copy(&mut receiver, &mut tokio::io::sink()).await
    };
    let drained = tokio::select! {
        _ = cuts.changed() => return reset(&receiver),
        drained = drain => drained,
    };
    if let Err(error) = drained {
        tracing::debug!(%error, "the receiver has broken off by itself");
    }
}

/// Passes on what one side sends, and its end.
async fn pump(
    sender: Sender,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    orders: &Orders,
) -> Result<(), Broken> {
    let mut mode = orders.mode.subscribe();
    let mut chunk = vec![0; CHUNK];
    loop {
        flows(&mut mode).await;
        let read = tokio::select! {
            biased;
            () = stops(&mut mode) => continue,
            read = from.read(&mut chunk) => read.map_err(|_reset| Broken::Lost)?,
        };
        flows(&mut mode).await;
        if read == 0 {
            return to.shutdown().await.map_err(|_reset| Broken::Lost);
        }
        let (allowed, cut) = orders.allow(sender, read);
        let mut rest = chunk.get(..allowed).unwrap_or_default();
        while !rest.is_empty() {
            flows(&mut mode).await;
            let written = tokio::select! {
                biased;
                () = stops(&mut mode) => continue,
                written = to.write(rest) => written.map_err(|_reset| Broken::Lost)?,
            };
            rest = rest.get(written..).unwrap_or_default();
        }
        if cut {
            return Err(Broken::Behind(sender));
        }
    }
}

/// Waits until bytes may pass.
async fn flows(mode: &mut watch::Receiver<Mode>) {
    if mode.wait_for(|&mode| mode == Mode::Pass).await.is_err() {
        pending::<()>().await;
    }
}

/// Waits until bytes must not pass any more.
async fn stops(mode: &mut watch::Receiver<Mode>) {
    if mode.wait_for(|&mode| mode != Mode::Pass).await.is_err() {
        pending::<()>().await;
    }
}

/// Makes the drop of this socket send a reset instead of an end.
fn reset(socket: &TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        tracing::debug!(%error, "the other side is gone already");
    }
}
