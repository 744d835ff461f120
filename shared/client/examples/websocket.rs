//! Fans a group's changes out to browsers, over WebSocket.
//!
//! ```sh
//! cargo run -p rowcast-client --example websocket -- connection.json password.txt 127.0.0.1:8090
//! ```
//!
//! The first file is the answer of `GET /tasks/{id}/groups/{gid}/connection` of an ordered group. A browser says first what it
//! wants, in one text message, and then gets each change as one:
//!
//! ```js
//! let last;
//! function follow() {
//!   const socket = new WebSocket("ws://127.0.0.1:8090");
//!   socket.onopen = () => socket.send(JSON.stringify({ tables: ["public.orders"], after: last }));
//!   socket.onmessage = ({ data }) => {
//!     const change = JSON.parse(data);
//!     if (change.op !== "listening") show(change);
//!     else if (!last) readAll(); // What comes from now on comes; what was before is read.
//!     last = change.id;
//!   };
//!   socket.onclose = ({ code }) => { if (code === 4410) last = undefined; setTimeout(follow, 1000); };
//! }
//! ```
//!
//! What makes it right:
//!
//! - The last [`HELD`] changes are held in memory, once for all browsers. Each is at its own place in them, so that a slow one
//!   slows nobody.
//! - A browser is told first where it stands, by `{"op":"listening","id":…}`: nothing that is committed behind that is left out.
//! - Who comes back names the change that it saw last and goes on behind it. Where that is no longer held (it was away for
//!   long, was too slow, or this process was started anew) it is told so by the close code [`GONE`], and reads the tables
//!   again: nothing is left out silently.
//! - The group's changes are acknowledged once they are held. Those that come again after a reconnect are not sent again.
//!
//! It has no login of its own. Put it behind what authenticates your users, and give each only what they may see.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures::{SinkExt as _, StreamExt as _};
use rowcast_client::{Change, GroupCredentials, Operation, Position, Secret, Subscription};
use serde::Deserialize;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Changes held for those who come back or are slow.
const HELD: usize = 10_000;

/// Bytes of JSON held, whatever their number.
const HELD_BYTES: usize = 64 * 1024 * 1024;

/// How long a browser may take for a message, its first one included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Close code: what the browser asked for is no longer held; its state must be read again.
const GONE: u16 = 4410;

/// Close code: what the browser said first is not what is expected.
const MALFORMED: u16 = 4400;

/// What a browser says first.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// As `public.orders`; all where none is named.
    #[serde(default)]
    tables: HashSet<String>,
    /// The change it saw last. Without one it gets what comes from now on.
    after: Option<Position>,
}

/// A change, ready to be sent.
struct Held {
    position: Position,
    table: Option<String>,
    text: Utf8Bytes,
}

/// The last changes, numbered from 0 on.
#[derive(Default)]
struct Changes {
    held: VecDeque<Held>,
    bytes: usize,
    /// Number of the first that is held.
    first: u64,
    /// The last that came.
    last: Option<Position>,
}

impl Changes {
    /// Number of the next one.
    fn next(&self) -> u64 {
        self.first + self.held.len() as u64
    }

    fn push(&mut self, change: Held) {
        self.bytes += change.text.len();
        self.last = Some(change.position);
        self.held.push_back(change);
        while self.held.len() > HELD || self.bytes > HELD_BYTES {
            let Some(oldest) = self.held.pop_front() else {
                break;
            };
            self.bytes -= oldest.text.len();
            self.first += 1;
        }
    }

    /// Where a browser begins, behind which position; `None` where what it asks for is gone.
    fn begin(&self, after: Option<Position>) -> Option<(u64, Option<Position>)> {
        let Some(after) = after else {
            return Some((self.next(), self.last));
        };
        // Of two with one position, as a gap behind a change has it, both come again.
        let place = self.held.iter().position(|held| held.position == after)?;
        Some((self.first + place as u64 + 1, Some(after)))
    }

    /// The change with this number, if it has come; `Err` if it is gone.
    fn get(&self, number: u64) -> Result<Option<&Held>, Gone> {
        let place = number.checked_sub(self.first).ok_or(Gone)?;
        Ok(usize::try_from(place)
            .ok()
            .and_then(|place| self.held.get(place)))
    }
}

/// It is no longer held.
struct Gone;

/// What all browsers share.
struct Feed {
    changes: Mutex<Changes>,
    /// Told of each change.
    news: watch::Sender<()>,
}

