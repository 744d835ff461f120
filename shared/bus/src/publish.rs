//! Facts into the stream `ROWCAST_EVENTS`.

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use bytes::Bytes;
use chrono::Utc;
use rowcast_domain::Fact;
use rowcast_proto::event::Event;
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

/// The event as an outbox keeps it.
///
/// # Errors
/// Where it cannot be written as JSON.
pub fn fact<E: Event>(event: &E) -> Result<Fact, serde_json::Error> {
    let EventMeta { id, trace, .. } = event.meta().cloned().unwrap_or_default();
    let trace = trace.unwrap_or_default();
    Ok(Fact {
        event_id: id,
        subject: E::SUBJECT.to_owned(),
        payload: serde_json::to_vec(event)?,
        traceparent: trace.traceparent,
        tracestate: trace.tracestate,
    })
}

/// Publishes what an outbox has kept.
///
/// # Errors
/// Where the fact is not known to be stored.
pub async fn send(bus: &Bus, fact: Fact) -> Result<(), BoxError> {
    let trace = TraceContext {
        traceparent: fact.traceparent,
        tracestate: fact.tracestate,
    };
    event(
        bus,
        fact.subject,
        &fact.event_id,
        fact.payload.into(),
        &trace,
    )
    .await
}

/// Publishes an event and waits until it is stored.
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
