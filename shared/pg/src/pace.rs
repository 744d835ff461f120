//! The socket of a stream, read in larger pieces where much comes.
//!
//! A walsender makes a system call for each row, and a reader that waits is woken by each of them: on a
//! busy stream both pay more for that than for the row. So a reader to whom much comes stays away for a
//! millisecond at a time, not even registered with the poller, and takes what has gathered. Where little
//! comes it is woken at once.
//!
//! Only over TCP: a socket file holds less than three hundred frames, however small they are, and the
//! walsender would stand still for most of the millisecond.
//!
//! What counts is what the kernel does, so it is the socket that is paced: with TLS the one [beneath](Beneath)
//! it.

mod beneath;
mod gathering;

use std::future::Future as _;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

pub(crate) use self::beneath::Beneath;
pub(crate) use self::gathering::Gathering;

/// How long a busy reader stays away after a read: as short as the runtime's clock can tell.
const NAP: Duration = Duration::from_millis(1);

/// How long is looked at what comes before a stream is called busy.
const WINDOW: Duration = Duration::from_millis(4);

/// Bytes that must come in each nap for the stream to be busy: some dozen rows.
const WORTH: u128 = 4 << 10;

/// A read of so many bytes shows that enough has gathered while the reader worked.
const GATHERED: usize = 64 << 10;

/// Makes the two halves of a connection, of a socket that does not block.
pub(crate) fn halves(socket: TcpStream) -> (Incoming, Outgoing) {
    let socket = Arc::new(socket);
    let now = Instant::now();
    let outgoing = Outgoing {
        socket: Arc::clone(&socket),
        waiting: None,
        nap: None,
    };
    let incoming = Incoming {
        socket,
        waiting: None,
        nap: Box::pin(sleep_until(now)),
        pace: Pace::new(now),
    };
    (incoming, outgoing)
}

/// The receiving half.
pub(crate) struct Incoming {
    /// Not registered with the poller.
    socket: Arc<TcpStream>,
    /// The same under another descriptor, registered: to be woken by what comes next.
    waiting: Option<tokio::net::TcpStream>,
    nap: Pin<Box<Sleep>>,
    pace: Pace,
}

/// The sending half. Registered only where the kernel takes no more: what is registered is woken by what
/// comes, too.
pub(crate) struct Outgoing {
    socket: Arc<TcpStream>,
    waiting: Option<tokio::net::TcpStream>,
    /// Where it can be registered only later.
    nap: Option<Pin<Box<Sleep>>>,
}

/// When to stay away. Pure.
#[derive(Debug)]
struct Pace {
    /// What came since when.
    bytes: u128,
    since: Instant,
    busy: bool,
    /// Until when the reader stays away; `None` where it does not.
    away: Option<Instant>,
}

impl Pace {
    const fn new(now: Instant) -> Self {
        Self {
            bytes: 0,
            since: now,
            busy: false,
            away: None,
        }
    }

    /// So many bytes were read at once.
    fn read(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes as u128;
        let elapsed = now - self.since;
        if elapsed >= WINDOW {
            self.busy = self.bytes * NAP.as_micros() >= WORTH * elapsed.as_micros();
            (self.bytes, self.since) = (0, now);
        }
        self.away = (self.busy && bytes < GATHERED).then(|| now + NAP);
    }

    /// Nothing has come.
    const fn rest(&mut self) {
        self.busy = false;
        self.away = None;
    }

    /// Nothing has come, and nobody can tell when something does.
    fn look_again(&mut self, now: Instant) {
        self.busy = false;
        self.away = Some(now + NAP);
    }
}

impl Incoming {
    /// Waits for as long as the reader stays away.
    fn poll_nap(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(until) = self.pace.away {
            self.waiting = None;
            if self.nap.deadline() != until {
                self.nap.as_mut().reset(until);
            }
            ready!(self.nap.as_mut().poll(context));
            self.pace.away = None;
        }
        Poll::Ready(())
    }

    /// Reads what is there, and says whether anything was: where nothing was, the reader is registered, or
    /// looks again later.
    fn poll_now(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        // The runtime does not see this read: where there is always something, nothing else had its turn.
        let coop = ready!(coop::poll_proceed(context));
        let mut socket = &*self.socket;
        match socket.read(buffer.initialize_unfilled()) {
            Ok(read) => {
                coop.made_progress();
                buffer.advance(read);
                Poll::Ready(Ok(true))
            }
            Err(error) if is_for_later(&error) => {
                match registered(&self.socket) {
                    Ok(waiting) => self.waiting = Some(waiting),
                    // The stream is as good as before: only a descriptor is missing, and for now.
                    Err(_none_left) => self.pace.look_again(Instant::now()),
                }
                Poll::Ready(Ok(false))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let filled = buffer.filled().len();
        loop {
            ready!(this.poll_nap(context));
            if let Some(waiting) = &mut this.waiting {
                if Pin::new(waiting).poll_read(context, buffer)?.is_pending() {
                    this.pace.rest();
                    return Poll::Pending;
                }
                break;
            }
            if ready!(this.poll_now(context, buffer))? {
                break;
            }
        }
        let read = buffer.filled().len() - filled;
        if read >= GATHERED {
            // It is worked on for so long that more comes meanwhile: nobody need be told of that.
            this.waiting = None;
        }
        this.pace.read(read, Instant::now());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            if let Some(nap) = &mut this.nap {
                ready!(nap.as_mut().poll(context));
                this.nap = None;
            }
            if let Some(waiting) = &mut this.waiting {
                let done = ready!(Pin::new(waiting).poll_write(context, bytes));
                this.waiting = None;
                return Poll::Ready(done);
            }
            let mut socket = &*this.socket;
            match socket.write(bytes) {
                Err(error) if is_for_later(&error) => match registered(&this.socket) {
                    Ok(waiting) => this.waiting = Some(waiting),
                    Err(_none_left) => this.nap = Some(Box::pin(sleep(NAP))),
                },
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(Shutdown::Write))
    }
}

/// The same socket under another descriptor, registered with the poller.
fn registered(socket: &TcpStream) -> io::Result<tokio::net::TcpStream> {
    tokio::net::TcpStream::from_std(socket.try_clone()?)
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests;
