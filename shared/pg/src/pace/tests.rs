//! Bytes that come fast, seldom, and over each kind of socket.

use std::path::Path;
use std::sync::Arc;

use rowcast_domain::Secret;
use rowcast_testkit::openssl;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::gathering::AT_ONCE;
use super::*;
use crate::connect::{ConnectOptions, SslMode};
use crate::networks::Networks;
use crate::tls;

/// How a reader says whether it stays away at the moment.
trait Reading: AsyncRead + Unpin {
    fn is_away(&self) -> bool;
}

impl Reading for Incoming {
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
    // As PostgreSQL sends: at once.
    server.set_nodelay(true).unwrap();
    (server, client)
}

async fn connection() -> (TcpStream, Incoming, Outgoing) {
    let (server, client) = sockets().await;
    let (incoming, outgoing) = halves(client.into_std().unwrap());
    (server, incoming, outgoing)
}

/// A certificate that nobody but itself has signed, and its key.
fn identity(dir: &Path) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key \
                     -out server.crt -subj /CN=localhost -days 2";
    openssl(dir, arguments);
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

#[tokio::test]
async fn a_reader_to_whom_much_has_come_is_not_woken_by_what_comes_next() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpSocket::new_v4().unwrap();
    client.set_recv_buffer_size(1 << 20).unwrap();
    let client = client.connect(listener.local_addr().unwrap()).await;
    let (mut server, _) = listener.accept().await.unwrap();
    let (mut incoming, _outgoing) = halves(client.unwrap().into_std().unwrap());
    let mut buffer = vec![0; 256 << 10];
    let soon = Duration::from_millis(50);
    let nothing = tokio::time::timeout(soon, incoming.read(&mut buffer)).await;
    assert!(nothing.is_err() && incoming.waiting.is_some());
    server.write_all(&vec![7; GATHERED + 1000]).await.unwrap();
    tokio::time::sleep(soon).await;
    let read = incoming.read(&mut buffer).await.unwrap();
    assert_eq!(read, GATHERED + 1000);
    assert!(incoming.waiting.is_none() && !incoming.is_away());
}

#[tokio::test]
async fn a_reader_to_whom_something_always_comes_lets_others_have_their_turn() {
    let (mut server, mut incoming, _outgoing) = connection().await;
    server.write_all(&[7; 4000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let read = async {
        for _ in 0..4000 {
            incoming.read_u8().await.unwrap();
        }
    };
    let mut turns = 0;
    tokio::select! {
        biased;
        () = read => {}
        () = std::future::poll_fn(|_context| {
            turns += 1;
            Poll::Pending
        }) => {}
    }
    assert!(turns > 10, "{turns}");
}

#[tokio::test]
async fn a_reader_that_nobody_can_wake_looks_again() {
    let (mut server, mut incoming, _outgoing) = connection().await;
    incoming.pace.look_again(Instant::now());
    assert!(incoming.is_away() && !incoming.pace.busy);
    server.write_all(b"row").await.unwrap();
    let mut received = [0; 3];
    incoming.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"row");
}

/// Has 4 KiB whenever it is asked, as TLS has.
struct Endless;

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = [7; 4 << 10];
        buffer.put_slice(bytes.get(..buffer.remaining()).unwrap_or(&bytes));
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_is_decrypted_is_handed_out_in_parts_where_it_has_no_end() {
    let mut buffer = vec![0; 1 << 20];
    let read = Gathering::new(Endless).read(&mut buffer).await.unwrap();
    assert_eq!(read, AT_ONCE);
}
