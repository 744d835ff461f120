//! Tasks: what to track.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rowcast_domain::{Lsn, SourceId, TaskId, TaskState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::alerting::Alerting;
use super::billing::Instance;
use super::etl::Etl;
use super::form::{Format, Packing, default_partitions};
use super::precheck::PrecheckSummary;
use super::progress::{Consumption, TaskError, TaskPosition};
use super::source::CreateSource;

/// Which tables: all, or schemas, or tables of schemas. Also the body of `PUT /tasks/{id}/objects`.
///
/// A pattern covers a whole name: `*` stands for any text, `?` for one character.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// All tables of the database.
    #[serde(default)]
    pub all: bool,
    /// Per schema, where not all.
    #[serde(default)]
    pub schemas: Vec<SchemaObjects>,
    /// All tables of the schemas whose names match one of these patterns, new ones included; where
    /// not all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema_patterns: Vec<String>,
}

/// Which tables of one schema.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaObjects {
    /// The schema.
    pub name: String,
    /// All tables of it.
    #[serde(default)]
    pub all: bool,
    /// These tables, where not all.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Tables whose names match one of these patterns, new ones included; where not all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
}

/// A kind of data change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataChange {
    /// Rows inserted.
    Insert,
    /// Rows updated.
    Update,
    /// Rows deleted.
    Delete,
    /// Tables emptied.
    Truncate,
}

impl DataChange {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Insert, Self::Update, Self::Delete, Self::Truncate];

    /// The word of PostgreSQL's `publish` option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
        }
    }
}

/// Which changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTypes {
    /// Data changes; all kinds where absent. May be empty where schema changes are tracked.
    #[serde(default = "all_data_changes")]
    pub data: Vec<DataChange>,
    /// Schema changes as events of their own; needs Rowcast's event trigger on the source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub schema: bool,
}

fn all_data_changes() -> Vec<DataChange> {
    DataChange::ALL.to_vec()
}

impl Default for ChangeTypes {
    fn default() -> Self {
        Self {
            data: all_data_changes(),
            schema: false,
        }
    }
}

/// How long the task's stream keeps changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Oldest change kept, in hours: 1–8760.
    #[serde(default = "default_retention_hours")]
    pub hours: u32,
    /// Most bytes kept; no limit where absent.
    #[serde(default)]
    pub max_bytes: Option<u64>,
}

impl Retention {
    /// Whether some of what the other one keeps would be removed.
    #[must_use]
    pub fn keeps_less_than(&self, other: &Self) -> bool {
        let fewer_bytes = match (self.max_bytes, other.max_bytes) {
            (Some(bytes), Some(others)) => bytes < others,
            (Some(_), None) => true,
            (None, _) => false,
        };
        self.hours < other.hours || fewer_bytes
    }
}

const fn default_retention_hours() -> u32 {
    24
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            hours: default_retention_hours(),
            max_bytes: None,
        }
    }
}

/// `POST /tasks`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTask {
    /// The user's name for it, 1–64 characters; need not be unique. Absent, or empty, it is given one: its database and
    /// the end of its id.
    #[serde(default)]
    pub name: String,
    /// The source. Either it or `source` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub source_id: Option<SourceId>,
    /// A source of the task's own: not listed among the others, and deleted with the last task that needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<CreateSource>>,
    /// The database; the source's where absent.
    #[serde(default)]
    pub database: Option<String>,
    /// Which tables.
    pub objects: Objects,
    /// Which changes.
    #[serde(default)]
    pub change_types: ChangeTypes,
    /// How long an interruption is retried, in minutes: 10–1440. More than 30 are advised: a server that starts after a
    /// crash may take as long.
    #[serde(default = "default_retry_minutes")]
    pub retry_minutes: u32,
    /// How long changes are kept.
    #[serde(default)]
    pub retention: Retention,
    /// Number of key partitions, 1–256; fixed at creation. 16 where absent, and 1 where rows are
    /// packed, which needs exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Publish begin and commit markers.
    #[serde(default)]
    pub transactions: bool,
    /// How rows become messages; fixed at creation.
    #[serde(default, skip_serializing_if = "Packing::is_row")]
    pub packing: Packing,
    /// How a message is written; fixed at creation.
    #[serde(default, skip_serializing_if = "Format::is_json")]
    pub format: Format,
    /// What is done with each row before it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etl: Option<Etl>,
    /// When somebody is to know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerting: Option<Alerting>,
    /// The network by which its clients reach NATS, one of `client_networks` of `GET /system`; fixed at creation.
    /// The platform's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What the user sorts tasks by, at most 20: keys of 1–64 characters, values of up to 128, of
    /// letters, digits and `_.:/-`; values also of spaces and `+@`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The name of those who share it, 1–64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
}

/// Keys of tags that Rowcast itself gives begin so; a copy of a task does not get them.
pub const OWN_TAGS: &str = "rowcast/";

impl CreateTask {
    /// Number of key partitions.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        self.partitions
            .unwrap_or_else(|| default_partitions(self.packing))
    }
}

/// How long an interruption of a task that does not say is retried, in minutes.
#[must_use]
pub const fn default_retry_minutes() -> u32 {
    120
}

