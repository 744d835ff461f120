//! One span a request, below the asker's where it sends a `traceparent`.

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use rowcast_bus::trace_context;
use rowcast_proto::message::TraceContext;
use tracing::Instrument as _;
use tracing::field::Empty;

pub(crate) async fn within_span(request: Request, next: Next) -> Response {
    let method = request.method().as_str();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        url.path = request.uri().path(),
        http.response.status_code = Empty,
    );
    trace_context::continue_from(&span, &incoming(request.headers()));
    async {
        let response = next.run(request).await;
        let status = response.status();
        tracing::Span::current().record("http.response.status_code", status.as_u16());
        tracing::debug!(status = status.as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}

/// The asker's trace (W3C Trace Context); empty where the request has none.
fn incoming(headers: &HeaderMap) -> TraceContext {
    let value = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
            .unwrap_or_default()
    };
    TraceContext {
        traceparent: value("traceparent"),
        tracestate: value("tracestate"),
    }
}
