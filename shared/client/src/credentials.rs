//! What a member of a group must know.

use rowcast_domain::{GroupId, Secret, TaskId};
use rowcast_proto::rest::{GroupConnection, GroupDelivery, GroupMode, PartitionConsumer};

/// Where a group's changes are, and how to log in.
#[derive(Debug, Clone)]
pub struct GroupCredentials {
    /// NATS URLs.
    pub urls: Vec<String>,
    /// User name: `<account>-<group id>`.
    pub login: String,
    /// The group's password.
    pub password: Secret,
    /// The group.
    pub group_id: GroupId,
    /// Its task.
    pub task_id: TaskId,
    /// JetStream stream.
    pub stream: String,
    /// How its members share the changes.
    pub mode: GroupMode,
    /// How changes come to its clients: the subscription reads groups whose clients pull.
    pub delivery: GroupDelivery,
    /// Durable pull consumer; empty where the group is keyed.
    pub consumer: String,
    /// The durable pull consumers of a keyed group.
    pub consumers: Vec<PartitionConsumer>,
    /// Prefix of the inboxes; the server allows no others.
    pub inbox_prefix: String,
}

impl GroupCredentials {
    /// The answer of `GET /tasks/{id}/groups/{gid}/connection`, and the group's password.
    #[must_use]
    pub fn new(connection: GroupConnection, password: Secret) -> Self {
        let GroupConnection {
            urls,
            login,
            stream,
            mode,
            consumer,
            consumers,
            redrive_stream: _,
            redrive_consumer: _,
            inbox_prefix,
            group_id,
            task_id,
            delivery,
            deliver_subject: _,
            deliver_group: _,
        } = connection;
        Self {
            urls,
            login,
            password,
            group_id,
            task_id,
            stream,
            mode,
            delivery,
            consumer,
            consumers,
            inbox_prefix,
        }
    }
}
