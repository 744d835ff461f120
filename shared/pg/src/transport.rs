//! The byte stream to a server: a TCP or Unix-domain socket, with TLS on it where asked for.
//!
//! ```text
//! resolve ─▶ Addresses ─▶ dial ─▶ Dialled ─▶ secure ─▶ Transport ─▶ log_in ─▶ Session
//! ```
//!
//! One step at a time, for those who want to know how far the way leads; each waits as long as the
//! network does.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::channel_binding;
use crate::connect::{ConnectOptions, SslMode};
use crate::pace::Beneath;
use crate::{Error, tls};

/// Silence after which the kernel asks whether the peer is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between such questions; three unanswered ones end the connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long written bytes may stay unacknowledged before the connection counts as lost.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(60);

/// Where a host can be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// The socket file of a server on this machine.
    Socket(String),
    /// In the resolver's order.
    Internet(Vec<SocketAddr>),
}

/// A connection without TLS, on which nothing was said yet.
#[derive(Debug)]
pub struct Dialled(Bare);

#[derive(Debug)]
enum Bare {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection on which the start-up message can be sent.
pub struct Transport {
    pub(crate) stream: Stream,
    /// `tls-server-end-point` data (RFC 5929), where TLS is on and the certificate has a hash.
    pub(crate) channel_binding: Option<Vec<u8>>,
    /// Nobody but the right server can be at the other end: this machine, or a verified
    /// certificate.
    pub(crate) peer_is_known: bool,
}

/// The sockets PostgreSQL listens on.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Beneath>>),
}

/// Connects and, over TCP, negotiates TLS as `ssl_mode` wants it.
pub(crate) async fn open(options: &ConnectOptions) -> Result<Transport, Error> {
    let addresses = resolve(options).await?;
    secure(options, dial(options, &addresses).await?).await
}

/// Looks the host's name up. What it leads to is what is dialled: another answer to a second question
/// could lead to where no source may be.
///
/// # Errors
/// [`Error::Connect`] where the name has no address, [`Error::NotAllowed`] where none of them may be a
/// source's.
pub async fn resolve(options: &ConnectOptions) -> Result<Addresses, Error> {
    if options.host.starts_with('/') {
        let path = format!("{}/.s.PGSQL.{}", options.host, options.port);
        if !options.networks.allow_sockets() {
            return Err(not_allowed(options, path));
        }
        return Ok(Addresses::Socket(path));
    }
    let found = tokio::net::lookup_host((options.host.as_str(), options.port)).await;
    let found = found.map_err(|cause| not_connected(options, cause))?;
    let (allowed, others): (Vec<SocketAddr>, Vec<SocketAddr>) =
        found.partition(|address| options.networks.allow(address.ip()));
    match others.first() {
        Some(other) if allowed.is_empty() => Err(not_allowed(options, other.ip().to_string())),
        _ => Ok(Addresses::Internet(allowed)),
    }
}

fn not_allowed(options: &ConnectOptions, address: String) -> Error {
    Error::NotAllowed {
        host: options.host.clone(),
        address,
    }
}

/// Tries every address in turn.
///
/// # Errors
/// [`Error::Connect`] with what the last one answered.
pub async fn dial(options: &ConnectOptions, addresses: &Addresses) -> Result<Dialled, Error> {
    let addresses = match addresses {
        Addresses::Internet(addresses) => addresses,
        Addresses::Socket(path) => {
            let socket = UnixStream::connect(path).await;
            let socket = socket.map_err(|cause| Error::Connect {
                address: path.clone(),
                cause,
            })?;
            return Ok(Dialled(Bare::Unix(socket)));
        }
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => {
                tune(&socket).map_err(|cause| not_connected(options, cause))?;
                return Ok(Dialled(Bare::Tcp(socket)));
            }
            Err(cause) => last = cause,
        }
    }
    Err(not_connected(options, last))
}

