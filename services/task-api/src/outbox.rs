//! Sends what the lifecycle has to tell the others.

use rowcast_bus::publish;
use rowcast_proto::message::TraceContext;
use rowcast_service::outbox::{self, Entry};
use rowcast_service::{BoxError, CancellationToken};

use crate::state::{App, SCHEMA};

/// Sends events until told to stop.
pub(crate) async fn run(app: App, stop: CancellationToken) -> Result<(), BoxError> {
    let pool = app.pool().clone();
    outbox::relay(pool, SCHEMA, stop, move |entry: Entry| {
        let app = app.clone();
        async move {
            let trace = TraceContext {
                traceparent: entry.traceparent,
                tracestate: entry.tracestate,
            };
            let payload = entry.payload.into();
            publish::event(app.bus(), entry.subject, &entry.event_id, payload, &trace).await
        }
    })
    .await
}
