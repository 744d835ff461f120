//! What a start is at, for whoever waits for it.

/// A part of a start, in the order done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartStep {
    /// Logging in to the source, for SQL and for replication.
    Connect,
    /// Comparing slot, checkpoint and the stream's tail.
    Compare,
    /// Making or altering the publication.
    Publication,
    /// Making the slot: it waits for all transactions that are open (PostgreSQL docs, "Logical Decoding
    /// Concepts").
    Slot,
    /// Making the stream.
    Stream,
    /// Asking for the WAL from where the slot stands.
    Replicate,
}

impl StartStep {
    /// Its name on the bus.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Compare => "compare",
            Self::Publication => "publication",
            Self::Slot => "slot",
            Self::Stream => "stream",
            Self::Replicate => "replicate",
        }
    }
}
