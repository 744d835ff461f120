//! Consumer groups.

use chrono::{DateTime, Utc};
use rowcast_domain::{GroupId, TaskId};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::etl::Etl;
use super::group_delivery::GroupDelivery;
use super::group_status::GroupStatus;
use super::on_exhausted::OnExhausted;

/// How the members of a group share its changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupMode {
    /// In commit order, by one active member; the others stand by.
    #[default]
    Ordered,
    /// Of each key in commit order: members share the task's partitions.
    Keyed,
    /// In no order: any number of members, and any of them gets any change.
    Shared,
}

impl GroupMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Ordered, Self::Keyed, Self::Shared];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Keyed => "keyed",
            Self::Shared => "shared",
        }
    }

    /// The mode with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }

    /// Whether it is the one of a group that was not asked for another.
    #[must_use]
    pub const fn is_ordered(&self) -> bool {
        matches!(self, Self::Ordered)
    }
}

impl std::fmt::Display for GroupMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a group is told changes, where that is not how its task tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupFormat {
    /// Rowcast's JSON.
    Json,
    /// JSON as Debezium's connector for PostgreSQL writes it.
    Debezium,
    /// Rowcast's JSON with the headers of `CloudEvents`.
    Cloudevents,
    /// Protobuf, as a task of that format tells them.
    Protobuf,
    /// An object container file of Apache Avro each, with its schema.
    Avro,
}

impl GroupFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [
        Self::Json,
        Self::Debezium,
        Self::Cloudevents,
        Self::Protobuf,
        Self::Avro,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Debezium => "debezium",
            Self::Cloudevents => "cloudevents",
            Self::Protobuf => "protobuf",
            Self::Avro => "avro",
        }
    }

    /// The format with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

/// `PATCH /tasks/{id}/groups/{gid}`: what is absent stays. Mode, format and delivery of a group are fixed when it is made.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchGroup {
    /// The user's name for it, 1–64 characters, unique in the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another password, by the rules of a new group's. Never returned. The group's connections are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// After so many attempts a change is a dead letter, at most 1000; 0 for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deliver: Option<u32>,
    /// What becomes of a change after so many attempts. A shared group knows `dead_letter` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,
    /// Another policy of its own, or null for none any more; of a group that was made with a policy or a format of its own.
    /// It holds from some change within the next seconds on: a transaction may be told in part by either.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<Etl>)]
    pub etl: Option<Option<Etl>>,
    /// Fixed: to name it is refused, with what to do in place of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<GroupMode>,
    /// Fixed: to name it is refused, with what to do in place of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<GroupFormat>,
}

/// What stands there, also where it is null.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Etl>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// `POST /tasks/{id}/groups`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGroup {
    /// The user's name for it, 1–64 characters, unique in the task.
    pub name: String,
    /// 1–16 characters of `[a-z0-9_]`, a letter first.
    pub account: String,
    /// 8–32 printable characters of at least two of: lower case, upper case, digits, others. Never returned.
    pub password: String,
    /// Ordered where absent; fixed from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<GroupMode>,
    /// A policy of its own, beside the task's: filters, masks, other columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etl: Option<Etl>,
    /// A format of its own; the task's where absent. Fixed from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<GroupFormat>,
    /// After so many attempts a change is a dead letter, at most 1000; 0 for never, 10 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deliver: Option<u32>,
    /// What becomes of a change after so many attempts. Where absent, `block` of an ordered or a keyed group, and `dead_letter`
    /// of a shared one, which knows that alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,
    /// Pull where absent; fixed from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<GroupDelivery>,
}

/// A consumer group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Its id.
    #[schema(value_type = String)]
    pub id: GroupId,
    /// Its task.
    #[schema(value_type = String)]
    pub task_id: TaskId,
    /// The user's name for it.
    pub name: String,
    /// Account.
    pub account: String,
    /// How its members share the changes; absent where ordered.
    #[serde(default, skip_serializing_if = "GroupMode::is_ordered")]
    pub mode: GroupMode,
    /// Its own policy; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etl: Option<Etl>,
    /// Its own format; absent where it is the task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<GroupFormat>,
    /// How changes come to its clients; absent where they pull.
    #[serde(default, skip_serializing_if = "GroupDelivery::is_pull")]
    pub delivery: GroupDelivery,
    /// Stream sequence of the last change acknowledged by the group.
    pub acknowledged_sequence: u64,
    /// Changes that the group has not been sent.
    pub pending: u64,
    /// Changes sent and not yet acknowledged.
    pub in_flight: u64,
    /// After so many attempts a change is a dead letter; 0 for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deliver: Option<u32>,
    /// What becomes of a change after so many attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// How it is with the group now.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub status: Option<GroupStatus>,
}

/// `GET /tasks/{id}/groups`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GroupList {
    /// Oldest first.
    pub groups: Vec<Group>,
}

/// `GET /tasks/{id}/groups/{gid}/connection`: everything a client needs but the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupConnection {
    /// NATS URLs.
    pub urls: Vec<String>,
    /// User name: `<account>-<group id>`.
    pub login: String,
    /// JetStream stream.
    pub stream: String,
    /// Durable consumer; empty where the group has one a partition.
    pub consumer: String,
    /// How its members share the changes; absent where ordered.
    #[serde(default, skip_serializing_if = "GroupMode::is_ordered")]
    pub mode: GroupMode,
    /// The durable consumers of a keyed group, one a partition; absent in other modes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<PartitionConsumer>,
    /// JetStream stream of the dead letters that are redriven.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub redrive_stream: String,
    /// Durable pull consumer of it; there from the group's first redrive on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub redrive_consumer: String,
    /// How changes come to its clients; absent where they pull.
    #[serde(default, skip_serializing_if = "GroupDelivery::is_pull")]
    pub delivery: GroupDelivery,
    /// What a client of a push group subscribes to, exactly as it is here: no wildcard brings changes. Whoever knows it
    /// and may log in to another group of the tenant may send there, so it is as secret as a password. Absent where
    /// clients pull, and where the group has one a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_subject: Option<String>,
    /// The queue group that clients of a shared push group subscribe with; absent in other groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_group: Option<String>,
    /// Its own format; absent where it is the task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<GroupFormat>,
    /// Prefix that the client must use for its inboxes.
    pub inbox_prefix: String,
    /// The group.
    #[schema(value_type = String)]
    pub group_id: GroupId,
    /// The task.
    #[schema(value_type = String)]
    pub task_id: TaskId,
}

/// What a partition of a keyed group is read with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionConsumer {
    /// The partition's token in subjects: a number of three digits, or `tx` for what belongs to no row.
    pub partition: String,
    /// Durable consumer.
    pub consumer: String,
    /// What a client of a push group subscribes to; absent where clients pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_subject: Option<String>,
}
