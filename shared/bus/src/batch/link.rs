//! The connection of a publisher: made when it is first needed, given up where nothing is sent for long.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::wire::Wire;
use super::{ACK_TIMEOUT, BatchError, room};
use crate::connect::{Bus, BusConfig};

/// A connection that nothing was sent over for so long is given up: an idle task needs none.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// Where replies come.
pub(super) enum Replies {
    /// To the inbox itself.
    One,
    /// To any subject below it.
    Below,
}

pub(super) struct Link {
    config: Arc<BusConfig>,
    wire: Option<Wire>,
    inbox: String,
    replies: Replies,
    last_used: Instant,
    /// Bytes that are written at most by the next send; 0 where it is not known.
    room: usize,
}

impl Link {
    pub(super) fn new(bus: &Bus, replies: Replies) -> Self {
        Self {
            config: Arc::clone(bus.config()),
            wire: None,
            inbox: bus.client().new_inbox(),
            replies,
            last_used: Instant::now(),
            room: 0,
        }
    }

    pub(super) fn inbox(&self) -> &str {
        &self.inbox
    }

    /// A name for the nth batch that no other publisher gives.
    pub(super) fn batch_id(&self, nth: u64) -> String {
        let own = self.inbox.rsplit('.').next().unwrap_or_default();
        format!("{own}{nth:x}")
    }

    /// The connection, where there is one.
    pub(super) const fn wire(&mut self) -> Option<&mut Wire> {
        self.wire.as_mut()
    }

    /// The next send writes so many messages of so many bytes, subjects and payloads.
    pub(super) const fn make_room(&mut self, messages: usize, bytes: usize) {
        self.room = room(messages, bytes);
    }

    /// Bytes of its buffers.
    pub(super) fn memory(&self) -> usize {
        self.wire.as_ref().map_or(0, Wire::memory)
    }

    /// Sends what `write` writes, over a new connection where there is none.
    ///
    /// Not cancel safe: the connection is gone then.
    pub(super) async fn send(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), BatchError> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::open(&self.config, &self.subscription()).await?,
        };
        // To the byte: a buffer that doubles could be twice what the largest batch needs.
        wire.output().reserve_exact(mem::take(&mut self.room));
        write(wire.output());
        tokio::time::timeout(ACK_TIMEOUT, wire.flush())
            .await
            .map_err(|_elapsed| BatchError::Timeout)??;
        self.wire = Some(wire);
        self.last_used = Instant::now();
        Ok(())
    }

    fn subscription(&self) -> String {
        match self.replies {
            Replies::One => self.inbox.clone(),
            Replies::Below => format!("{}.>", self.inbox),
        }
    }

    /// Answers the server's pings until the connection ends, or was idle for too long.
    pub(super) async fn idle(&mut self) {
        let Some(wire) = &mut self.wire else { return };
        wire.rest();
        match tokio::time::timeout_at(self.last_used + IDLE_LIMIT, wire.reply()).await {
            Ok(Ok(reply)) => tracing::warn!(?reply, "a reply that nobody waits for"),
            Ok(Err(error)) => tracing::debug!(%error, "an idle connection has ended"),
            Err(_elapsed) => {}
        }
        self.wire = None;
    }
}
