//! The example that fans a group's changes out to browsers.

use std::process::Stdio;

use futures::{SinkExt as _, StreamExt as _};
use rowcast_e2e::{Group, PATIENCE, Shop, program};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const TABLES: &str =
    "CREATE TABLE shop.bid (id int PRIMARY KEY); CREATE TABLE shop.talk (id int PRIMARY KEY)";

/// The example's process.
struct Server {
    url: String,
    _process: Child,
    _folder: TempDir,
}

impl Server {
    async fn start(group: &Group) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = group.write_to(folder.path()).unwrap();
        let mut process = Command::new(program("examples/websocket").unwrap())
            .args(files)
            .arg("127.0.0.1:0")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let url = line.strip_prefix("browsers connect to ").unwrap();
        Self {
            url: url.to_owned(),
            _process: process,
            _folder: folder,
        }
    }
}

/// A browser, as far as it matters here.
struct Browser(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Browser {
    async fn open(server: &Server, wish: &str) -> Self {
        let (mut socket, _answer) = tokio_tungstenite::connect_async(&server.url).await.unwrap();
        socket.send(Message::text(wish)).await.unwrap();
        Self(socket)
    }

    /// One that is served.
    async fn served(server: &Server, wish: &str) -> Self {
        let mut browser = Self::open(server, wish).await;
        assert_eq!(browser.change().await["op"], "listening");
        browser
    }

    async fn next(&mut self) -> Message {
        let message = tokio::time::timeout(PATIENCE, self.0.next()).await;
        message.unwrap().unwrap().unwrap()
    }

    async fn change(&mut self) -> Value {
        let message = self.next().await;
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    /// The ids of the next rows.
    async fn rows(&mut self, count: usize) -> Vec<i64> {
        let mut rows = Vec::new();
        while rows.len() < count {
            rows.push(self.change().await["after"]["id"].as_i64().unwrap());
        }
        rows
    }

    async fn close_code(&mut self) -> u16 {
        let message = self.next().await;
        let Message::Close(Some(frame)) = message else {
            panic!("not closed but {message:?}");
        };
        frame.code.into()
    }
}

/// Bids and talk by turns.
async fn write(shop: &Shop, ids: std::ops::RangeInclusive<i64>) {
    for id in ids {
        let statement =
            format!("INSERT INTO shop.bid VALUES ({id}); INSERT INTO shop.talk VALUES ({id})");
        shop.sql.batch_execute(&statement).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_get_what_they_want_once_and_in_order() {
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    shop.sql.batch_execute(TABLES).await.unwrap();
    Box::pin(shop.run()).await.unwrap();
    let group = shop.group("browsers").await.unwrap();
    let server = Server::start(&group).await;

    let mut malformed = Browser::open(&server, r#"{"table": "shop.bid"}"#).await;
    assert_eq!(malformed.close_code().await, 4400);
    let mut stranger = Browser::open(&server, r#"{"after": "0/1.1"}"#).await;
    assert_eq!(stranger.close_code().await, 4410);

    let bids_only = r#"{"tables": ["shop.bid"]}"#;
    let mut bids = Browser::served(&server, bids_only).await;
    let mut everything = Browser::served(&server, "{}").await;

    write(&shop, 1..=50).await;
    let mut last = Value::Null;
    for id in 1..=50 {
        let change = bids.change().await;
        assert_eq!(change["table"], "bid");
        assert_eq!(change["after"]["id"], id);
        last = change["id"].clone();
    }
    let both = everything.rows(100).await;
    let twice: Vec<_> = (1..=50).flat_map(|id| [id, id]).collect();
    assert_eq!(both, twice);

    // Whoever comes back goes on where it was.
    drop(bids);
    write(&shop, 51..=80).await;
    let wish = json!({"tables": ["shop.bid"], "after": last}).to_string();
    let mut back = Browser::served(&server, &wish).await;
    assert_eq!(back.rows(30).await, (51..=80).collect::<Vec<_>>());

    // A process that was started anew does not know what a browser has seen, and says so.
    drop(server);
    let server = Server::start(&group).await;
    let mut back = Browser::open(&server, &wish).await;
    assert_eq!(back.close_code().await, 4410);
}
