//! The socket of a stream, read in larger pieces where much comes.
//!
//! A walsender makes a system call for each row, and a reader that waits is woken by each of them: on a
//! busy stream both pay more for that than for the row. So a reader to whom much comes stays away for a
//! millisecond at a time, not even registered with the poller, and takes what has gathered. Where little
//! comes it is woken at once.
//!
//! What counts is what the kernel does, so it is the socket that is paced: with TLS the one [beneath](Beneath)
//! it.

mod beneath;
mod gathering;
mod socket;

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) use self::beneath::Beneath;
pub(crate) use self::gathering::Gathering;
use self::socket::Socket;

/// How long a busy reader stays away after a read: as short as the runtime's clock can tell.
const NAP: Duration = Duration::from_millis(1);

/// How long is looked at what comes before a stream is called busy.
const WINDOW: Duration = Duration::from_millis(4);

/// Bytes that must come in each nap for the stream to be busy: some dozen rows.
const WORTH: u128 = 4 << 10;

/// A read of so many bytes shows that enough has gathered while the reader worked.
const GATHERED: usize = 64 << 10;

/// Makes the two halves of a connection.
///
/// # Errors
/// Where the process has no descriptor left.
pub(crate) fn halves<S: Socket>(incoming: S) -> io::Result<(Incoming<S>, Outgoing<S>)> {
    let outgoing = incoming.another()?;
    let now = Instant::now();
    let incoming = Incoming {
        socket: incoming,
        waiting: None,
        nap: Box::pin(sleep_until(now)),
        pace: Pace::new(now),
    };
    let outgoing = Outgoing {
        socket: outgoing,
        waiting: None,
    };
    Ok((incoming, outgoing))
}

/// The receiving half.
pub(crate) struct Incoming<S: Socket> {
    /// Not registered with the poller.
    socket: S,
    /// The same, registered: to be woken by what comes next.
    waiting: Option<S::Registered>,
    nap: Pin<Box<Sleep>>,
    pace: Pace,
}

/// The sending half. Registered only where the kernel takes no more: what is registered is woken by what
/// comes, too.
pub(crate) struct Outgoing<S: Socket> {
    socket: S,
    waiting: Option<S::Registered>,
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
}

impl<S: Socket> AsyncRead for Incoming<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(until) = this.pace.away {
            this.waiting = None;
            if this.nap.deadline() != until {
                this.nap.as_mut().reset(until);
            }
            ready!(this.nap.as_mut().poll(context));
            this.pace.away = None;
        }
        let filled = buffer.filled().len();
        if this.waiting.is_none() {
            match this.socket.read_now(buffer.initialize_unfilled()) {
                Ok(read) => buffer.advance(read),
                Err(error) if is_for_later(&error) => {
                    this.waiting = Some(this.socket.another()?.register()?);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if let Some(waiting) = &mut this.waiting
            && Pin::new(waiting).poll_read(context, buffer)?.is_pending()
        {
            this.pace.rest();
            return Poll::Pending;
        }
        let read = buffer.filled().len() - filled;
        this.pace.read(read, Instant::now());
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for Outgoing<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut waiting = match this.waiting.take() {
            Some(waiting) => waiting,
            None => match this.socket.write_now(bytes) {
                Err(error) if is_for_later(&error) => this.socket.another()?.register()?,
                done => return Poll::Ready(done),
            },
        };
        let done = Pin::new(&mut waiting).poll_write(context, bytes);
        if done.is_pending() {
            this.waiting = Some(waiting);
        }
        done
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.end())
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests;
