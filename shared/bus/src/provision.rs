//! Streams and buckets, made where they are missing.

use async_nats::jetstream::context::{CreateStreamError, KeyValueError, KeyValueErrorKind};
use async_nats::jetstream::{kv, stream};
use rowcast_proto::stream::{BucketDefinition, StreamDefinition};

use crate::connect::Bus;

/// Makes a stream of the control plane if it is missing; reports, and keeps, one that differs.
///
/// # Errors
/// Where `JetStream` does not answer or refuses.
pub async fn stream(bus: &Bus, definition: &StreamDefinition) -> Result<(), CreateStreamError> {
    let wanted = stream::Config {
        name: definition.name.to_owned(),
        subjects: definition
            .subjects
            .iter()
            .map(|&subject| subject.to_owned())
            .collect(),
        max_age: definition.max_age.unwrap_or_default(),
        duplicate_window: definition.duplicate_window,
        storage: stream::StorageType::File,
        ..stream::Config::default()
    };
    let stream = bus.jetstream().get_or_create_stream(wanted.clone()).await?;
    let found = &stream.cached_info().config;
    if found.subjects != wanted.subjects || found.max_age != wanted.max_age {
        tracing::warn!(
            stream = definition.name,
            found_subjects = ?found.subjects,
            found_max_age = ?found.max_age,
            "stream differs from its definition and is left as it is"
        );
    }
    Ok(())
}

/// A bucket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the bucket {bucket}")]
pub struct BucketError {
    bucket: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Opens a bucket, and makes it if it is missing.
///
/// # Errors
/// Where `JetStream` does not answer or refuses.
pub async fn bucket(bus: &Bus, definition: &BucketDefinition) -> Result<kv::Store, BucketError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| BucketError {
        bucket: definition.name,
        source,
    };
    match bus.jetstream().get_key_value(definition.name).await {
        Ok(store) => return Ok(store),
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(failed(error.into())),
    }
    let config = kv::Config {
        bucket: definition.name.to_owned(),
        history: definition.history,
        max_age: definition.ttl.unwrap_or_default(),
        max_value_size: i32::try_from(definition.max_value_bytes).unwrap_or(i32::MAX),
        storage: stream::StorageType::File,
        ..kv::Config::default()
    };
    match bus.jetstream().create_key_value(config).await {
        Ok(store) => Ok(store),
        // Another process was faster, or the bucket is not as defined: take it as it is.
        Err(error) => match bus.jetstream().get_key_value(definition.name).await {
            Ok(store) => Ok(store),
            Err(_still_missing) => Err(failed(error.into())),
        },
    }
}

fn is_missing(error: &KeyValueError) -> bool {
    match error.kind() {
        KeyValueErrorKind::GetBucket => true,
        KeyValueErrorKind::InvalidStoreName | KeyValueErrorKind::JetStream => false,
    }
}
