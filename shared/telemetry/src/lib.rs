//! Logs, traces and metrics of a Rowcast process.
//!
//! Logs go to standard error, one JSON object a line. Traces are sent over OTLP (HTTP, protobuf)
//! where an endpoint is configured. Metrics are rendered on demand for Prometheus.

mod log;
mod metric;
mod task_log;
mod trace;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

pub use log::LogFormat;
pub use metric::Metrics;
pub use task_log::{Line, Sink};

/// How a process tells what it does.
#[derive(Debug, Clone)]
pub struct Options {
    /// The service's name; `service.name` of its spans.
    pub service: &'static str,
    /// Its version; `service.version`.
    pub version: &'static str,
    /// Which lines are written, in the syntax of `RUST_LOG`.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Base URL of an OTLP receiver, as `http://localhost:4318`; no traces where absent.
    pub otlp_endpoint: Option<String>,
}

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log filter is malformed.
    #[error("the log filter is malformed")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The OTLP exporter refused its configuration.
    #[error("the OTLP exporter cannot be built")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Something else has installed itself first.
    #[error("logging is already set up in this process")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
    /// Something else has installed itself first.
    #[error("metrics are already set up in this process")]
    Metrics(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What was set up; must be [shut down](Telemetry::shutdown) or the last spans are lost.
#[derive(Debug)]
pub struct Telemetry {
    /// The process's metrics.
    pub metrics: Metrics,
    tracer: Option<trace::Tracer>,
}

/// Sets up logs, traces and metrics for the whole process.
///
/// `lines` gets what is logged about tasks.
///
/// # Errors
/// Where the options are malformed, or another part of the process was first.
pub fn init(options: &Options, lines: Sink) -> Result<Telemetry, Error> {
    let tracer = match &options.otlp_endpoint {
        Some(endpoint) => Some(trace::Tracer::build(options, endpoint)?),
        None => None,
    };
    let filter = EnvFilter::try_new(&options.filter)?;
    tracing_subscriber::registry()
        .with(tracer.as_ref().map(trace::Tracer::layer))
        .with(task_log::TaskLog::new(lines, options.service).with_filter(LevelFilter::INFO))
        .with(log::layer(options.format, options.service).with_filter(filter))
        .try_init()?;
    let metrics = Metrics::install().map_err(|error| Error::Metrics(Box::new(error)))?;
    Ok(Telemetry { metrics, tracer })
}

impl Telemetry {
    /// Sends what is still buffered. Blocks for at most the exporter's time-out.
    pub fn shutdown(self) {
        if let Some(tracer) = self.tracer {
            tracer.shutdown();
        }
    }
}