impl Feed {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, change: &Change, redelivered: bool) -> anyhow::Result<()> {
        match change.op {
            Operation::Insert
            | Operation::Update
            | Operation::Delete
            | Operation::Truncate
            | Operation::Gap => {}
            Operation::Begin
            | Operation::Commit
            | Operation::Heartbeat
            | Operation::Message
            | Operation::Schema
            | Operation::Ddl
            | Operation::Part
            | Operation::Pack
            | Operation::Unknown => return Ok(()),
        }
        let table = change.schema.as_deref().zip(change.table.as_deref());
        let held = Held {
            position: change.id,
            table: table.map(|(schema, table)| format!("{schema}.{table}")),
            text: serde_json::to_string(change)?.into(),
        };
        let mut changes = self.changes();
        // A gap may have the position of the change before it; told twice it does no harm.
        let is_gap = change.op == Operation::Gap && changes.last == Some(held.position);
        if redelivered && changes.last >= Some(held.position) && !is_gap {
            return Ok(());
        }
        changes.push(held);
        drop(changes);
        self.news.send_replace(());
        Ok(())
    }

    async fn follow(&self, credentials: GroupCredentials) -> anyhow::Result<()> {
        let mut changes = Subscription::connect(credentials).await?;
        while let Some(delivery) = changes.next().await {
            let delivery = delivery?;
            self.take(&delivery.change, delivery.redelivered)?;
            match delivery.ack().await {
                Err(error) if error.is_final() => return Err(error.into()),
                // What is not acknowledged comes again.
                Ok(()) | Err(_) => {}
            }
        }
        anyhow::bail!("no more changes come")
    }

    /// Sends a browser what it wants, until it or its connection ends.
    async fn serve(&self, browser: TcpStream) -> anyhow::Result<()> {
        let handshake = tokio_tungstenite::accept_async(browser);
        let mut socket = tokio::time::timeout(PATIENCE, handshake).await??;
        let said = tokio::time::timeout(PATIENCE, socket.next()).await?;
        let Some(said) = said.transpose()? else {
            return Ok(());
        };
        let wish: Wish = match serde_json::from_slice(&said.into_data()) {
            Ok(wish) => wish,
            Err(error) => return close(&mut socket, MALFORMED, &error.to_string()).await,
        };
        let mut news = self.news.subscribe();
        // The lock is not held while anything is sent.
        let begun = self.changes().begin(wish.after);
        let Some((mut next, behind)) = begun else {
            return close(&mut socket, GONE, "no longer held").await;
        };
        let listening = json!({"op": "listening", "id": behind}).to_string();
        let sent = socket.send(Message::Text(listening.into()));
        tokio::time::timeout(PATIENCE, sent).await??;
        loop {
            news.mark_unchanged();
            loop {
                let wanted = match self.changes().get(next) {
                    Err(Gone) => None,
                    Ok(None) => break,
                    // A gap is about every table.
                    Ok(Some(change)) => Some(
                        (wish.tables.is_empty()
                            || change
                                .table
                                .as_ref()
                                .is_none_or(|table| wish.tables.contains(table)))
                        .then(|| change.text.clone()),
                    ),
                };
                let Some(wanted) = wanted else {
                    return close(&mut socket, GONE, "too slow").await;
                };
                if let Some(text) = wanted {
                    let sent = socket.send(Message::Text(text));
                    tokio::time::timeout(PATIENCE, sent).await??;
                }
                next += 1;
            }
            tokio::select! {
                changed = news.changed() => changed?,
                // Pings are answered by reading; whatever else it says is not for us.
                said = socket.next() => match said.transpose()? {
                    None | Some(Message::Close(_)) => return Ok(()),
                    Some(_) => {}
                },
            }
        }
    }
}

async fn close(
    socket: &mut WebSocketStream<TcpStream>,
    code: u16,
    reason: &str,
) -> anyhow::Result<()> {
    // A close frame has room for 123 bytes (RFC 6455, 5.5).
    let reason: String = reason.chars().take(30).collect();
    let frame = CloseFrame {
        code: code.into(),
        reason: reason.into(),
    };
    tokio::time::timeout(PATIENCE, socket.close(Some(frame))).await??;
    // Its answer ends the connection.
    while let Ok(Some(Ok(_message))) = tokio::time::timeout(PATIENCE, socket.next()).await {}
    Ok(())
}

async fn accept(feed: Arc<Feed>, listener: TcpListener) -> anyhow::Result<()> {
    let mut browsers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((browser, address)) = accepted else {
                    // As for want of file descriptors: those who are there go on.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let feed = Arc::clone(&feed);
                browsers.spawn(async move {
                    if let Err(error) = feed.serve(browser).await {
                        eprintln!("{address}: {error:#}");
                    }
                });
            }
            Some(_ended) = browsers.join_next() => {}
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let connection = arguments.next().context("first the connection's file")?;
    let password = arguments.next().context("then the password's file")?;
    let address: SocketAddr = arguments.next().context("then an address")?.parse()?;
    let connection = serde_json::from_slice(&std::fs::read(connection)?)?;
    let password = Secret::new(std::fs::read_to_string(password)?.trim_end());

    let listener = TcpListener::bind(address).await?;
    let feed = Arc::new(Feed {
        changes: Mutex::default(),
        news: watch::Sender::new(()),
    });
    eprintln!("browsers connect to ws://{}", listener.local_addr()?);
    tokio::select! {
        ended = feed.follow(GroupCredentials::new(connection, password)) => ended,
        ended = accept(Arc::clone(&feed), listener) => ended,
    }
}
