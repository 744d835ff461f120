//! Facts into the stream `ROWCAST_EVENTS`.

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use bytes::Bytes;
use chrono::Utc;
use rowcast_proto::message::{EventMeta, TraceContext};
use uuid::Uuid;

use crate::connect::Bus;
use crate::{BoxError, trace_context};

/// Id, time and trace for an event that reports a change made now.
#[must_use]
pub fn event_meta() -> EventMeta {
    EventMeta {
        id: Uuid::now_v7().to_string(),
        occurred_at: Some(Utc::now().into()),
        trace: Some(trace_context::current()),
    }
}

/// Publishes a fact and waits until it is stored.
///
/// The event's id is the `Nats-Msg-Id`, so that a relay that repeats itself within the duplicate
/// window stores it once; consumers do not rely on that.
///
/// # Errors
/// Where the fact is not known to be stored.
pub async fn event(
    bus: &Bus,
    subject: String,
    event_id: &str,
    payload: Bytes,
    trace: &TraceContext,
) -> Result<(), BoxError> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, event_id);
    trace_context::write_headers(&mut headers, trace);
    bus.jetstream()
        .publish_with_headers(subject, headers, payload)
        .await?
        .await?;
    Ok(())
}
