//! Streams, consumers and buckets as data. Who owns one provisions it at start.

use std::time::Duration;

use rowcast_domain::{GroupId, TaskId};

use crate::subject;

const KIB: u32 = 1024;

/// The stream of facts.
pub const EVENTS: StreamDefinition = StreamDefinition {
    name: "ROWCAST_EVENTS",
    subjects: &["rowcast.event.>"],
    max_age: Some(Duration::from_secs(7 * 24 * 3600)),
    duplicate_window: Duration::from_secs(120),
    max_per_subject: None,
    max_bytes: None,
};

/// The stream of what services log about tasks: the last lines of each service about each task.
pub const LOG: StreamDefinition = StreamDefinition {
    name: "ROWCAST_LOG",
    subjects: &["rowcast.log.>"],
    max_age: Some(Duration::from_secs(14 * 24 * 3600)),
    duplicate_window: Duration::from_secs(120),
    max_per_subject: Some(1000),
    max_bytes: None,
};

/// The stream of messages that a consumer could not take, with the reason.
///
/// Where it is full nothing more is parked, and so nothing more passed over: whoever would have stops, and says so. The
/// broker keeps the room free from the begin.
pub const PARKED: StreamDefinition = StreamDefinition {
    name: "ROWCAST_PARKED",
    subjects: &["rowcast.parked.>"],
    max_age: Some(Duration::from_secs(30 * 24 * 3600)),
    duplicate_window: Duration::from_secs(120),
    max_per_subject: None,
    max_bytes: Some(256 * 1024 * 1024),
};

/// The stream of changes that could not be told in the own streams of groups, with the reason.
///
/// Apart from [`PARKED`], so that no policy of a group stops capture, or who takes facts. Each group has its share: beyond it
/// nothing more of that group is parked, and it stops.
pub const GROUP_PARKED: StreamDefinition = StreamDefinition {
    name: "ROWCAST_GROUP_PARKED",
    subjects: &[subject::PARKED_OF_GROUPS],
    max_age: Some(Duration::from_secs(30 * 24 * 3600)),
    duplicate_window: Duration::from_secs(120),
    max_per_subject: Some(1000),
    max_bytes: Some(512 * 1024 * 1024),
};

/// What nats-server tells of changes that it will not send again, in account DATA: a service that is away misses
/// nothing of it.
pub const ADVISORIES: StreamDefinition = StreamDefinition {
    name: "ROWCAST_ADVISORIES",
    subjects: &[subject::DELIVERIES_EXHAUSTED, subject::DELIVERIES_GIVEN_UP],
    max_age: Some(Duration::from_secs(30 * 24 * 3600)),
    duplicate_window: Duration::from_secs(120),
    max_per_subject: None,
    max_bytes: None,
};

/// Dead letters, and those that are redriven, in account DATA.
///
/// A letter has its subject alone, so it cannot be stored twice; where the stream is full, what else is to be put away
/// waits in [`ADVISORIES`].
pub const DEAD: StreamDefinition = StreamDefinition {
    name: "ROWCAST_DEAD",
    subjects: &[subject::DEAD_LETTERS, subject::REDRIVEN],
    max_age: Some(Duration::from_secs(90 * 24 * 3600)),
    duplicate_window: Duration::from_secs(120),
    max_per_subject: None,
    max_bytes: Some(1024 * 1024 * 1024),
};

/// The durable consumer of [`DEAD`] by which a group reads what is redriven.
#[must_use]
pub fn redrive_consumer(group: &GroupId) -> String {
    format!("d_{group}")
}

/// The group whose consumer this is: of a task's stream, or of [`DEAD`].
#[must_use]
pub fn group_of_consumer(consumer: &str) -> Option<GroupId> {
    let rest = consumer
        .strip_prefix("g_")
        .or_else(|| consumer.strip_prefix("d_"))?;
    let id = rest.split_once('_').map_or(rest, |(id, _partition)| id);
    id.parse().ok()
}

/// Wishes: key = task id, value = [`crate::message::TaskSpec`].
pub const TASKS: BucketDefinition = BucketDefinition {
    name: "rowcast_tasks",
    history: 5,
    ttl: None,
    max_value_bytes: 256 * KIB,
};

/// Reports: key = task id, value = [`crate::message::TaskStatus`].
pub const TASK_STATUS: BucketDefinition = BucketDefinition {
    name: "rowcast_task_status",
    history: 1,
    ttl: None,
    max_value_bytes: 64 * KIB,
};

/// Progress of prechecks: key = task id, value = [`crate::message::PrecheckProgress`].
pub const PRECHECKS: BucketDefinition = BucketDefinition {
    name: "rowcast_prechecks",
    history: 1,
    ttl: Some(Duration::from_secs(3600)),
    max_value_bytes: 512 * KIB,
};

