//! A link that fails in one way at a time.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Duration;

use rowcast_testkit::{Proxy, Sender, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(20);

/// How long it is looked whether nothing comes.
const SILENCE: Duration = Duration::from_millis(200);

/// A server that sends back what it gets, on the connections that it has accepted.
struct Echo {
    port: u16,
    _tasks: JoinSet<()>,
}

async fn echo() -> Echo {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let (mut read, mut write) = socket.split();
                // A reset is one of the ends that are tested.
                tokio::io::copy(&mut read, &mut write)
                    .await
                    .unwrap_or_default();
                write.shutdown().await.unwrap_or_default();
            });
        }
    });
    Echo {
        port,
        _tasks: tasks,
    }
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))
        .await
        .unwrap()
}

/// Sends a word and waits until it comes back.
async fn exchange(socket: &mut TcpStream, word: &[u8]) {
    socket.write_all(word).await.unwrap();
    let mut back = vec![0; word.len()];
    let answer = tokio::time::timeout(PATIENCE, socket.read_exact(&mut back));
    answer.await.unwrap().unwrap();
    assert_eq!(back, word);
}

/// Reads up to the end, which must be a reset; returns what came before it.
async fn until_reset(socket: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let end = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut got))
        .await
        .unwrap();
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    got
}

#[tokio::test]
async fn bytes_and_ends_pass_in_both_directions() {
    let echo = echo().await;
    let proxy = Proxy::start(echo.port).await.unwrap();
    let (mut one, mut two) = (connect(&proxy).await, connect(&proxy).await);
    exchange(&mut one, b"one").await;
    exchange(&mut two, &vec![7; 1 << 20]).await;
    assert_eq!(proxy.connections(), 2);
    one.write_all(b"last").await.unwrap();
    one.shutdown().await.unwrap();
    let mut rest = Vec::new();
    one.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"last");
    eventually("the ended one is not counted", PATIENCE, async || {
        proxy.connections() == 1
    })
    .await;
    exchange(&mut two, b"two").await;
}

#[tokio::test]
async fn a_cut_resets_every_connection_and_new_ones_pass() {
    let echo = echo().await;
    let proxy = Proxy::start(echo.port).await.unwrap();
    let (mut one, mut two) = (connect(&proxy).await, connect(&proxy).await);
    exchange(&mut one, b"one").await;
    exchange(&mut two, b"two").await;
    assert_eq!(proxy.cut(), 2);
    assert!(until_reset(&mut one).await.is_empty());
    assert!(until_reset(&mut two).await.is_empty());
    exchange(&mut connect(&proxy).await, b"three").await;
}

#[tokio::test]
async fn a_cut_after_some_bytes_lets_exactly_those_pass() {
    let echo = echo().await;
    let proxy = Proxy::start(echo.port).await.unwrap();
    let (mut cut, mut other) = (connect(&proxy).await, connect(&proxy).await);
    exchange(&mut cut, b"before").await;
    exchange(&mut other, b"before").await;
    proxy.cut_after(Sender::Upstream, 100_001);
    assert!(proxy.is_armed());
    let (mut read, mut write) = cut.split();
    let mut got = Vec::new();
    let send = async {
        // The rest may find the connection reset.
        write.write_all(&vec![7; 300_000]).await.unwrap_or_default();
    };
    let (end, ()) = tokio::join!(read.read_to_end(&mut got), send);
    end.unwrap();
    assert_eq!(got.len(), 100_001);
    assert!(!proxy.is_armed());
    exchange(&mut other, b"after").await;
    proxy.cut_after(Sender::Client, 0);
    other.write_all(b"lost").await.unwrap();
    assert!(until_reset(&mut other).await.is_empty());
}

#[tokio::test]
async fn a_stalled_link_keeps_connections_and_passes_nothing() {
    let echo = echo().await;
    let proxy = Proxy::start(echo.port).await.unwrap();
    let mut before = connect(&proxy).await;
    exchange(&mut before, b"before").await;
    proxy.stall();
    let mut during = connect(&proxy).await;
    for socket in [&mut before, &mut during] {
        socket.write_all(b"held").await.unwrap();
        let nothing = tokio::time::timeout(SILENCE, socket.read_u8()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
    proxy.resume().await;
    for socket in [&mut before, &mut during] {
        let mut held = [0; 4];
        socket.read_exact(&mut held).await.unwrap();
        assert_eq!(&held, b"held");
    }
}

#[tokio::test]
async fn a_refusing_link_is_as_a_server_that_is_down() {
    let echo = echo().await;
    let proxy = Proxy::start(echo.port).await.unwrap();
    let mut before = connect(&proxy).await;
    exchange(&mut before, b"before").await;
    proxy.refuse().await;
    assert!(until_reset(&mut before).await.is_empty());
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    proxy.resume().await;
    exchange(&mut connect(&proxy).await, b"after").await;
}

#[tokio::test]
async fn new_connections_follow_to_another_server_and_none_outlives_the_link() {
    let first = echo().await;
    let proxy = Proxy::start(first.port).await.unwrap();
    let mut stays = connect(&proxy).await;
    exchange(&mut stays, b"one").await;
    drop(first);
    // Nothing listens there: the client sees a reset, as from a server that is down.
    assert!(until_reset(&mut connect(&proxy).await).await.is_empty());
    let second = echo().await;
    proxy.redirect(second.port);
    let mut moved = connect(&proxy).await;
    exchange(&mut moved, b"two").await;
    let port = proxy.port();
    drop(proxy);
    let mut nothing = Vec::new();
    moved.read_to_end(&mut nothing).await.unwrap_or_default();
    assert!(nothing.is_empty());
    eventually("the port is closed", PATIENCE, async || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
    })
    .await;
}
