//! Sockets as the operating system has them, and as the poller does.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use tokio::io::{AsyncRead, AsyncWrite};

/// A socket that does not block, and is not registered with the poller.
pub(crate) trait Socket: Sized + Send + Sync + Unpin {
    /// The same, registered.
    type Registered: AsyncRead + AsyncWrite + Send + Sync + Unpin;

    /// The same under another descriptor.
    fn another(&self) -> io::Result<Self>;

    /// Registers it.
    fn register(self) -> io::Result<Self::Registered>;

    /// Reads what is there.
    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes what there is room for.
    fn write_now(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Says that nothing more is written.
    fn end(&self) -> io::Result<()>;
}

impl Socket for TcpStream {
    type Registered = tokio::net::TcpStream;

    fn another(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn register(self) -> io::Result<Self::Registered> {
        tokio::net::TcpStream::from_std(self)
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = self;
        socket.read(buffer)
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut socket = self;
        socket.write(bytes)
    }

    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Socket for UnixStream {
    type Registered = tokio::net::UnixStream;

    fn another(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn register(self) -> io::Result<Self::Registered> {
        tokio::net::UnixStream::from_std(self)
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = self;
        socket.read(buffer)
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut socket = self;
        socket.write(bytes)
    }

    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