/// Leases: key = task id, or id of a group with a stream of its own; value = the holder. An entry that is not renewed
/// vanishes.
pub const LEASES: BucketDefinition = BucketDefinition {
    name: "rowcast_leases",
    history: 1,
    ttl: Some(LEASE_TTL),
    max_value_bytes: KIB,
};

/// How long a lease outlives its last renewal.
pub const LEASE_TTL: Duration = Duration::from_secs(5);

/// Checkpoints of capture: key = task id, value = [`crate::change::Checkpoint`].
pub const CHECKPOINTS: BucketDefinition = BucketDefinition {
    name: "rowcast_checkpoints",
    history: 1,
    ttl: None,
    max_value_bytes: 4 * KIB,
};

/// What capture tracks of each task: key = task id, value = [`crate::change::TrackedObjects`].
pub const TRACKED: BucketDefinition = BucketDefinition {
    name: "rowcast_tracked",
    history: 1,
    ttl: None,
    max_value_bytes: 512 * KIB,
};

/// Schemas of tracked tables: key = `<task>.<schema id>`, value = [`crate::change::TableSchema`].
pub const SCHEMAS: BucketDefinition = BucketDefinition {
    name: "rowcast_schemas",
    history: 1,
    ttl: None,
    max_value_bytes: 512 * KIB,
};

/// A stream of the control plane.
#[derive(Debug, Clone)]
pub struct StreamDefinition {
    /// Its name.
    pub name: &'static str,
    /// What it stores.
    pub subjects: &'static [&'static str],
    /// Oldest message kept.
    pub max_age: Option<Duration>,
    /// How long a `Nats-Msg-Id` is remembered.
    pub duplicate_window: Duration,
    /// Most messages kept of a subject; no limit where absent. What comes then takes the place of the oldest one, or, in a stream
    /// with a limit of bytes, is refused.
    pub max_per_subject: Option<i64>,
    /// Most bytes kept: what comes then is refused, and nothing older removed; no limit where absent.
    pub max_bytes: Option<i64>,
}

/// A key-value bucket (NATS ADR-8), on disk: a task that waits for a decision must still wait after a
/// restart of the broker.
#[derive(Debug, Clone)]
pub struct BucketDefinition {
    /// Its name.
    pub name: &'static str,
    /// Values kept per key.
    pub history: i64,
    /// How long a value lives that is not written again.
    pub ttl: Option<Duration>,
    /// Largest value, in bytes.
    pub max_value_bytes: u32,
}

/// The stream of a task.
#[must_use]
pub fn task_stream(task: &TaskId) -> String {
    format!("RC_{task}")
}

/// The subjects of a task's stream.
#[must_use]
pub fn task_stream_subjects(task: &TaskId) -> Vec<String> {
    vec![subject::task_changes(task)]
}

/// The own stream of a group that has a policy or a format of its own.
#[must_use]
pub fn group_stream(group: &GroupId) -> String {
    format!("RG_{group}")
}

/// The subjects of a group's own stream.
#[must_use]
pub fn group_stream_subjects(group: &GroupId) -> Vec<String> {
    vec![subject::group_changes(group)]
}

/// The durable consumer of a group.
#[must_use]
pub fn group_consumer(group: &GroupId) -> String {
    format!("g_{group}")
}

/// Whether a consumer of a task's stream is this group's: its only one, or that of a partition.
#[must_use]
pub fn is_consumer_of(group: &GroupId, consumer: &str) -> bool {
    consumer
        .strip_prefix(&group_consumer(group))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// Member of a consumer's metadata with the number of the last move of its group's position.
///
/// Who holds changes from before a move must forget them: an acknowledgement would reach beyond what was sent since.
pub const GENERATION: &str = "rowcast_generation";

/// The durable consumer of a partition of a keyed group; `partition` is the partition's token in subjects.
#[must_use]
pub fn partition_consumer(group: &GroupId, partition: &str) -> String {
    format!("{}_{partition}", group_consumer(group))
}

/// The slot and the publication that a task owns on its source.
///
/// `[a-z0-9_]` only, as a slot name must be (PostgreSQL docs, "Replication Slots").
#[must_use]
pub fn source_object(task: &TaskId) -> String {
    format!("rowcast_{task}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_names_its_group() {
        let group = GroupId::random();
        for consumer in [
            group_consumer(&group),
            partition_consumer(&group, "tx"),
            redrive_consumer(&group),
        ] {
            assert_eq!(
                group_of_consumer(&consumer),
                Some(group.clone()),
                "{consumer}"
            );
        }
        for consumer in ["", "g_", "d_x", "capture", "x_g000000000000"] {
            assert_eq!(group_of_consumer(consumer), None, "{consumer}");
        }
    }
}
