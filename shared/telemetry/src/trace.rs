//! Spans to an OTLP receiver, and the trace id in log lines.

use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Event, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::{Error, Options};

#[derive(Debug)]
pub(crate) struct Tracer {
    provider: SdkTracerProvider,
}

impl Tracer {
    pub(crate) fn build(options: &Options, endpoint: &str) -> Result<Self, Error> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()?;
        let resource = Resource::builder()
            .with_service_name(options.service)
            .with_attribute(KeyValue::new("service.version", options.version))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(Self { provider })
    }

    pub(crate) fn layer<S>(&self) -> OpenTelemetryLayer<S, opentelemetry_sdk::trace::Tracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_tracer(self.provider.tracer("rowcast"))
    }

    pub(crate) fn shutdown(self) {
        if let Err(error) = self.provider.shutdown() {
            // The log outlives the exporter; this is the last chance to say that spans are missing.
            tracing::warn!(%error, "could not send the last spans");
        }
    }
}

/// A log format that adds `service` and `trace_id` to each JSON line.
pub(crate) struct WithTraceId<F> {
    inner: F,
    service: &'static str,
}

impl<F> WithTraceId<F> {
    pub(crate) const fn new(inner: F, service: &'static str) -> Self {
        Self { inner, service }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithTraceId<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut line = String::new();
        self.inner
            .format_event(context, Writer::new(&mut line), event)?;
        let Some(rest) = line.strip_prefix('{') else {
            return writer.write_str(&line);
        };
        write!(writer, "{{\"service\":\"{}\",", self.service)?;
        let current = tracing::Span::current().context();
        let span = current.span();
        if span.span_context().is_valid() {
            write!(
                writer,
                "\"trace_id\":\"{}\",",
                span.span_context().trace_id()
            )?;
        }
        writer.write_str(rest)
    }
}
