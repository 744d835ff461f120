//! The way in which messages get into the stream.

use rowcast_bus::Bus;
use rowcast_bus::batch::{Acked, BatchError, BatchPublisher, IngestPublisher};

/// How the stream stores what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storing {
    /// In atomic batches: one sync for many messages.
    Batches,
    /// Message by message, where the broker does not sync before it acknowledges.
    Messages,
}

/// Writes to the stream in one of these ways.
pub(super) enum Writer {
    Batches(BatchPublisher),
    Messages(IngestPublisher),
}

impl Writer {
    /// For a stream that ends with `last_sequence`.
    pub(super) fn new(bus: &Bus, last_sequence: u64, storing: Storing) -> Self {
        match storing {
            Storing::Batches => Self::Batches(BatchPublisher::new(bus, last_sequence)),
            Storing::Messages => Self::Messages(IngestPublisher::new(bus, last_sequence)),
        }
    }

    /// Makes room for so many messages of so many bytes, subjects and payloads, that are sent next.
    pub(super) const fn make_room(&mut self, messages: usize, bytes: usize) {
        match self {
            Self::Batches(batches) => batches.make_room(messages, bytes),
            Self::Messages(ingest) => ingest.make_room(messages, bytes),
        }
    }

    /// Bytes of the buffers that messages are sent from.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Batches(batches) => batches.memory(),
            Self::Messages(ingest) => ingest.memory(),
        }
    }

    /// Waits for the next acknowledgement; for ever where nothing is in flight. Cancel safe.
    pub(super) async fn acked(&mut self) -> Result<Acked, BatchError> {
        match self {
            Self::Batches(batches) => batches.acked().await,
            Self::Messages(messages) => messages.acked().await,
        }
    }
}
