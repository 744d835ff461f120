//! The task's stream.

use std::time::Duration;

use rowcast_bus::Bus;
use rowcast_bus::async_nats::jetstream::ErrorCode;
use rowcast_bus::async_nats::jetstream::context::GetStreamErrorKind;
use rowcast_bus::async_nats::jetstream::stream::{
    Config, DiscardPolicy, RetentionPolicy, StorageType, Stream,
};
use rowcast_domain::TaskId;
use rowcast_proto::message::Retention;
use rowcast_proto::stream;

use crate::error::Error;

/// Opens the task's stream; `None` where there is none.
///
/// # Errors
/// Where the broker does not answer.
pub(crate) async fn open(bus: &Bus, task: &TaskId) -> Result<Option<Stream>, Error> {
    match bus.jetstream().get_stream(stream::task_stream(task)).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(cause)
                if cause.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName
            | GetStreamErrorKind::JetStream(_) => Err(Error::broker(error)),
        },
    }
}

/// Makes the task's stream.
///
/// # Errors
/// Where the broker does not answer or refuses.
pub(crate) async fn create(
    bus: &Bus,
    task: &TaskId,
    retention: &Retention,
) -> Result<Stream, Error> {
    let config = Config {
        name: stream::task_stream(task),
        subjects: stream::task_stream_subjects(task),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_age: Duration::from_secs(retention.age_seconds),
        max_bytes: i64::try_from(retention.bytes)
            .ok()
            .filter(|&bytes| bytes > 0)
            .unwrap_or(-1),
        allow_atomic_publish: true,
        // Changes leave by retention only: nobody can make a hole.
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    };
    bus.jetstream()
        .create_stream(config)
        .await
        .map_err(Error::broker)
}

/// Removes the task's stream; tells whether there was one.
///
/// # Errors
/// Where the broker does not answer or refuses.
pub(crate) async fn remove(bus: &Bus, task: &TaskId) -> Result<bool, Error> {
    if open(bus, task).await?.is_none() {
        return Ok(false);
    }
    bus.jetstream()
        .delete_stream(stream::task_stream(task))
        .await
        .map_err(Error::broker)?;
    Ok(true)
}
