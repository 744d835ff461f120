//! The facts that tell of incidents, as entries of the outbox.

use rowcast_bus::{event_meta, publish};
use rowcast_domain::Fact;
use rowcast_proto::event::Event;
use rowcast_proto::message::{EventMeta, IncidentRaised, IncidentResolved, TraceContext};

use crate::incident::Incident;

/// An incident began.
pub(crate) fn raised(incident: Incident, trace: TraceContext) -> Result<Fact, serde_json::Error> {
    fact(trace, |meta| IncidentRaised {
        meta,
        incident: Some(incident.into()),
    })
}

/// An incident ended.
pub(crate) fn resolved(incident: Incident, trace: TraceContext) -> Result<Fact, serde_json::Error> {
    fact(trace, |meta| IncidentResolved {
        meta,
        incident: Some(incident.into()),
    })
}

fn fact<E: Event>(
    trace: TraceContext,
    event: impl FnOnce(Option<EventMeta>) -> E,
) -> Result<Fact, serde_json::Error> {
    let meta = EventMeta {
        trace: Some(trace),
        ..event_meta()
    };
    publish::fact(&event(Some(meta)))
}
