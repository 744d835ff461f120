//! W3C trace context in NATS headers and in messages.

use async_nats::HeaderMap;
use opentelemetry::global;
use opentelemetry::propagation::{Extractor, Injector};
use rowcast_proto::message::TraceContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

struct Writer<'a>(&'a mut TraceContext);

impl Injector for Writer<'_> {
    fn set(&mut self, key: &str, value: String) {
        match key {
            TRACEPARENT => self.0.traceparent = value,
            TRACESTATE => self.0.tracestate = value,
            _ => {}
        }
    }
}

struct Reader<'a>(&'a TraceContext);

impl Extractor for Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = match key {
            TRACEPARENT => &self.0.traceparent,
            TRACESTATE => &self.0.tracestate,
            _ => return None,
        };
        (!value.is_empty()).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

/// The context of the current span; empty where traces are off.
#[must_use]
pub fn current() -> TraceContext {
    let mut trace = TraceContext::default();
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Writer(&mut trace));
    });
    trace
}

/// Makes `span` a child of the span that `trace` names. Without one the span begins its own trace.
pub fn continue_from(span: &Span, trace: &TraceContext) {
    let context = global::get_text_map_propagator(|propagator| propagator.extract(&Reader(trace)));
    if let Err(error) = span.set_parent(context) {
        // No OTLP endpoint, or the span is filtered out: there is nothing to continue.
        tracing::trace!(%error, "trace not continued");
    }
}

/// The trace id in `traceparent`: 32 hexadecimal digits.
#[must_use]
pub fn trace_id(trace: &TraceContext) -> Option<&str> {
    trace
        .traceparent
        .split('-')
        .nth(1)
        .filter(|id| id.len() == 32)
}

/// Writes `trace` into message headers.
pub fn write_headers(headers: &mut HeaderMap, trace: &TraceContext) {
    if !trace.traceparent.is_empty() {
        headers.insert(TRACEPARENT, trace.traceparent.as_str());
    }
    if !trace.tracestate.is_empty() {
        headers.insert(TRACESTATE, trace.tracestate.as_str());
    }
}

/// Reads the trace of a message's headers; empty where there is none.
#[must_use]
pub fn read_headers(headers: Option<&HeaderMap>) -> TraceContext {
    let value = |name| {
        headers
            .and_then(|headers| headers.get(name))
            .map(|value| value.as_str().to_owned())
            .unwrap_or_default()
    };
    TraceContext {
        traceparent: value(TRACEPARENT),
        tracestate: value(TRACESTATE),
    }
}
