//! Changes that a consumer group could not deal with.

use chrono::{DateTime, Utc};
use rowcast_domain::GroupId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::group_status::StreamPosition;

/// Why a change is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterCause {
    /// It was sent as often as the group allows, and was not acknowledged.
    Exhausted,
    /// A member has said that it gives the change up.
    GivenUp,
    /// A person has put it away, so that the group goes on behind it.
    Skipped,
}

impl DeadLetterCause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Exhausted, Self::GivenUp, Self::Skipped];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::GivenUp => "given_up",
            Self::Skipped => "skipped",
        }
    }

    /// The cause with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }
}

/// A change that was put away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// Its number; another one each time that it is put away.
    pub id: u64,
    /// Its group.
    #[schema(value_type = String)]
    pub group_id: GroupId,
    /// The NATS subject that it had, which names table and operation.
    pub subject: String,
    /// Where it stands in the task's stream, whether it is still there or not.
    pub position: StreamPosition,
    /// Why it is here.
    pub cause: DeadLetterCause,
    /// How often it was sent to members of the group, over all redrives.
    pub attempts: u64,
    /// What the member said of its last attempt; where it said nothing, what is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it was put away.
    pub at: DateTime<Utc>,
    /// How often it was redriven before.
    pub redriven: u32,
    /// Length of its body in bytes.
    pub bytes: u64,
    /// Whether its body was gone already, because retention had removed the change from the task's stream. It cannot be
    /// redriven.
    pub is_without_body: bool,
    /// The change, or a piece of one; absent in lists, and where the body cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub change: Option<serde_json::Value>,
    /// The body as base64, where it cannot be read; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// `GET /tasks/{id}/groups/{gid}/dead-letters`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterList {
    /// By their numbers, without bodies.
    pub letters: Vec<DeadLetter>,
    /// Give it as `after` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
    /// All of the group, not only those on this page.
    pub total: u64,
}

/// What was done with dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLettersDone {
    /// How many it was done with, at most 500 at a time.
    pub done: u64,
    /// How many are left of the group: where it was to be done with all, ask again.
    pub left: u64,
}

/// `POST /tasks/{id}/groups/{gid}/skip`: puts away what an ordered group, or a partition of a keyed
/// one, is to acknowledge next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkipChange {
    /// Its sequence in the task's stream, as `stuck` of the group tells it: another change is not put away.
    pub sequence: u64,
    /// Why; kept as the last error of the dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
