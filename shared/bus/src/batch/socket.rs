//! The byte stream to a NATS server: TCP, with TLS on it where the server asks for it.

use std::io;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::wire::WireError;

/// An open connection, bare or encrypted.
pub(super) type Socket = Either<TcpStream, Box<TlsStream<TcpStream>>>;

pub(super) async fn dial(host: &str, port: u16) -> io::Result<Socket> {
    let socket = TcpStream::connect((host, port)).await?;
    // A batch is one write: it must not wait for company.
    socket.set_nodelay(true)?;
    Ok(Either::Left(socket))
}

/// Negotiates TLS; the certificate must be good for `host` and signed by an authority that this machine
/// trusts.
pub(super) async fn encrypted(socket: Socket, host: &str) -> Result<Socket, WireError> {
    let socket = match socket {
        Either::Left(socket) => socket,
        Either::Right(_) => return Ok(socket),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| WireError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| WireError::Tls(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector
        .connect(name, socket)
        .await
        .map_err(|error| WireError::Tls(error.to_string()))?;
    Ok(Either::Right(Box::new(stream)))
}
