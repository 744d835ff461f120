//! Streams and buckets, made where they are missing.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::{kv, stream};
use rowcast_proto::stream::{BucketDefinition, StreamDefinition};
use tokio::time::Instant;

use crate::BoxError;
use crate::connect::Bus;

/// How long several servers may take to choose a leader, beside the time of one question.
const LEADER_WITHIN: Duration = Duration::from_secs(60);

const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Status of an error of `JetStream` that passes, as while there is no leader.
const UNAVAILABLE: usize = 503;

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
        max_messages_per_subject: definition.max_per_subject.unwrap_or_default(),
        max_bytes: definition.max_bytes.unwrap_or_default(),
        discard: match definition.max_bytes {
            Some(_limit) => stream::DiscardPolicy::New,
            None => stream::DiscardPolicy::Old,
        },
        discard_new_per_subject: definition.max_bytes.is_some()
            && definition.max_per_subject.is_some(),
        storage: stream::StorageType::File,
        num_replicas: bus.replicas().count(),
        ..stream::Config::default()
    };
    let patience = Patience::new();
    let stream = loop {
        let made = bus.jetstream().get_or_create_stream(wanted.clone());
        match Box::pin(made).await {
            Ok(stream) => break stream,
            Err(error) => patience.after(definition.name, error).await?,
        }
    };
    report_difference(&stream.cached_info().config, &wanted);
    Ok(())
}

/// A bucket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the bucket {bucket}")]
pub struct BucketError {
    bucket: &'static str,
    #[source]
    source: BoxError,
}

/// Opens a bucket, and makes it if it is missing; reports, and keeps, one that differs.
///
/// # Errors
/// Where `JetStream` does not answer or refuses.
pub async fn bucket(bus: &Bus, definition: &BucketDefinition) -> Result<kv::Store, BucketError> {
    let wanted = bucket_config(bus, definition);
    let failed = |source: CreateStreamError| BucketError {
        bucket: definition.name,
        source: source.into(),
    };
    let patience = Patience::new();
    let store = loop {
        match Box::pin(open_bucket(bus, definition, &wanted)).await {
            Ok(store) => break store,
            Err(error) => {
                let waited = patience.after(definition.name, error).await;
                waited.map_err(failed)?;
            }
        }
    };
    report_difference(&store.stream.cached_info().config, &wanted);
    Ok(store)
}

async fn open_bucket(
    bus: &Bus,
    definition: &BucketDefinition,
    wanted: &stream::Config,
) -> Result<kv::Store, CreateStreamError> {
    if let Ok(store) = bus.jetstream().get_key_value(definition.name).await {
        return Ok(store);
    }
    let made = Box::pin(bus.jetstream().create_stream(wanted.clone())).await;
    match bus.jetstream().get_key_value(definition.name).await {
        // Made now, or by another process that was faster.
        Ok(store) => Ok(store),
        Err(error) => Err(made.err().unwrap_or_else(|| {
            CreateStreamError::with_source(CreateStreamErrorKind::Response, error)
        })),
    }
}

/// For the time in which several servers choose who leads them: a service that starts then need not end.
struct Patience {
    deadline: Instant,
}

impl Patience {
    fn new() -> Self {
        Self {
            deadline: Instant::now() + LEADER_WITHIN,
        }
    }

    /// Waits before the next attempt, or gives the error back where that would not help.
    async fn after(&self, name: &str, error: CreateStreamError) -> Result<(), CreateStreamError> {
        if !may_pass(&error) || Instant::now() >= self.deadline {
            return Err(error);
        }
        tracing::warn!(stream = name, %error, "the broker is not ready, trying again");
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
        Ok(())
    }
}

fn may_pass(error: &CreateStreamError) -> bool {
    match error.kind() {
        CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::JetStreamUnavailable
        | CreateStreamErrorKind::Response => true,
        CreateStreamErrorKind::JetStream(error) => error.code() == UNAVAILABLE,
        CreateStreamErrorKind::EmptyStreamName
        | CreateStreamErrorKind::InvalidStreamName
        | CreateStreamErrorKind::DomainAndExternalSet
        | CreateStreamErrorKind::ResponseParse
        | CreateStreamErrorKind::NotFound => false,
    }
}

/// The stream behind a bucket (NATS ADR-8). Without direct reads: any replica answers those, also one that
/// lags, and what is read here decides what may be written.
fn bucket_config(bus: &Bus, definition: &BucketDefinition) -> stream::Config {
    stream::Config {
        name: format!("KV_{}", definition.name),
        subjects: vec![format!("$KV.{}.>", definition.name)],
        max_messages_per_subject: definition.history,
        max_age: definition.ttl.unwrap_or_default(),
        max_message_size: i32::try_from(definition.max_value_bytes).unwrap_or(i32::MAX),
        storage: stream::StorageType::File,
        discard: stream::DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: false,
        num_replicas: bus.replicas().count(),
        ..stream::Config::default()
    }
}

fn report_difference(found: &stream::Config, wanted: &stream::Config) {
    let alike = found.subjects == wanted.subjects
        && found.max_age == wanted.max_age
        && found.num_replicas == wanted.num_replicas
        // A single server has no replica that could lag.
        && (!found.allow_direct || found.num_replicas == 1);
    if !alike {
        tracing::warn!(
            stream = found.name,
            found_subjects = ?found.subjects,
            found_max_age = ?found.max_age,
            found_replicas = found.num_replicas,
            found_allow_direct = found.allow_direct,
            wanted_replicas = wanted.num_replicas,
            "stream differs from its definition and is left as it is"
        );
    }
}
