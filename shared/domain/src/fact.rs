//! A fact on its way to the other services.

/// What happened, as it waits in an outbox and as it goes onto the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Unique id of the event.
    pub event_id: String,
    /// Where it is published.
    pub subject: String,
    /// Its body.
    pub payload: Vec<u8>,
    /// Trace of the request that caused it; empty for none.
    pub traceparent: String,
    /// Trace state of that request.
    pub tracestate: String,
}
