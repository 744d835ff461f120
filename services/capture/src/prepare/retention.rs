//! How long the task's stream keeps changes, as the user wants it now.
//!
//! The stream says in its metadata which wish of the user its limits came from. Only another wish changes
//! them: what somebody else has set on purpose is told, and not undone.

use std::collections::HashMap;

use rowcast_bus::Bus;
use rowcast_domain::TaskId;
use rowcast_proto::message::Retention;
use rowcast_proto::stream::task_stream;
use serde_json::{Map, Value};

use super::stream;
use crate::error::Error;

const WISH: &str = "rowcast_retention";

/// `JSStreamNotFoundErr` of nats-server.
const STREAM_NOT_FOUND: u64 = 10059;

/// HTTP's word for what passes.
const UNAVAILABLE: u64 = 503;

/// The metadata of a stream that was made for this wish.
pub(super) fn metadata(retention: &Retention) -> HashMap<String, String> {
    HashMap::from([(WISH.to_owned(), word(retention))])
}

fn word(retention: &Retention) -> String {
    format!("{} s {} bytes", retention.age_seconds, retention.bytes)
}

/// Brings the limits of the stream to the wish, where that is another than before. Where NATS refuses, as for
/// want of room, the task goes on and warns that its stream differs.
///
/// # Errors
/// Where the broker does not answer.
pub(crate) async fn keep(bus: &Bus, task: &TaskId, retention: &Retention) -> Result<(), Error> {
    let subject = |what: &str| format!("STREAM.{what}.{}", task_stream(task));
    // Raw, for what this client does not know of a stream must stay.
    let info: Value = ask(bus, subject("INFO"), &Value::Null).await?;
    if let Some(error) = info.get("error") {
        // One that was not made yet, or is gone, is the concern of others.
        let is_missing = error.get("err_code").and_then(Value::as_u64) == Some(STREAM_NOT_FOUND);
        return if is_missing {
            Ok(())
        } else {
            Err(Error::broker(error.to_string()))
        };
    }
    let Some(Value::Object(mut config)) = info.get("config").cloned() else {
        return Err(Error::broker("the stream tells no configuration"));
    };
    let before = config
        .get("metadata")
        .and_then(|metadata| metadata.get(WISH))
        .and_then(Value::as_str)
        .map(str::to_owned);
    let wanted = word(retention);
    if before.as_ref() == Some(&wanted) {
        return Ok(());
    }
    if before.is_some() {
        set_limits(&mut config, bus, task, retention)?;
    }
    // An earlier version has not said what its limits came from: they stay.
    let metadata = config
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata {
        metadata.insert(WISH.to_owned(), wanted.clone().into());
    }
    let answer: Value = ask(bus, subject("UPDATE"), &Value::Object(config)).await?;
    match answer.get("error") {
        None => tracing::info!(%task, ?before, now = wanted, "retention of the stream set"),
        // As while the stream has no leader: it passes.
        Some(error) if error.get("code").and_then(Value::as_u64) == Some(UNAVAILABLE) => {
            return Err(Error::broker(error.to_string()));
        }
        Some(error) => tracing::warn!(%task, %error, "retention of the stream not changed"),
    }
    Ok(())
}

fn set_limits(
    config: &mut Map<String, Value>,
    bus: &Bus,
    task: &TaskId,
    retention: &Retention,
) -> Result<(), Error> {
    let wanted = serde_json::to_value(stream::config(bus, task, retention));
    let wanted = wanted.map_err(Error::broker)?;
    for limit in ["max_age", "max_bytes"] {
        let value = wanted.get(limit).cloned().unwrap_or_default();
        config.insert(limit.to_owned(), value);
    }
    Ok(())
}

async fn ask(bus: &Bus, subject: String, question: &Value) -> Result<Value, Error> {
    let answer = bus.jetstream().request(subject, question).await;
    answer.map_err(Error::broker)
}
