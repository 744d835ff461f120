//! The receiving half of a stream: one buffer, from which frames are borrowed.

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::Error;
use crate::replication::frame::{self, Extent, Frame};

/// What the server sends.
pub(super) type Incoming = Box<dyn AsyncRead + Send + Sync + Unpin>;

/// The buffer's normal size in bytes: some hundred typical frames for one system call.
const BUFFER: usize = 256 << 10;

/// The receiving half of a stream: [`next_buffered`](Self::next_buffered) until it has nothing,
/// then [`fill`](Self::fill).
pub struct FrameReader(Reader<Incoming>);

impl FrameReader {
    /// Starts with what was read before the stream began.
    pub(super) fn new(stream: Incoming, buffered: &[u8]) -> Self {
        Self(Reader::new(stream, buffered))
    }

    /// The next frame that lies whole in the buffer; `None` when more has to be read first.
    ///
    /// An error repeats itself: the message it comes from stays where it is.
    pub fn next_buffered(&mut self) -> Result<Option<Frame<'_>>, Error> {
        self.0.next_buffered()
    }

    /// Size of the buffer, in bytes.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.0.buffer.capacity()
    }

    /// Waits for at least one more byte.
    ///
    /// Cancel safe: dropped before it is done, it has read nothing.
    pub async fn fill(&mut self) -> Result<(), Error> {
        self.0.fill().await
    }
}

struct Reader<S> {
    stream: S,
    buffer: Vec<u8>,
    /// What was read and not handed out yet lies in `buffer[start..end]`.
    start: usize,
    end: usize,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    fn new(stream: S, buffered: &[u8]) -> Self {
        let mut buffer = buffered.to_vec();
        buffer.resize(buffered.len().max(BUFFER), 0);
        Self {
            stream,
            buffer,
            start: 0,
            end: buffered.len(),
        }
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn next_buffered(&mut self) -> Result<Option<Frame<'_>>, Error> {
        loop {
            let Extent::Whole(length) = frame::extent(self.pending())? else {
                return Ok(None);
            };
            let message = self.start..self.start + length;
            if frame::is_silent(self.pending()) {
                self.start = message.end;
                continue;
            }
            let frame = frame::parse(self.buffer.get(message.clone()).unwrap_or_default())?;
            self.start = message.end;
            return Ok(Some(frame));
        }
    }

    async fn fill(&mut self) -> Result<(), Error> {
        self.make_room()?;
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = self
            .stream
            .read(room)
            .await
            .map_err(Error::ConnectionLost)?;
        if read == 0 {
            return Err(Error::closed("the server closed the connection"));
        }
        self.end += read;
        Ok(())
    }

    /// Makes room behind what is pending, which is usually less than one frame.
    ///
    /// The buffer grows with what has arrived, at most doubling, so that a length alone costs no
    /// memory; after a big frame it goes back to its normal size.
    fn make_room(&mut self) -> Result<(), Error> {
        let pending = self.end - self.start;
        let missing = match frame::extent(self.pending())? {
            Extent::Whole(_) => 1,
            Extent::Missing(bytes) => bytes,
        };
        let size = (pending + missing).min(pending * 2).max(BUFFER);
        if size > self.buffer.len() || (size == BUFFER && self.buffer.len() > BUFFER) {
            let mut buffer = Vec::with_capacity(size);
            buffer.extend_from_slice(self.pending());
            buffer.resize(size, 0);
            self.buffer = buffer;
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
        }
        self.start = 0;
        self.end = pending;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use futures::poll;
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn copy_data(kind: u8, header: &[u8], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(4 + 1 + header.len() + data.len()).unwrap();
        [b"d", &length.to_be_bytes()[..], &[kind], header, data].concat()
    }

    fn xlog_data(data: &[u8]) -> Vec<u8> {
        let header = [5_u64, 6, 7].map(u64::to_be_bytes).concat();
        copy_data(b'w', &header, data)
    }

    fn keepalive() -> Vec<u8> {
        copy_data(b'k', &[9_u64, 0].map(u64::to_be_bytes).concat(), &[1])
    }

    /// What a frame says, without the borrow.
    fn seen(frame: Frame<'_>) -> String {
        match frame {
            Frame::XLogData {
                start, end, data, ..
            } => format!("{start}-{end} {}", String::from_utf8_lossy(data)),
            Frame::Keepalive {
                wal_end,
                reply_requested,
            } => format!("alive {wal_end} {reply_requested}"),
            Frame::Notice { message, .. } => format!("notice {message}"),
        }
    }

    async fn read_all<S: AsyncRead + Unpin>(reader: &mut Reader<S>) -> Vec<String> {
        let mut frames = Vec::new();
        loop {
            while let Some(frame) = reader.next_buffered().unwrap() {
                frames.push(seen(frame));
            }
            if reader.fill().await.is_err() {
                return frames;
            }
        }
    }

    #[tokio::test]
    async fn frames_are_the_same_wherever_reads_are_cut() {
        let parameter_status = b"S\0\0\0\x08a\0b\0".to_vec();
        let wire = [
            xlog_data(b"first"),
            parameter_status,
            keepalive(),
            b"N\0\0\0\x0BMtold\0\0".to_vec(),
            xlog_data(b""),
        ]
        .concat();
        let expected = ["0/5-0/6 first", "alive 0/9 true", "notice told", "0/5-0/6 "];
        for cut in 0..=wire.len() {
            let (head, tail) = wire.split_at(cut);
            let mut reader = Reader::new(tail, head);
            assert_eq!(read_all(&mut reader).await, expected, "cut at {cut}");
        }

        // A pipe that holds one byte lets one byte through a read.
        let (mut server, client) = tokio::io::duplex(1);
        let mut reader = Reader::new(client, b"");
        let send = async move { server.write_all(&wire).await.unwrap() };
        let ((), frames) = tokio::join!(send, read_all(&mut reader));
        assert_eq!(frames, expected);
    }

    #[tokio::test]
    async fn a_big_frame_is_read_whole_and_its_memory_given_back() {
        let big = vec![b'x'; 3 * BUFFER];
        let wire = [xlog_data(&big), keepalive()].concat();
        let mut reader = Reader::new(wire.as_slice(), b"");
        let frames = read_all(&mut reader).await;
        assert_eq!(frames.len(), 2);
        assert!(frames[0].ends_with('x') && frames[0].len() > big.len());
        assert_eq!(frames[1], "alive 0/9 true");
        assert_eq!(reader.buffer.len(), BUFFER);
    }

    #[tokio::test]
    async fn a_length_alone_takes_no_memory() {
        let claim = [&b"d"[..], &(1_u32 << 29).to_be_bytes(), b"w"].concat();
        let mut reader = Reader::new(claim.as_slice(), b"");
        assert!(read_all(&mut reader).await.is_empty());
        assert_eq!(reader.buffer.len(), BUFFER);
    }

    #[tokio::test]
    async fn a_dropped_fill_loses_nothing() {
        let wire = [xlog_data(b"one"), keepalive()].concat();
        let (mut server, client) = tokio::io::duplex(64 << 10);
        let mut reader = Reader::new(client, b"");
        let mut frames = Vec::new();
        for piece in wire.chunks(3) {
            {
                let dropped = pin!(reader.fill());
                assert!(matches!(poll!(dropped), Poll::Pending));
            }
            server.write_all(piece).await.unwrap();
            reader.fill().await.unwrap();
            while let Some(frame) = reader.next_buffered().unwrap() {
                frames.push(seen(frame));
            }
        }
        assert_eq!(frames, ["0/5-0/6 one", "alive 0/9 true"]);
    }
}
