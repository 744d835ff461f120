//! The durable pull consumers of groups, in account DATA.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use futures::TryStreamExt as _;
use rowcast_bus::Bus;
use rowcast_bus::async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use rowcast_bus::async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use rowcast_bus::async_nats::jetstream::{self, ErrorCode};
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::stream::{group_consumer, task_stream};
use rowcast_proto::subject;
use rowcast_service::BoxError;

/// A change not acknowledged for this long is sent again.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// Messages sent and not acknowledged, before the server sends no more.
///
/// All pieces of a change are in flight until its end is acknowledged, so this bounds what a group can
/// read. PostgreSQL allocates no more than 1 GB at once (`MaxAllocSize`), a row of its protocol
/// included: that is 1370 pieces of the 780 KB that a message of 1 MB holds. The rest is for what JSON
/// escapes. It also bounds the messages that a member has to hold after a lost delivery, so it is no
/// larger than that.
const MAX_ACK_PENDING: i64 = 2000;

/// Where a group stands in its task's stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Stream sequence of the last change acknowledged.
    pub(crate) acknowledged_sequence: u64,
    /// Changes not sent yet.
    pub(crate) pending: u64,
    /// Changes sent and not acknowledged.
    pub(crate) in_flight: u64,
}

/// Whether the stream was there to have the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    /// The consumer is there.
    Yes,
    /// The task has no stream yet: it was never started.
    NoStream,
}

/// Makes the group's consumer if it is missing.
pub(crate) async fn create(
    data: &Bus,
    task: &TaskId,
    group: &GroupId,
) -> Result<Created, BoxError> {
    let name = group_consumer(group);
    let config = pull::Config {
        durable_name: Some(name.clone()),
        description: Some(format!("consumer group {group}")),
        filter_subject: subject::task_changes(task),
        // A stream is read in order, so that one acknowledgement stands for all before it.
        ack_policy: AckPolicy::All,
        ack_wait: ACK_WAIT,
        max_ack_pending: MAX_ACK_PENDING,
        deliver_policy: DeliverPolicy::All,
        ..pull::Config::default()
    };
    let stream = data
        .jetstream()
        .get_stream_no_info(task_stream(task))
        .await?;
    match stream.get_or_create_consumer(&name, config).await {
        Ok(_consumer) => Ok(Created::Yes),
        Err(error) if is_missing(&error) => Ok(Created::NoStream),
        Err(error) => Err(error.into()),
    }
}

/// Removes the group's consumer, if it is there.
pub(crate) async fn delete(data: &Bus, task: &TaskId, group: &GroupId) -> Result<(), BoxError> {
    let stream = data
        .jetstream()
        .get_stream_no_info(task_stream(task))
        .await?;
    match stream.delete_consumer(&group_consumer(group)).await {
        Ok(_status) => Ok(()),
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Names of the consumers of a task's stream; none where there is no stream.
pub(crate) async fn names(data: &Bus, task: &TaskId) -> Result<HashSet<String>, BoxError> {
    let stream = data
        .jetstream()
        .get_stream_no_info(task_stream(task))
        .await?;
    match stream.consumer_names().try_collect().await {
        Ok(names) => Ok(names),
        Err(error) if says_no_stream(&error) => Ok(HashSet::new()),
        Err(error) => Err(error.into()),
    }
}

fn is_missing(error: &ConsumerError) -> bool {
    match error.kind() {
        ConsumerErrorKind::JetStream(error) => {
            let code = error.error_code();
            code == ErrorCode::STREAM_NOT_FOUND || code == ErrorCode::CONSUMER_NOT_FOUND
        }
        ConsumerErrorKind::TimedOut
        | ConsumerErrorKind::Request
        | ConsumerErrorKind::InvalidConsumerType
        | ConsumerErrorKind::InvalidName
        | ConsumerErrorKind::Other => false,
    }
}

/// A listing tells the server's answer only as the cause of its cause.
pub(crate) fn says_no_stream(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<jetstream::Error>())
        .any(|error| error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}
