//! How a task gets on.

use chrono::{DateTime, Utc};
use rowcast_domain::{Lsn, Position, TaskState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a task is not running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskError {
    /// Stable name, as `SourceReplaced`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What the user can do.
    pub advice: String,
    /// When retrying ends, while retrying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_until: Option<DateTime<Utc>>,
}

/// How far a task has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskPosition {
    /// Position of the last change in the stream.
    #[schema(value_type = String)]
    pub position: Position,
    /// Its stream sequence.
    pub stream_sequence: u64,
    /// Its commit time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<DateTime<Utc>>,
    /// LSN confirmed to PostgreSQL.
    #[schema(value_type = String)]
    pub confirmed_lsn: Lsn,
    /// Bytes of WAL not yet confirmed.
    pub lag_bytes: u64,
    /// Changes published since the capture took the task.
    pub changes: u64,
    /// How long ago the first of what is not in the stream yet was seen in the source's WAL, in seconds; absent where
    /// the task does not run, or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u32>,
    /// Messages that have come into the stream, a second, over ten seconds; absent where the task does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_second: Option<f64>,
    /// The same in bytes of payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<f64>,
    /// How much of one processor's time capture's work on it took, in percent, over ten seconds; absent where the task does
    /// not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Bytes that capture's buffers for it took at most since the report before: what was read and not decoded, a
    /// transaction that is translated, what is being written, what waits to be sent, the buffer that it is sent from. Shapes
    /// of tables, connections and the process, which many tasks share, are not in it. Absent where the task does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// What the stream holds; absent where it holds nothing, or was not looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldRange>,
    /// Whether the broker syncs to disk before it acknowledges.
    pub durable: bool,
    /// When this was reported.
    pub reported_at: DateTime<Utc>,
}

/// What a task's stream holds: the range in which a group may begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldRange {
    /// Sequence of the oldest message.
    pub first_sequence: u64,
    /// Sequence of the newest one.
    pub last_sequence: u64,
    /// When the oldest was stored.
    pub first_at: DateTime<Utc>,
    /// When the newest was stored.
    pub last_at: DateTime<Utc>,
    /// Number of messages.
    pub messages: u64,
    /// Their size in the stream, in bytes.
    pub bytes: u64,
}

/// One step of a task's life.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskTransition {
    /// State before.
    pub from: TaskState,
    /// State after.
    pub to: TaskState,
    /// Who: `user:<name>` or `service:<name>`.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Trace of the request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// `GET /tasks/{id}/events`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskTransitionList {
    /// Oldest first.
    pub events: Vec<TaskTransition>,
    /// Where the next page begins, for the query's `cursor`; absent behind the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// How the groups of a task get on, in short: as consumer-group last looked, which it does every half minute.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Consumption {
    /// Number of groups.
    pub groups: u32,
    /// Connections of all groups; −1 where they are not known.
    pub members: i64,
    /// Name of the group that is the furthest behind; absent where none was looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest: Option<String>,
    /// What that group has not read: seconds from the commit of its last change to that of the newest; 0 where nothing is
    /// unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u64>,
    /// Changes that it has not acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<u64>,
    /// Stream sequence of the last change that it has acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_sequence: Option<u64>,
    /// When that change was committed; absent where the stream does not hold it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Addresses of those that were connected not longer than a minute ago, host and port, of all groups: the first 20,
    /// sorted. `members` counts those of the last look at each group, so the two may differ for as long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// When the groups were last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
}
