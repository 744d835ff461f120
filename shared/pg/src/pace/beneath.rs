//! The socket beneath TLS.

use std::io::{self, IoSlice};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;

use super::{GATHERED, Incoming, Outgoing, halves};

/// A socket that TLS reads from and writes to.
pub(crate) enum Beneath {
    /// Registered with the poller, as any other.
    Plain(TcpStream),
    /// Of a stream.
    Paced(Box<Paced>),
}

/// A paced socket. TLS takes 4 KiB at a time, which would look as if little had gathered: so it takes them
/// from a buffer.
pub(crate) struct Paced {
    incoming: BufReader<Incoming>,
    outgoing: Outgoing,
}

impl Beneath {
    /// From now on much is read at a time where much comes.
    ///
    /// # Errors
    /// Where the process has no descriptor left.
    pub(crate) fn pace(&mut self) -> io::Result<()> {
        if let Self::Plain(socket) = self {
            let another = socket.as_fd().try_clone_to_owned()?;
            let (incoming, outgoing) = halves(std::net::TcpStream::from(another));
            *self = Self::Paced(Box::new(Paced {
                incoming: BufReader::with_capacity(GATHERED, incoming),
                outgoing,
            }));
        }
        Ok(())
    }

    /// Whether the reader stays away at the moment.
    #[cfg(test)]
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Paced(paced) => paced.incoming.get_ref().pace.away.is_some(),
        }
    }
}

impl AsyncRead for Beneath {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Paced(paced) => Pin::new(&mut paced.incoming).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Beneath {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Paced(paced) => Pin::new(&mut paced.outgoing).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            // Of what a stream says, one is all that there is.
            Self::Paced(paced) => {
                Pin::new(&mut paced.outgoing).poll_write_vectored(context, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Paced(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Paced(paced) => Pin::new(&mut paced.outgoing).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Paced(paced) => Pin::new(&mut paced.outgoing).poll_shutdown(context),
        }
    }
}
