//! Why there is no change.

use bytes::Bytes;
use rowcast_domain::GroupId;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Login or password is wrong, or the group is deleted. Ends the subscription.
    #[error("NATS refuses the login {login}")]
    LoginRefused {
        /// The login that was tried.
        login: String,
    },
    /// The group has no consumer: it is deleted, or its task was never started. Ends the subscription.
    #[error("group {group} has no consumer: it is deleted, or its task was never started")]
    GroupDeleted {
        /// The group.
        group: GroupId,
    },
    /// A message is no change that this version can read. The subscription goes on; acknowledging
    /// a later change acknowledges this message too.
    #[error("message {} on {} is not a change", .0.stream_sequence, .0.subject)]
    Malformed(#[source] Box<MalformedChange>),
    /// NATS cannot be reached or does not answer. Interruptions of a running subscription are
    /// healed and do not come here.
    #[error("NATS cannot be reached")]
    Unreachable(#[source] Source),
    /// It is not known whether the acknowledgement was stored. If not, the change comes again.
    #[error("the acknowledgement was not confirmed")]
    NotAcknowledged(#[source] Source),
}

/// A message that is not a change.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct MalformedChange {
    /// Its bytes.
    pub payload: Bytes,
    /// Its subject.
    pub subject: String,
    /// Its place in the stream.
    pub stream_sequence: u64,
    /// What is wrong.
    pub source: serde_json::Error,
}

impl Error {
    /// Whether the subscription ends with this error.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::LoginRefused { .. } | Self::GroupDeleted { .. } => true,
            Self::Malformed(_) | Self::Unreachable(_) | Self::NotAcknowledged(_) => false,
        }
    }
}
