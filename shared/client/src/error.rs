//! Why there is no change.

use bytes::Bytes;
use rowcast_domain::{GroupId, Position};
use rowcast_proto::rest::GroupFormat;

pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Login or password is wrong, the group is deleted, nobody is there to check logins, the login has all its connections, or
    /// too many wrong passwords came from this address. NATS does not say which; the audit log does. Ends the subscription,
    /// once that has lasted for as long as [`with_login_patience`](crate::GroupCredentials::with_login_patience) says.
    #[error(
        "NATS refuses the login {login}: the password is wrong, the group is deleted, or the service that checks logins \
         is away; or the login has all its connections, or too many wrong passwords came from this address; the audit log \
         tells which"
    )]
    LoginRefused {
        /// The login that was tried.
        login: String,
    },
    /// The group has no consumer: it is deleted, its task was never started, or was reset and not started again. Ends the
    /// subscription: at once where it is told as the first connection is made, or by the service that says what members may
    /// read. A consumer that was there and is missing comes back where its task is started again, and is waited for, as long as
    /// [`with_login_patience`](crate::GroupCredentials::with_login_patience) says.
    #[error(
        "group {group} has no consumer: it is deleted, its task was never started, or was reset and not started again in time"
    )]
    GroupDeleted {
        /// The group.
        group: GroupId,
    },
    /// A message is no change that this version can read, or the pieces of a large change do not join
    /// to one. The subscription goes on; acknowledging a later change acknowledges this message too, but in a
    /// shared group, where it comes again.
    #[error("message {} on {} is not a change", .0.stream_sequence, .0.subject)]
    Malformed(#[source] Box<MalformedChange>),
    /// A change comes in more pieces than the group's consumer may have in flight, so that its last
    /// piece would never be sent. Ends the subscription.
    #[error(
        "the change {position} comes in {pieces} pieces; the consumer's max_ack_pending is {in_flight}"
    )]
    TooManyPieces {
        /// Which change.
        position: Position,
        /// Number of its pieces.
        pieces: u64,
        /// The consumer's `max_ack_pending`.
        in_flight: u64,
    },
    /// The change is not this member's any more: another one holds its partition, or the group. It comes again
    /// there. The subscription goes on.
    #[error("the change {position} is not held any more by this member")]
    NotHeld {
        /// Which change.
        position: Position,
    },
    /// Only a change of a shared group can be given back.
    #[error("a change of an ordered or a keyed group cannot be given back")]
    InOrder,
    /// A change of a shared group is larger than a message of the broker. Its pieces go to several members, so that none
    /// can join them: an ordered or a keyed group reads it. The subscription goes on; the change comes again.
    #[error(
        "the change {position} of {bytes} bytes comes in pieces, which a shared group cannot join"
    )]
    InPieces {
        /// Which change.
        position: Position,
        /// The length of its JSON.
        bytes: u64,
    },
    /// The group's changes are pushed to plain subscriptions: there is nothing to pull. Ends the subscription.
    #[error(
        "the changes of group {group} are pushed to plain subscriptions of NATS; make a group with delivery pull"
    )]
    Pushed {
        /// The group.
        group: GroupId,
    },
    /// The group is told changes in a format that this SDK does not read. Ends the subscription.
    #[error(
        "the changes of group {group} come as {}, which the Rust SDK does not read: it reads json, cloudevents and protobuf; \
         make a group with one of these, or read this one with a client of NATS that knows {}",
        .format.as_str(),
        .format.as_str()
    )]
    Unreadable {
        /// The group.
        group: GroupId,
        /// Its format.
        format: GroupFormat,
    },
    /// NATS cannot be reached or does not answer. Interruptions of a running subscription are
    /// healed and do not come here.
    #[error("NATS cannot be reached")]
    Unreachable(#[source] Source),
    /// It is not known whether the acknowledgement was stored. If not, the change comes again.
    #[error("the acknowledgement was not confirmed")]
    NotAcknowledged(#[source] Source),
    /// A transaction has no marker of its end: the task was made without `"transactions": true`. The stream goes on with
    /// the next transaction; this one is not handed out.
    #[error("the transaction before {position} has no marker of its end: the task tells none")]
    NoMarkers {
        /// The change at which that is seen.
        position: Position,
    },
    /// One position cannot tell what came before it, nor a stream which transaction a change is of: the group is shared,
    /// keyed, or the change is a dead letter that comes once more. Ends the stream of [`behind`](crate::Changes::behind),
    /// [`behind_in`](crate::Changes::behind_in) or [`transactions`](crate::Changes::transactions); nothing is acknowledged.
    #[error(
        "the change {position} does not stand in the order that this asks for: behind and transactions are for an ordered \
         group, behind_in for a keyed one, and dead letters that are redriven have no order"
    )]
    NotOrdered {
        /// Which change.
        position: Position,
    },
    /// The caller's store does not say up to where a partition is applied. Nothing of the partition is handed out before
    /// it does; the stream goes on and asks again.
    #[error("the stored position of partition {partition} cannot be read")]
    PositionNotRead {
        /// The partition's token.
        partition: String,
        /// What the caller's own code says.
        source: Source,
    },
    /// The group's position was moved after the change came, or its task reset and what it had told removed: nothing is
    /// acknowledged. The subscription goes on at the new position, or with what the task tells anew.
    #[error(
        "the group's position was moved, or what its task had told was removed, after the change came"
    )]
    PositionMoved,
}

/// A message that is not a change.
#[derive(Debug, thiserror::Error)]
#[error("{}", with_cause(source))]
pub struct MalformedChange {
    /// Its bytes; those of the last piece of a change that came in pieces.
    pub payload: Bytes,
    /// Its subject.
    pub subject: String,
    /// Its place in the stream.
    pub stream_sequence: u64,
    /// What is wrong.
    pub source: Source,
}

/// An error and what it comes from.
fn with_cause(error: &Source) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl Error {
    /// Whether the subscription ends with this error.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::LoginRefused { .. }
            | Self::GroupDeleted { .. }
            | Self::Pushed { .. }
            | Self::Unreadable { .. }
            | Self::NotOrdered { .. }
            | Self::TooManyPieces { .. } => true,
            Self::Malformed(_)
            | Self::NotHeld { .. }
            | Self::InOrder
            | Self::InPieces { .. }
            | Self::Unreachable(_)
            | Self::NotAcknowledged(_)
            | Self::NoMarkers { .. }
            | Self::PositionNotRead { .. }
            | Self::PositionMoved => false,
        }
    }
}
