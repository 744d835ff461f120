//! The byte stream to a server: a TCP or Unix-domain socket, with TLS on it where asked for.

use std::io;
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
use crate::{Error, tls};

/// Silence after which the kernel asks whether the peer is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between such questions; three unanswered ones end the connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long written bytes may stay unacknowledged before the connection counts as lost.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(60);

/// A connection on which the start-up message can be sent.
pub(crate) struct Transport {
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
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects and, over TCP, negotiates TLS as `ssl_mode` wants it.
///
/// As with libpq, a Unix-domain socket never has TLS.
pub(crate) async fn open(options: &ConnectOptions) -> Result<Transport, Error> {
    if options.host.starts_with('/') {
        let path = format!("{}/.s.PGSQL.{}", options.host, options.port);
        let socket = UnixStream::connect(&path)
            .await
            .map_err(|cause| Error::Connect {
                address: path,
                cause,
            })?;
        return Ok(Transport {
            stream: Stream::Unix(socket),
            channel_binding: None,
            peer_is_known: true,
        });
    }
    let mut socket = dial(&options.host, options.port).await?;
    let local = socket.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
    let plain = |socket| Transport {
        stream: Stream::Tcp(socket),
        channel_binding: None,
        peer_is_known: local,
    };
    match options.ssl_mode {
        SslMode::Disable => return Ok(plain(socket)),
        SslMode::Prefer if !server_has_tls(&mut socket).await? => return Ok(plain(socket)),
        SslMode::Prefer => {}
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            if !server_has_tls(&mut socket).await? {
                return Err(Error::Tls(format!(
                    "the server does not support TLS, but sslmode is {}",
                    options.ssl_mode
                )));
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

/// Tries every address of the host in the resolver's order.
async fn dial(host: &str, port: u16) -> Result<TcpStream, Error> {
    let failed = |cause| Error::Connect {
        address: format!("{host}:{port}"),
        cause,
    };
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(failed)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => {
                tune(&socket).map_err(failed)?;
                return Ok(socket);
            }
            Err(cause) => last = cause,
        }
    }
    Err(failed(last))
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
) -> Result<TlsStream<TcpStream>, Error> {
    let config = tls::client_config(options).await?;
    let name = ServerName::try_from(options.host.clone())
        .map_err(|error| Error::Tls(format!("host {:?}: {error}", options.host)))?;
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
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
/// [`Established`](crate::password_guard::Established).
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
