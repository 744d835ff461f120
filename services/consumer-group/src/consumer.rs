//! The durable consumers of groups, in account DATA.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use rowcast_bus::Bus;
use rowcast_bus::async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull, push};
use rowcast_bus::async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use rowcast_bus::async_nats::jetstream::{self, ErrorCode};
use rowcast_proto::rest::GroupMode;
use rowcast_service::BoxError;

use crate::own_consumers::{self, OwnConsumer};
use crate::reads::Reads;
use crate::store::group::Group;

/// A change not acknowledged for this long is sent again.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(30);

/// Messages sent and not acknowledged, before the server sends no more.
///
/// All pieces of a change are in flight until its end is acknowledged, so this bounds what a group can
/// read. PostgreSQL allocates no more than 1 GB at once (`MaxAllocSize`), a row of its protocol
/// included: that is 1370 pieces of the 780 KB that a message of 1 MB holds. The rest is for what JSON
/// escapes. It also bounds the messages that a member has to hold after a lost delivery, so it is no
/// larger than that.
const MAX_ACK_PENDING: i64 = 2000;

/// As above, of a shared group, whose members each have up to a batch of 256 in flight.
const SHARED_MAX_ACK_PENDING: i64 = 20_000;

/// As above, of a shared push group: the server sends all of it at once, and nothing else holds it back.
const SHARED_PUSH_MAX_ACK_PENDING: i64 = 256;

/// Consumers of a group asked for, made or removed at a time.
const CONCURRENT: usize = 16;

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
    /// There is no stream yet: the task was never started, or nobody has begun to make the group's own.
    NoStream,
}

/// Makes those consumers of a group that are missing.
pub(crate) async fn create(data: &Bus, group: &Group) -> Result<Created, BoxError> {
    let stream = data
        .jetstream()
        .get_stream_no_info(Reads::of(group).stream())
        .await?;
    let made = stream::iter(own_consumers::of(group)).map(|own| {
        let stream = &stream;
        async move { create_one(stream, group, own).await }
    });
    let made: Vec<Created> = made.buffer_unordered(CONCURRENT).try_collect().await?;
    let no_stream = made.contains(&Created::NoStream);
    Ok(if no_stream {
        Created::NoStream
    } else {
        Created::Yes
    })
}

async fn create_one(
    stream: &jetstream::stream::Stream<()>,
    group: &Group,
    own: OwnConsumer,
) -> Result<Created, BoxError> {
    let name = own.name.clone();
    let made = match own.deliver_subject {
        None => {
            let config = pull_config(group, own);
            let made = stream.get_or_create_consumer(&name, config).await;
            made.map(|_consumer| ())
        }
        Some(ref subject) => {
            let config = push_config(group, &own, subject.clone());
            let made = stream.get_or_create_consumer(&name, config).await;
            made.map(|_consumer| ())
        }
    };
    match made {
        Ok(()) => Ok(Created::Yes),
        Err(error) if is_missing(&error) => Ok(Created::NoStream),
        Err(error) => Err(error.into()),
    }
}

fn pull_config(group: &Group, own: OwnConsumer) -> pull::Config {
    let (ack_policy, max_ack_pending) = match group.mode {
        // What is read in order is acknowledged in order: one acknowledgement stands for all before it.
        GroupMode::Ordered | GroupMode::Keyed => (AckPolicy::All, MAX_ACK_PENDING),
        GroupMode::Shared => (AckPolicy::Explicit, SHARED_MAX_ACK_PENDING),
    };
    pull::Config {
        durable_name: Some(own.name),
        description: Some(format!("consumer group {}", group.id)),
        filter_subject: own.filter,
        ack_policy,
        ack_wait: ACK_WAIT,
        max_ack_pending,
        max_deliver: max_deliver(group),
        deliver_policy: DeliverPolicy::All,
        ..pull::Config::default()
    }
}

/// How often the server sends a change of the group: what it does not send again, it goes past, and only where there is
/// no order may it do that.
pub(crate) fn max_deliver(group: &Group) -> i64 {
    match group.mode {
        GroupMode::Shared if group.max_deliver > 0 => group.max_deliver.into(),
        GroupMode::Shared | GroupMode::Ordered | GroupMode::Keyed => -1,
    }
}

/// Where order counts, one message is in flight at a time: of several that a subscriber has not acknowledged when it
/// goes, newer ones would come before them, and a plain subscriber cannot know. Without heartbeats and flow control,
/// which it would take for changes.
fn push_config(group: &Group, own: &OwnConsumer, deliver_subject: String) -> push::Config {
    let max_ack_pending = match group.mode {
        GroupMode::Ordered | GroupMode::Keyed => 1,
        GroupMode::Shared => SHARED_PUSH_MAX_ACK_PENDING,
    };
    push::Config {
        deliver_subject,
        deliver_group: own_consumers::deliver_group(group),
        durable_name: Some(own.name.clone()),
        description: Some(format!("consumer group {}", group.id)),
        filter_subject: own.filter.clone(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending,
        max_deliver: max_deliver(group),
        deliver_policy: DeliverPolicy::All,
        ..push::Config::default()
    }
}

/// Removes the group's consumers, as far as they are there.
pub(crate) async fn delete(data: &Bus, group: &Group) -> Result<(), BoxError> {
    let stream = data
        .jetstream()
        .get_stream_no_info(Reads::of(group).stream())
        .await?;
    let removed = stream::iter(own_consumers::names(group)).map(|name| {
        let stream = &stream;
        async move {
            match stream.delete_consumer(&name).await {
                Ok(_status) => Ok(()),
                Err(error) if is_missing(&error) => Ok(()),
                Err(error) => Err(BoxError::from(error)),
            }
        }
    });
    removed.buffer_unordered(CONCURRENT).try_collect().await
}

/// Names of the consumers of a stream; none where there is no stream.
pub(crate) async fn names(data: &Bus, reads: &Reads) -> Result<HashSet<String>, BoxError> {
    let stream = data.jetstream().get_stream_no_info(reads.stream()).await?;
    match stream.consumer_names().try_collect().await {
        Ok(names) => Ok(names),
        Err(error) if says_no_stream(&error) => Ok(HashSet::new()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn is_missing(error: &ConsumerError) -> bool {
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
