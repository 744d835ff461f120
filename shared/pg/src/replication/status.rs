//! The sending half of a stream: what the server may forget (PostgreSQL docs, "Streaming
//! Replication Protocol", "Standby status update").

use std::time::{Duration, SystemTime};

use bytes::{Buf, BufMut, BytesMut};
use postgres_protocol::message::frontend::{self, CopyData};
use rowcast_domain::Lsn;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::Error;

/// Where the server listens.
pub(super) type Outgoing = Box<dyn AsyncWrite + Send + Sync + Unpin>;

/// 2000-01-01 UTC, the zero of PostgreSQL's clock, in seconds since the Unix epoch.
const POSTGRES_EPOCH: Duration = Duration::from_secs(946_684_800);

/// How long a goodbye may take on a connection that may be gone.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// A standby status update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Received up to here.
    pub written: Lsn,
    /// Safely stored up to here: the server removes WAL that lies before, and starts here next time.
    pub flushed: Lsn,
    /// Applied up to here.
    pub applied: Lsn,
    /// Ask the server for a keepalive at once.
    pub reply_requested: bool,
}

/// The sending half of a stream.
pub struct StatusWriter {
    stream: Outgoing,
    /// Bytes of updates whose sending was cancelled half-way: they go out first, for half a message
    /// would make the server misread all that follows.
    unsent: BytesMut,
}

impl StatusWriter {
    pub(super) fn new(stream: Outgoing) -> Self {
        Self {
            stream,
            unsent: BytesMut::new(),
        }
    }

    /// Sends a status update.
    ///
    /// Cancel safe: what a dropped call did not send, the next one sends before its own.
    pub async fn send(&mut self, status: Status) -> Result<(), Error> {
        let message = encode(status, SystemTime::now());
        CopyData::new(message.as_slice())
            .map_err(|error| Error::InvalidArgument(error.to_string()))?
            .write(&mut self.unsent);
        self.drain().await
    }

    /// Ends the stream, as far as the connection still allows it.
    pub async fn finish(mut self) {
        frontend::copy_done(&mut self.unsent);
        frontend::terminate(&mut self.unsent);
        let goodbye = async {
            self.drain().await?;
            self.stream.shutdown().await.map_err(Error::ConnectionLost)
        };
        // The server frees the slot as soon as it sees the connection closed, said goodbye or not.
        match tokio::time::timeout(GOODBYE_LIMIT, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error = %error, "stream ended without goodbye"),
            Err(error) => tracing::debug!(error = %error, "stream ended without goodbye"),
        }
    }

    async fn drain(&mut self) -> Result<(), Error> {
        while self.unsent.has_remaining() {
            let sent = self
                .stream
                .write_buf(&mut self.unsent)
                .await
                .map_err(Error::ConnectionLost)?;
            if sent == 0 {
                return Err(Error::closed("the connection takes no more bytes"));
            }
        }
        self.stream.flush().await.map_err(Error::ConnectionLost)
    }
}

fn encode(status: Status, now: SystemTime) -> Vec<u8> {
    let clock_us = now
        .duration_since(SystemTime::UNIX_EPOCH + POSTGRES_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(0);
    let mut message = Vec::with_capacity(34);
    message.put_u8(b'r');
    message.put_u64(status.written.as_u64());
    message.put_u64(status.flushed.as_u64());
    message.put_u64(status.applied.as_u64());
    message.put_i64(clock_us);
    message.put_u8(u8::from(status.reply_requested));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_has_the_layout_of_the_protocol() {
        let status = Status {
            written: Lsn::new(0x0102),
            flushed: Lsn::new(0x03),
            applied: Lsn::new(0x04),
            reply_requested: true,
        };
        let now = SystemTime::UNIX_EPOCH + POSTGRES_EPOCH + Duration::from_micros(5);
        let expected = [
            &b"r"[..],
            &[0, 0, 0, 0, 0, 0, 1, 2],
            &[0, 0, 0, 0, 0, 0, 0, 3],
            &[0, 0, 0, 0, 0, 0, 0, 4],
            &[0, 0, 0, 0, 0, 0, 0, 5],
            &[1],
        ]
        .concat();
        assert_eq!(encode(status, now), expected);
    }
}