/// Negotiates TLS as `ssl_mode` wants it. As with libpq, a Unix-domain socket never has TLS.
///
/// # Errors
/// [`Error::TlsMissing`] where the server has none, [`Error::Tls`] where it shows a certificate that will not do.
pub async fn secure(options: &ConnectOptions, dialled: Dialled) -> Result<Transport, Error> {
    let mut socket = match dialled.0 {
        Bare::Tcp(socket) => socket,
        Bare::Unix(socket) => {
            return Ok(Transport {
                stream: Stream::Unix(socket),
                channel_binding: None,
                peer_is_known: true,
            });
        }
    };
    let local = socket.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
    let plain = |socket| Transport {
        stream: Stream::Tcp(socket),
        channel_binding: None,
        peer_is_known: local,
    };
    match options.ssl_mode {
        // Where the server refuses the login, `allow` begins again with TLS.
        SslMode::Disable | SslMode::Allow => return Ok(plain(socket)),
        SslMode::Prefer if !server_has_tls(&mut socket).await? => return Ok(plain(socket)),
        SslMode::Prefer => {}
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            if !server_has_tls(&mut socket).await? {
                let ssl_mode = options.ssl_mode;
                return Err(Error::TlsMissing { ssl_mode });
            }
        }
    }
    let stream = handshake(options, socket).await?;
    let certificate = stream.get_ref().1.peer_certificates();
    Ok(Transport {
        channel_binding: certificate
            .and_then(|chain| channel_binding::tls_server_end_point(chain.first()?)),
        peer_is_known: local || tls::identifies_server(options),
        stream: Stream::Tls(Box::new(stream)),
    })
}

fn not_connected(options: &ConnectOptions, cause: io::Error) -> Error {
    Error::Connect {
        address: format!("{}:{}", options.host, options.port),
        cause,
    }
}

impl Dialled {
    /// The address from which it was dialled; `None` for a Unix-domain socket.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        match &self.0 {
            Bare::Tcp(socket) => socket.local_addr().ok(),
            Bare::Unix(_) => None,
        }
    }

    /// The address that answered; `None` for a Unix-domain socket.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        match &self.0 {
            Bare::Tcp(socket) => socket.peer_addr().ok(),
            Bare::Unix(_) => None,
        }
    }
}

impl Transport {
    /// The version of TLS that is spoken, as `TLSv1_3`; `None` without TLS.
    #[must_use]
    pub fn tls_version(&self) -> Option<String> {
        match &self.stream {
            Stream::Tls(stream) => {
                let version = stream.get_ref().1.protocol_version()?;
                Some(format!("{version:?}"))
            }
            Stream::Tcp(_) | Stream::Unix(_) => None,
        }
    }

    /// Whether it is a Unix-domain socket, which never has TLS.
    pub(crate) const fn is_socket(&self) -> bool {
        matches!(self.stream, Stream::Unix(_))
    }

    /// Whether nobody but the right server can be at the other end: it is on this machine, or has
    /// shown a certificate that was verified.
    #[must_use]
    pub const fn peer_is_known(&self) -> bool {
        self.peer_is_known
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("tls", &self.tls_version())
            .field("peer_is_known", &self.peer_is_known)
            .finish_non_exhaustive()
    }
}

/// A standby status must not wait for more data, and a peer that vanished must be noticed even
/// while neither side has anything to say.
fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_LIMIT))?;
    Ok(())
}

/// Sends `SSLRequest` and reads the one byte that answers it (PostgreSQL docs, "SSL Session
/// Encryption").
///
/// Exactly one byte is read from the bare socket: anything that a man in the middle puts behind it
/// must fail the handshake instead of being taken for something the server said under TLS.
async fn server_has_tls(socket: &mut TcpStream) -> Result<bool, Error> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket
        .write_all(&request)
        .await
        .map_err(Error::ConnectionLost)?;
    match socket.read_u8().await.map_err(Error::ConnectionLost)? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        other => Err(Error::Protocol(format!(
            "byte {other:#04x} answers SSLRequest: this is not a PostgreSQL server"
        ))),
    }
}

async fn handshake(
    options: &ConnectOptions,
    socket: TcpStream,
) -> Result<TlsStream<Beneath>, Error> {
    let config = tls::client_config(options).await?;
    let name = ServerName::try_from(options.host.clone())
        .map_err(|error| Error::Tls(format!("host {:?}: {error}", options.host)))?;
    TlsConnector::from(Arc::new(config))
        .connect(name, Beneath::Plain(socket))
        .await
        .map_err(|error| {
            let by_tls = error.get_ref().and_then(|inner| inner.downcast_ref());
            match by_tls {
                Some(rustls_error) => tls::handshake_error(rustls_error),
                None => Error::ConnectionLost(error),
            }
        })
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// `tokio_postgres` asks it of the stream it is given, though it only uses what comes out of
/// `password_guard::Established`.
impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