/// A stop past which a user may decide to go on; the names are those of a task's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum AcceptableStop {
    /// Changes between the stream's end and what the source still has are lost.
    Gap,
    /// The publication was dropped: what was changed meanwhile was not published.
    PublicationMissing,
    /// The stream has lost changes that were confirmed to the source.
    BrokerDataLoss,
}

impl AcceptableStop {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Gap, Self::PublicationMissing, Self::BrokerDataLoss];

    /// The code of the error.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "Gap",
            Self::PublicationMissing => "PublicationMissing",
            Self::BrokerDataLoss => "BrokerDataLoss",
        }
    }

    /// The stop with this code.
    #[must_use]
    pub fn from_name(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stop| stop.as_str() == code)
    }
}

/// `POST /tasks/{id}/start`, `POST /tasks/{id}/resume`. The body may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartTask {
    /// Goes on past the stop that the task's error names, though changes are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_stop: Option<AcceptableStop>,
}

/// `GET /tasks/{id}/preview`: what makes a task of the same configuration, in each of the ways there are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskPreview {
    /// Body of `POST /tasks`, with every default written out. Where the task has a source of its own it stands in it, with
    /// `<put … here>` in the place of each secret.
    pub body: CreateTask,
    /// That request as a shell runs it, by curl; address and token come from the variables
    /// `ROWCAST_API_URL` and `ROWCAST_TOKEN`.
    pub curl: String,
    /// As the `rowcast` command makes it, without what is a default.
    pub command: String,
    /// A file for `rowcast apply`; it names the source, which must be there unless it is the task's own: that stands in the
    /// file, with names of files for its secrets.
    pub yaml: String,
}

/// `PATCH /tasks/{id}`: what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchTask {
    /// The user's name for it, 1–64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long an interruption is retried, in minutes: 10–1440.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_minutes: Option<u32>,
    /// How long changes are kept. What is older is removed at once, whether groups have read it or not; of a task that
    /// is abnormal, with its next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Which changes. A running task takes other data changes between two transactions, and schema changes with a
    /// start of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_types: Option<PatchChangeTypes>,
    /// What is done with each row before it is told, in the place of what was done before; with an empty script
    /// for nothing. A running task takes it between two transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etl: Option<Etl>,
    /// When somebody is to know of it, in the place of what was said before; `{}` for nothing of its own. A
    /// running task goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerting: Option<Alerting>,
    /// All tags, in the place of those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// The name of those who share it; empty for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    /// Another source; fixed by the first start, as what follows. Where no database is given with it, its own is tracked.
    /// A source of the task's own is changed itself: `PATCH /sources/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub source_id: Option<SourceId>,
    /// Another database of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Number of key partitions, 1–256; fixed by groups too, as are packing, format and network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Publish begin and commit markers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<bool>,
    /// How rows become messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// How a message is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// The network by which its clients reach NATS; empty for the platform's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// Which changes, in `PATCH /tasks/{id}`: what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchChangeTypes {
    /// Data changes. May be empty where schema changes are tracked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<DataChange>>,
    /// Schema changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<bool>,
}

/// `POST /tasks/{id}/clone`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloneTask {
    /// What to call the new task, 1–64 characters.
    pub name: String,
}

/// A task.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TaskId,
    /// The user's name for it.
    pub name: String,
    /// The source.
    #[schema(value_type = String)]
    pub source_id: SourceId,
    /// The database.
    pub database: String,
    /// Which tables.
    pub objects: Objects,
    /// Which changes.
    pub change_types: ChangeTypes,
    /// How long an interruption is retried, in minutes.
    pub retry_minutes: u32,
    /// How long changes are kept.
    pub retention: Retention,
    /// Number of key partitions.
    pub partitions: u32,
    /// Whether begin and commit markers are published.
    pub transactions: bool,
    /// How rows become messages.
    #[serde(default, skip_serializing_if = "Packing::is_row")]
    pub packing: Packing,
    /// How a message is written.
    #[serde(default, skip_serializing_if = "Format::is_json")]
    pub format: Format,
    /// What is done with each row before it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etl: Option<Etl>,
    /// When somebody is to know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerting: Option<Alerting>,
    /// The network by which its clients reach NATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What the user sorts tasks by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The name of those who share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    /// Where it stands.
    pub state: TaskState,
    /// The commands that its state takes, as `allowed` of a problem that a command was refused with. What else hinders, as
    /// an instance that is missing, is told when it is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// Its last precheck; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precheck: Option<PrecheckSummary>,
    /// Whether changes now pass through the policy in `etl`: the task runs, and capture has taken this policy. Absent
    /// where there is no policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etl_applied: Option<bool>,
    /// Why it is retrying or abnormal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// What takes time of a start: `connect`, `compare`, `publication`, `slot`, `stream` or `replicate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How far it has come, as last reported by capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<TaskPosition>,
    /// What was bought for it; only where the request asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// How its groups get on; only where the request asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumption: Option<Consumption>,
    /// Commit LSN after which the present objects are tracked by the present change types; absent until capture has
    /// said so, and while it applies another ETL policy than the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub objects_since: Option<Lsn>,
    /// What the task cannot see though it should, each in a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The JetStream stream of its changes.
    pub stream: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// `GET /tasks`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskList {
    /// In the order asked for; oldest first where none is.
    pub tasks: Vec<Task>,
    /// `cursor` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
