//! Keeps `tokio_postgres` from giving a password to a server that nobody vouches for.
//!
//! `tokio_postgres` answers a request for a clear-text or MD5 password whatever the connection is.
//! The stream it reads from therefore watches the server's messages until the login is over.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::transport::{Stream, Transport};

/// Authentication request codes (PostgreSQL docs, "Message Formats").
const AUTHENTICATION_OK: u32 = 0;
const AUTHENTICATION_CLEARTEXT: u32 = 3;
const AUTHENTICATION_MD5: u32 = 5;

/// The server asked for a password it could keep or replay, and is not known to be the right one.
#[derive(Debug, thiserror::Error)]
#[error(
    "the server asks for a clear-text or MD5 password, and its identity is not verified; \
     use verify-full, or scram-sha-256 on the server"
)]
pub(crate) struct PasswordRefused;

/// Hands `tokio_postgres` a transport on which TLS, where wanted, is already established.
pub(crate) struct Established;

impl TlsConnect<Transport> for Established {
    type Stream = GuardedStream;
    type Error = Infallible;
    type Future = Ready<Result<GuardedStream, Infallible>>;

    fn connect(self, transport: Transport) -> Self::Future {
        ready(Ok(GuardedStream {
            scan: (!transport.peer_is_known).then(LoginScan::default),
            channel_binding: transport.channel_binding,
            stream: transport.stream,
        }))
    }
}

/// A transport that fails as soon as an unknown server asks for a password.
pub(crate) struct GuardedStream {
    stream: Stream,
    channel_binding: Option<Vec<u8>>,
    /// `None` once the login is over, and for a known server.
    scan: Option<LoginScan>,
}

impl TlsStream for GuardedStream {
    fn channel_binding(&self) -> ChannelBinding {
        self.channel_binding
            .clone()
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(scan) = &mut self.scan {
            let bytes = buf.filled().get(before..).unwrap_or_default();
            match scan.feed(bytes) {
                Verdict::LoginGoesOn => {}
                Verdict::LoginOver => self.scan = None,
                Verdict::PasswordAsked => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        PasswordRefused,
                    )));
                }
            }
        }
        result
    }
}

impl AsyncWrite for GuardedStream {
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

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    LoginGoesOn,
    LoginOver,
    PasswordAsked,
}

/// Follows message boundaries, byte by byte: a login is a few hundred bytes.
#[derive(Default)]
struct LoginScan {
    /// Tag, length and, of an authentication request, its code.
    head: Vec<u8>,
    /// Bytes of the current message that do not matter.
    skip: usize,
}

impl LoginScan {
    fn feed(&mut self, bytes: &[u8]) -> Verdict {
        for byte in bytes {
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.head.push(*byte);
            let code = match self.head.as_slice() {
                [b'R', _, _, _, _, a, b, c, d] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
                [tag, _, _, _, _] if *tag != b'R' => None,
                _ => continue,
            };
            match code {
                Some(AUTHENTICATION_OK) => return Verdict::LoginOver,
                Some(AUTHENTICATION_CLEARTEXT | AUTHENTICATION_MD5) => {
                    return Verdict::PasswordAsked;
                }
                Some(_) | None => self.skip_body(),
            }
        }
        Verdict::LoginGoesOn
    }

    /// The length counts itself but not the tag.
    fn skip_body(&mut self) {
        let length = match self.head.as_slice() {
            [_, a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]),
            _ => 0,
        };
        let message = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        self.skip = message.saturating_sub(self.head.len());
        self.head.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(code: u32, rest: &[u8]) -> Vec<u8> {
        let length = u32::try_from(8 + rest.len()).unwrap();
        [
            b"R",
            &length.to_be_bytes()[..],
            &code.to_be_bytes()[..],
            rest,
        ]
        .concat()
    }

    #[test]
    fn a_password_request_is_seen_wherever_reads_are_cut() {
        let notice = [b"N", &8_u32.to_be_bytes()[..], b"R\0\0\0"].concat();
        let wire = [
            notice,
            request(10, b"SCRAM-SHA-256\0\0"),
            request(AUTHENTICATION_CLEARTEXT, b""),
        ]
        .concat();
        for cut in 0..wire.len() {
            let mut scan = LoginScan::default();
            assert_eq!(
                scan.feed(&wire[..cut]),
                Verdict::LoginGoesOn,
                "cut at {cut}"
            );
            assert_eq!(
                scan.feed(&wire[cut..]),
                Verdict::PasswordAsked,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn nothing_after_the_login_is_looked_at() {
        let wire = [request(AUTHENTICATION_OK, b""), request(3, b"")].concat();
        assert_eq!(LoginScan::default().feed(&wire), Verdict::LoginOver);
        assert_eq!(
            LoginScan::default().feed(&request(AUTHENTICATION_MD5, b"salt")),
            Verdict::PasswordAsked
        );
    }
}
