//! The facts that tell of incidents, as entries of the outbox.

use rowcast_bus::event_meta;
use rowcast_proto::event::Event;
use rowcast_proto::message::{EventMeta, IncidentRaised, IncidentResolved, TraceContext};
use rowcast_service::outbox::Entry;

use crate::incident::Incident;

/// An incident began.
pub(crate) fn raised(incident: Incident, trace: TraceContext) -> Result<Entry, serde_json::Error> {
    entry(trace, |meta| IncidentRaised {
        meta,
        incident: Some(incident.into()),
    })
}

/// An incident ended.
pub(crate) fn resolved(
    incident: Incident,
    trace: TraceContext,
) -> Result<Entry, serde_json::Error> {
    entry(trace, |meta| IncidentResolved {
        meta,
        incident: Some(incident.into()),
    })
}

fn entry<E: Event>(
    trace: TraceContext,
    event: impl FnOnce(Option<EventMeta>) -> E,
) -> Result<Entry, serde_json::Error> {
    let meta = EventMeta {
        trace: Some(trace.clone()),
        ..event_meta()
    };
    Ok(Entry {
        event_id: meta.id.clone(),
        subject: E::SUBJECT.to_owned(),
        payload: serde_json::to_vec(&event(Some(meta)))?,
        traceparent: trace.traceparent,
        tracestate: trace.tracestate,
    })
}
