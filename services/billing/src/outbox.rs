//! What billing tells the others, in the transaction that makes it true.

use rowcast_bus::{Bus, publish};
use rowcast_proto::event::Event;
use rowcast_proto::message::TraceContext;
use rowcast_service::outbox::{self, Entry};
use rowcast_service::{BoxError, CancellationToken};
use sqlx::postgres::{PgConnection, PgPool};

use crate::SCHEMA;

/// Adds a fact to the transaction of `connection`.
pub(crate) async fn append<E: Event>(
    connection: &mut PgConnection,
    event: &E,
) -> Result<(), sqlx::Error> {
    let payload = serde_json::to_vec(event).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let meta = event.meta().cloned().unwrap_or_default();
    let trace = meta.trace.unwrap_or_default();
    let entry = Entry {
        event_id: meta.id,
        subject: E::SUBJECT.to_owned(),
        payload,
        traceparent: trace.traceparent,
        tracestate: trace.tracestate,
    };
    outbox::append(connection, &entry).await
}

/// Sends the facts.
pub(crate) async fn run(bus: Bus, pool: PgPool, stop: CancellationToken) -> Result<(), BoxError> {
    outbox::relay(pool, SCHEMA, stop, move |entry: Entry| {
        let bus = bus.clone();
        async move {
            let trace = TraceContext {
                traceparent: entry.traceparent,
                tracestate: entry.tracestate,
            };
            let payload = entry.payload.into();
            publish::event(&bus, entry.subject, &entry.event_id, payload, &trace).await
        }
    })
    .await
}
