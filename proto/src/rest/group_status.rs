//! How it is with a consumer group, now and over time, and moving its position.

use chrono::{DateTime, Utc};
use rowcast_domain::Lsn;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::derivation::Derivation;

/// Whether what a group has not read is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupState {
    /// All of it is, and stays for now.
    Ok,
    /// Retention will remove some of it soon.
    Warning,
    /// A change that must be acknowledged before others was sent as often as the group allows. Ends when it is acknowledged,
    /// or put away. Where retention will remove something soon, the reason says that too.
    Blocked,
    /// Retention has removed some of it. Ends when the position is moved, or the group has acknowledged a change that is
    /// still there.
    Gap,
}

impl GroupState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Blocked => "blocked",
            Self::Gap => "gap",
        }
    }
}

/// How it is with a group now. What a group shows has all of its members, or, where nobody can say how it is, none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupStatus {
    /// Whether what it has not read is still there.
    #[schema(required = false)]
    pub state: GroupState,
    /// Why the state is not ok, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last change acknowledged; absent where none was, or where it is no longer in the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<StreamPosition>,
    /// Seconds from the commit of the last change acknowledged to that of the newest in the stream; 0 where nothing is
    /// unread, −1 where no member is connected.
    #[schema(required = false)]
    pub delay_seconds: i64,
    /// Changes not sent, or sent and not acknowledged; −1 where no member is connected.
    #[schema(required = false)]
    pub unconsumed: i64,
    /// What the task's stream holds; absent where there is no stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<StreamRange>,
    /// Who is connected, by address.
    #[schema(required = false)]
    pub members: Vec<GroupMember>,
    /// Why members are not known, in a sentence; absent where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members_unknown: Option<String>,
    /// Number of the last move of the position; 0 where it was never moved.
    #[schema(required = false)]
    pub generation: u64,
    /// How far its own stream is; absent where it reads the task's stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derivation: Option<Derivation>,
    /// Of an ordered or a keyed group, what was sent more than once and holds others up, by partition; absent where nothing
    /// does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<StuckChange>,
    /// Dead letters that it has, with those that wait, as they were looked at last; absent where nobody has looked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<u64>,
    /// Of these, how many wait to be put away: the group has as many as it may, or the broker does not take them. Absent where
    /// none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters_waiting: Option<u64>,
}

/// A change that must be acknowledged before those behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StuckChange {
    /// The consumer that sends it.
    pub consumer: String,
    /// Where it stands.
    pub position: StreamPosition,
    /// How often it was sent, at least.
    pub attempts: u64,
}

/// A message of a task's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamPosition {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// The commit LSN of its change; absent where the message cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub lsn: Option<Lsn>,
    /// The number of its change in the transaction; of a pack, that of the last one.
    pub ordinal: u64,
    /// When its transaction was committed; when the stream has stored it, where the message cannot be read.
    pub committed_at: DateTime<Utc>,
}

/// What a task's stream holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamRange {
    /// Number of messages.
    pub messages: u64,
    /// Sequence of the first one; of an empty stream, of the next one to come.
    pub first_sequence: u64,
    /// Sequence of the last one that it held, removed or not.
    pub last_sequence: u64,
    /// The first one; absent where the stream is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<StreamPosition>,
    /// The last one; absent where the stream is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<StreamPosition>,
}

/// A connection of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupMember {
    /// Where it comes from, as `10.0.0.7:51234`.
    pub address: String,
    /// The name that the client gave itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The client library's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The client library's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Since when it is connected.
    pub connected_at: DateTime<Utc>,
    /// The NATS server that it is connected to.
    pub server: String,
}

/// `POST /tasks/{id}/groups/{gid}/position`: exactly one of the places, as what the group is sent next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveGroup {
    /// The first change committed at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<DateTime<Utc>>,
    /// The first change whose commit LSN is this one or greater, as `16/B374D848`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub lsn: Option<Lsn>,
    /// The first change of the transaction with this id: the xid of its changes, or what `pg_current_xact_id()` and
    /// `txid_current()` tell, whose upper half is left aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<u64>,
    /// The message with this sequence in the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The first that the stream still holds; only `true` can be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub earliest: bool,
    /// The next one to come; only `true` can be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub latest: bool,
    /// Cuts connected members off; without it they forbid the move.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// `GET /tasks/{id}/groups/{gid}/history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupHistory {
    /// Oldest first.
    pub samples: Vec<GroupSample>,
}

/// How it was with a group at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupSample {
    /// When.
    pub at: DateTime<Utc>,
    /// Stream sequence of the last change acknowledged.
    pub acknowledged_sequence: u64,
    /// Changes not sent, or sent and not acknowledged.
    pub unread: u64,
    /// Changes sent and not acknowledged.
    pub in_flight: u64,
    /// Seconds from the commit of the last change acknowledged to that of the newest in the stream; 0 where nothing was
    /// unread.
    pub delay_seconds: u64,
    /// Connections; absent where they were not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
}
