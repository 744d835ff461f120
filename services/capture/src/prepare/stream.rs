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

use super::retention;
use crate::error::Error;
use crate::pipeline::publish::writer::Storing;

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
    bus.jetstream()
        .create_stream(config(bus, task, retention))
        .await
        .map_err(Error::broker)
}

/// How messages get into the task's stream, where the broker may lose what it has acknowledged for
/// so long.
///
/// # Errors
/// Where the broker does not answer.
pub(crate) async fn storing(
    bus: &Bus,
    task: &TaskId,
    hold_back: Duration,
) -> Result<Storing, Error> {
    if hold_back.is_zero() {
        return Ok(Storing::Batches);
    }
    let stream = open(bus, task).await?;
    let allowed = stream.is_some_and(|stream| stream.cached_info().config.allow_batch_publish);
    Ok(if allowed {
        Storing::Messages
    } else {
        Storing::Batches
    })
}

/// What the task's stream is to be.
pub(crate) fn config(bus: &Bus, task: &TaskId, retention: &Retention) -> Config {
    Config {
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
        allow_batch_publish: true,
        // Changes leave by retention only: nobody can make a hole.
        deny_delete: true,
        deny_purge: true,
        num_replicas: bus.replicas().count(),
        metadata: retention::metadata(retention),
        ..Config::default()
    }
}

/// How the stream that is there differs from the one that is wanted. It is left as it is: what somebody
/// has set on purpose is not undone.
pub(crate) fn differences(found: &Config, wanted: &Config) -> Vec<String> {
    let stream = &wanted.name;
    let mut all = Vec::new();
    let mut compare = |name: &str, found: String, wanted: String| {
        if found != wanted {
            all.push(format!(
                "{name} of the stream {stream} is {found}, the task wants {wanted}"
            ));
        }
    };
    let seconds = |age: Duration| format!("{} s", age.as_secs());
    // None and less than none both mean that there is no limit.
    let limit = |limit: i64| {
        if limit > 0 {
            limit.to_string()
        } else {
            "unlimited".to_owned()
        }
    };
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
    compare(
        "num_replicas",
        found.num_replicas.to_string(),
        wanted.num_replicas.to_string(),
    );
    compare("max_age", seconds(found.max_age), seconds(wanted.max_age));
    compare("max_bytes", limit(found.max_bytes), limit(wanted.max_bytes));
    compare(
        "max_msgs",
        limit(found.max_messages),
        limit(wanted.max_messages),
    );
    compare(
        "max_msgs_per_subject",
        limit(found.max_messages_per_subject),
        limit(wanted.max_messages_per_subject),
    );
    compare(
        "max_msg_size",
        limit(found.max_message_size.into()),
        limit(wanted.max_message_size.into()),
    );
    compare("discard", text(&found.discard), text(&wanted.discard));
    compare("retention", text(&found.retention), text(&wanted.retention));
    compare("storage", text(&found.storage), text(&wanted.storage));
    compare("subjects", text(&found.subjects), text(&wanted.subjects));
    for (name, found, wanted) in [
        ("deny_delete", found.deny_delete, wanted.deny_delete),
        ("deny_purge", found.deny_purge, wanted.deny_purge),
        (
            "allow_atomic",
            found.allow_atomic_publish,
            wanted.allow_atomic_publish,
        ),
        (
            "allow_batched",
            found.allow_batch_publish,
            wanted.allow_batch_publish,
        ),
        ("sealed", found.sealed, wanted.sealed),
    ] {
        compare(name, found.to_string(), wanted.to_string());
    }
    all
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_that_somebody_has_set_is_named() {
        let wanted = Config {
            name: "RC_t1".to_owned(),
            max_age: Duration::from_secs(60),
            max_bytes: -1,
            num_replicas: 3,
            deny_purge: true,
            allow_atomic_publish: true,
            ..Config::default()
        };
        assert_eq!(differences(&wanted, &wanted), Vec::<String>::new());
        let found = Config {
            max_age: Duration::from_secs(30),
            max_bytes: 1000,
            num_replicas: 1,
            deny_purge: false,
            discard: DiscardPolicy::New,
            ..wanted.clone()
        };
        let all = differences(&found, &wanted);
        assert_eq!(all.len(), 5, "{all:?}");
        assert_eq!(
            all[1],
            "max_age of the stream RC_t1 is 30 s, the task wants 60 s"
        );
    }
}
