//! Bytes that come fast, seldom, and over each kind of socket.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rowcast_domain::Secret;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::*;
use crate::connect::{ConnectOptions, SslMode};
use crate::networks::Networks;
use crate::tls;

/// How a reader says whether it stays away at the moment.
trait Reading: AsyncRead + Unpin {
    fn is_away(&self) -> bool;
}

impl<S: Socket> Reading for Incoming<S> {
    fn is_away(&self) -> bool {
        self.pace.away.is_some()
    }
}

impl Reading for Gathering<client::TlsStream<Beneath>> {
    fn is_away(&self) -> bool {
        self.from.get_ref().0.is_away()
    }
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (server, client)
}

type Tcp = std::net::TcpStream;

async fn connection() -> (TcpStream, Incoming<Tcp>, Outgoing<Tcp>) {
    let (server, client) = sockets().await;
    let (incoming, outgoing) = halves(client.into_std().unwrap()).unwrap();
    (server, incoming, outgoing)
}

/// A certificate that nobody but itself has signed, and its key.
fn identity(dir: &Path) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key \
                     -out server.crt -subj /CN=localhost -days 2";
    let output = Command::new("openssl")
        .args(arguments.split_ascii_whitespace())
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let certificate = CertificateDer::from_pem_file(dir.join("server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap();
    (certificate, key)
}

/// Whoever the server is.
fn options() -> ConnectOptions {
    ConnectOptions {
        host: "localhost".to_owned(),
        port: 5432,
        database: "shop".to_owned(),
        user: "rowcast".to_owned(),
        password: Secret::new(""),
        ssl_mode: SslMode::Require,
        ssl_root_cert: None,
        client_certificate: None,
        networks: Networks::default(),
        application_name: "rowcast-test".to_owned(),
        connect_timeout: Duration::from_secs(10),
    }
}

/// A connection with TLS, of which the client's socket is paced.
async fn encrypted() -> (server::TlsStream<TcpStream>, client::TlsStream<Beneath>) {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = identity(dir.path());
    let of_server = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let of_client = tls::client_config(&options()).await.unwrap();
    let (server, client) = sockets().await;
    let name = "localhost".try_into().unwrap();
    let connector = TlsConnector::from(Arc::new(of_client));
    let (server, client) = tokio::join!(
        TlsAcceptor::from(Arc::new(of_server)).accept(server),
        connector.connect(name, Beneath::Plain(client)),
    );
    let mut client = client.unwrap();
    client.get_mut().0.pace().unwrap();
    (server.unwrap(), client)
}

/// Reads of so many bytes, one each `every`, beginning now.
fn pace_after(reads: u32, bytes: usize, every: Duration) -> Pace {
    let now = Instant::now();
    let mut pace = Pace::new(now);
    for read in 1..=reads {
        pace.read(bytes, now + every * read);
    }
    pace
}

/// Sends eight megabytes in rows of this size, with rests between, and expects them with naps.
async fn every_byte_arrives(
    mut server: impl AsyncWrite + Unpin,
    mut incoming: impl Reading,
    row: usize,
) {
    let sent: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    let send = async move {
        for (number, bytes) in sent.chunks(row).enumerate() {
            server.write_all(bytes).await.unwrap();
            server.flush().await.unwrap();
            if number % (2_000_000 / row) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        server.shutdown().await.unwrap();
    };
    let receive = async {
        let (mut received, mut buffer, mut naps) = (Vec::new(), vec![0; 256 << 10], 0);
        loop {
            let read = incoming.read(&mut buffer).await.unwrap();
            naps += usize::from(incoming.is_away());
            match read {
                0 => return (received, naps),
                read => received.extend_from_slice(&buffer[..read]),
            }
        }
    };
    let ((), (received, naps)) = tokio::join!(send, receive);
    assert!(received == expected, "the bytes are others");
    assert!(naps > 0);
}

#[test]
fn a_reader_stays_away_where_much_comes_in_small_pieces() {
    let every = Duration::from_micros(10);
    assert!(pace_after(1000, 400, every).away.is_some());
    assert!(pace_after(1000, 20, every).away.is_none(), "it is little");
    assert!(
        pace_after(100, 400, every).away.is_none(),
        "it is not for long"
    );
    assert!(
        pace_after(1000, GATHERED, every).away.is_none(),
        "it is large already"
    );
    let mut pace = pace_after(1000, 400, every);
    pace.rest();
    assert!(pace.away.is_none() && !pace.busy);
}

#[tokio::test]
async fn every_byte_arrives_in_order_however_fast_it_comes() {
    let (server, incoming, _outgoing) = connection().await;
    every_byte_arrives(server, incoming, 400).await;
}

#[tokio::test]
async fn every_byte_arrives_in_order_over_a_socket_file() {
    let (server, client) = UnixStream::pair().unwrap();
    let (incoming, _outgoing) = halves(client.into_std().unwrap()).unwrap();
    every_byte_arrives(server, incoming, 400).await;
}

#[tokio::test]
async fn every_byte_arrives_in_order_over_tls() {
    let (server, client) = encrypted().await;
    every_byte_arrives(server, Gathering::new(client), 1000).await;
}

#[tokio::test]
async fn what_comes_seldom_over_tls_is_read_at_once_and_as_one() {
    let (mut server, client) = encrypted().await;
    let mut incoming = Gathering::new(client);
    let mut buffer = vec![0; 256 << 10];
    for _ in 0..3 {
        // Several records, and more than TLS takes at a time.
        for _ in 0..20 {
            server.write_all(&[7; 1000]).await.unwrap();
        }
        server.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(incoming.read(&mut buffer).await.unwrap(), 20_000);
        assert!(!incoming.is_away());
    }
    incoming.from.write_all(b"status").await.unwrap();
    incoming.from.shutdown().await.unwrap();
    let mut received = Vec::new();
    server.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"status");
}

#[tokio::test]
async fn what_is_written_arrives_and_its_end_too() {
    let (mut server, mut incoming, mut outgoing) = connection().await;
    outgoing.write_all(b"status").await.unwrap();
    outgoing.shutdown().await.unwrap();
    let mut received = Vec::new();
    server.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"status");
    server.write_all(b"row").await.unwrap();
    drop(server);
    let mut received = Vec::new();
    incoming.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"row");
}
