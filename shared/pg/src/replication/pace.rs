//! The socket of a stream, read in larger pieces where much comes.
//!
//! A walsender makes a system call for each row, and a reader that waits is woken by each of them: on a
//! busy stream both pay more for that than for the row. So a reader to whom much comes stays away for a
//! millisecond at a time, not even registered with the poller, and takes what has gathered. Where little
//! comes it is woken at once.

use std::future::Future as _;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

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
pub(super) fn halves(stream: TcpStream) -> io::Result<(Incoming, Outgoing)> {
    let incoming = stream.into_std()?;
    let outgoing = incoming.try_clone()?;
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
pub(super) struct Incoming {
    /// Not registered with the poller.
    socket: std::net::TcpStream,
    /// The same, registered: to be woken by what comes next.
    waiting: Option<TcpStream>,
    nap: Pin<Box<Sleep>>,
    pace: Pace,
}

/// The sending half. Registered only where the kernel takes no more: what is registered is woken by what
/// comes, too.
pub(super) struct Outgoing {
    socket: std::net::TcpStream,
    waiting: Option<TcpStream>,
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

impl AsyncRead for Incoming {
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
            match (&this.socket).read(buffer.initialize_unfilled()) {
                Ok(read) => buffer.advance(read),
                Err(error) if is_for_later(&error) => {
                    this.waiting = Some(TcpStream::from_std(this.socket.try_clone()?)?);
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

impl AsyncWrite for Outgoing {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut waiting = match this.waiting.take() {
            Some(waiting) => waiting,
            None => match (&this.socket).write(bytes) {
                Err(error) if is_for_later(&error) => {
                    TcpStream::from_std(this.socket.try_clone()?)?
                }
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
        Poll::Ready(self.socket.shutdown(Shutdown::Write))
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn connection() -> (TcpStream, Incoming, Outgoing) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (incoming, outgoing) = halves(client).unwrap();
        (server, incoming, outgoing)
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
        let (mut server, mut incoming, _outgoing) = connection().await;
        let sent: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let send = async move {
            for (number, row) in sent.chunks(400).enumerate() {
                server.write_all(row).await.unwrap();
                if number % 5000 == 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        };
        let receive = async {
            let (mut received, mut buffer, mut naps) = (Vec::new(), vec![0; 256 << 10], 0);
            loop {
                let read = incoming.read(&mut buffer).await.unwrap();
                naps += usize::from(incoming.pace.away.is_some());
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
}
