//! An OTLP receiver: what an operator's collector would get.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;

/// A span as it was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The process that made it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its trace.
    pub trace_id: Vec<u8>,
    /// Its id.
    pub span_id: Vec<u8>,
    /// The span it belongs to; empty for the first of a trace.
    pub parent_id: Vec<u8>,
}

type Spans = Arc<Mutex<Vec<Span>>>;

/// Receives spans until the test ends.
#[derive(Debug)]
pub struct TraceReceiver {
    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: String,
    spans: Spans,
    _server: tokio::task::JoinSet<std::io::Result<()>>,
}

impl TraceReceiver {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn start() -> anyhow::Result<Self> {
        let spans = Spans::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::clone(&spans));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let mut server = tokio::task::JoinSet::new();
        server.spawn(std::future::IntoFuture::into_future(axum::serve(
            listener, router,
        )));
        Ok(Self {
            endpoint,
            spans,
            _server: server,
        })
    }

    /// The spans of a trace, as far as they have come.
    #[must_use]
    pub fn trace(&self, trace_id: &str) -> Vec<Span> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans
            .iter()
            .filter(|span| hexadecimal(&span.trace_id) == trace_id)
            .cloned()
            .collect()
    }
}

impl Span {
    /// Whether every span but the first leads to another one of `trace`, or to `caller`.
    #[must_use]
    pub fn are_one_tree(trace: &[Self], caller: &str) -> bool {
        let known: HashSet<&[u8]> = trace.iter().map(|span| span.span_id.as_slice()).collect();
        trace.iter().all(|span| {
            known.contains(span.parent_id.as_slice()) || hexadecimal(&span.parent_id) == caller
        })
    }
}

async fn take(State(spans): State<Spans>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut known = spans.lock().unwrap_or_else(PoisonError::into_inner);
    for resource in request.resource_spans {
        let service = resource
            .resource
            .iter()
            .flat_map(|resource| &resource.attributes)
            .find(|attribute| attribute.key == "service.name")
            .and_then(|attribute| attribute.value.as_ref()?.value.as_ref())
            .and_then(|value| {
                if let Value::StringValue(text) = value {
                    Some(text.clone())
                } else {
                    None
                }
            })
            .unwrap_or_default();
        for span in resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            known.push(Span {
                service: service.clone(),
                name: span.name,
                trace_id: span.trace_id,
                span_id: span.span_id,
                parent_id: span.parent_span_id,
            });
        }
    }
    StatusCode::OK
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
