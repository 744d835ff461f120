//! The own stream of a group that has a policy or a format of its own.

use std::time::Duration;

use rowcast_bus::Bus;
use rowcast_bus::async_nats::jetstream::ErrorCode;
use rowcast_bus::async_nats::jetstream::context::{DeleteStreamErrorKind, GetStreamErrorKind};
use rowcast_bus::async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, RetentionPolicy, StorageType,
};
use rowcast_domain::GroupId;
use rowcast_proto::stream::{group_stream, group_stream_subjects};
use rowcast_service::BoxError;

use crate::state::State;
use crate::store;
use crate::store::group::Group;

/// In its metadata: when the task's stream was made that it was made of.
const SOURCE_MADE: &str = "rowcast_source_made";

/// A stream as its server knows it; `None` where there is none.
pub(crate) async fn look(data: &Bus, name: &str) -> Result<Option<Info>, BoxError> {
    match data.jetstream().get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(cause)
                if cause.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName
            | GetStreamErrorKind::JetStream(_) => Err(error.into()),
        },
    }
}

/// When a stream was made; tells one from another of the same name.
pub(crate) fn made(info: &Info) -> String {
    info.created.unix_timestamp_nanos().to_string()
}

/// The own stream of a group, made where it is missing, and anew where it was made of another stream of the task than the
/// one that is there now. It keeps messages for as long as that. `None` where the group was deleted.
pub(crate) async fn ensure(
    state: &State,
    group: &Group,
    source: &Info,
) -> Result<Option<Info>, BoxError> {
    let name = group_stream(&group.id);
    if let Some(own) = look(&state.data, &name).await? {
        if own.config.metadata.get(SOURCE_MADE) == Some(&made(source)) {
            keep(&state.data, &own, source).await?;
            return Ok(Some(own));
        }
        tracing::info!(group = %group.id, task = %group.task_id, "the task's stream is another one, the group's own is made anew");
        state.data.jetstream().delete_stream(&name).await?;
    }
    let there = store::group::by_id(&state.pool, &group.id).await?;
    if there.is_none_or(|group| group.deleted_at.is_some()) {
        return Ok(None);
    }
    let wanted = config(&group.id, source);
    let stream = state.data.jetstream().create_stream(wanted).await?;
    tracing::info!(group = %group.id, task = %group.task_id, "own stream made");
    state.changed.notify_one();
    Ok(Some(stream.cached_info().clone()))
}

/// Lets the own stream keep messages for as long as the task's stream does.
pub(crate) async fn keep(data: &Bus, own: &Info, source: &Info) -> Result<(), BoxError> {
    let (found, wanted) = (&own.config, &source.config);
    let is_same = found.max_age == wanted.max_age
        && found.max_bytes == wanted.max_bytes
        && found.num_replicas == wanted.num_replicas;
    if is_same {
        return Ok(());
    }
    let config = Config {
        // The server refuses one that is longer.
        duplicate_window: match wanted.max_age {
            Duration::ZERO => found.duplicate_window,
            max_age => found.duplicate_window.min(max_age),
        },
        max_age: wanted.max_age,
        max_bytes: wanted.max_bytes,
        num_replicas: wanted.num_replicas,
        ..found.clone()
    };
    // For want of room, say: the group goes on with what it has.
    if let Err(error) = data.jetstream().update_stream(config).await {
        tracing::warn!(stream = found.name, %error, "own stream keeps its limits");
    }
    Ok(())
}

fn config(group: &GroupId, source: &Info) -> Config {
    Config {
        name: group_stream(group),
        subjects: group_stream_subjects(group),
        description: Some(format!("own stream of consumer group {group}")),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_age: source.config.max_age,
        max_bytes: source.config.max_bytes,
        num_replicas: source.config.num_replicas,
        allow_atomic_publish: true,
        // Changes leave by retention only: nobody can make a hole.
        deny_delete: true,
        deny_purge: true,
        metadata: [(SOURCE_MADE.to_owned(), made(source))].into(),
        ..Config::default()
    }
}

/// Removes the own stream of a deleted group, if it had one.
pub(crate) async fn remove(data: &Bus, group: &Group) -> Result<(), BoxError> {
    if group.derived.is_none() {
        return Ok(());
    }
    match data
        .jetstream()
        .delete_stream(group_stream(&group.id))
        .await
    {
        Ok(_status) => Ok(()),
        Err(error) => match error.kind() {
            DeleteStreamErrorKind::JetStream(cause)
                if cause.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(())
            }
            DeleteStreamErrorKind::EmptyName
            | DeleteStreamErrorKind::Request
            | DeleteStreamErrorKind::InvalidStreamName
            | DeleteStreamErrorKind::JetStream(_) => Err(error.into()),
        },
    }
}
