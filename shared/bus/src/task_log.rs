//! Lines of the services' logs about a task, into the stream `ROWCAST_LOG` and out of it.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::{FutureExt as _, TryStreamExt as _};
use rowcast_domain::{TaskId, TaskLine};
use rowcast_proto::message::TaskLogLine;
use rowcast_proto::stream::LOG;
use rowcast_proto::subject;

use crate::BoxError;
use crate::connect::Bus;

/// Most lines read at a time: those of all services that are kept of one task.
const LINES_MAX: usize = 10_000;

/// How long the broker may take to give them.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Sends lines of a service on. Nobody waits until they are stored: the process's own log has them all the same.
pub fn sender(
    bus: Bus,
    service: &'static str,
) -> impl Fn(TaskLine) -> BoxFuture<'static, Result<(), BoxError>> + Send {
    move |line| {
        let bus = bus.clone();
        async move { send(&bus, service, line).await }.boxed()
    }
}

async fn send(bus: &Bus, service: &str, line: TaskLine) -> Result<(), BoxError> {
    let subject = subject::task_log(&line.task, service);
    let line = TaskLogLine {
        task_id: line.task.to_string(),
        service: service.to_owned(),
        at: Some(DateTime::<Utc>::from(line.at).into()),
        level: line.level.to_owned(),
        message: line.message,
        fields: line.fields.into_iter().collect(),
        trace_id: line.trace_id,
    };
    let payload: Bytes = serde_json::to_vec(&line)?.into();
    bus.client().publish(subject, payload).await?;
    Ok(())
}

/// A line with its number among all that are stored.
pub type NumberedLine = (u64, TaskLogLine);

/// The lines about a task that are kept, in the order stored.
///
/// # Errors
/// Where the broker does not answer.
pub async fn read(bus: &Bus, task: &TaskId) -> Result<Vec<NumberedLine>, BoxError> {
    let stream = bus.jetstream().get_stream_no_info(LOG.name).await?;
    let consumer = stream
        .create_consumer(pull::Config {
            filter_subject: subject::task_log(task, "*"),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            inactive_threshold: READ_WITHIN,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        })
        .await?;
    let fetched = consumer
        .fetch()
        .max_messages(LINES_MAX)
        .expires(READ_WITHIN);
    let messages = fetched.messages().await?;
    let lines = messages.try_filter_map(async |message| {
        let number = message.info()?.stream_sequence;
        // A line of another form is of a version to come.
        let line = serde_json::from_slice(&message.payload).ok();
        Ok(line.map(|line| (number, line)))
    });
    lines.try_collect().await
}
