//! Log lines that are about a task, for its users: those with a field `task`, or within a span that has one.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::time::SystemTime;

use opentelemetry::trace::TraceContextExt as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The field that names the task.
const TASK: &str = "task";

/// Most bytes of a text in a line.
const TEXT_MAX: usize = 4096;

/// A line about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: SystemTime,
    /// `info`, `warn` or `error`.
    pub level: &'static str,
    /// What the field `task` says.
    pub task: String,
    /// What happened.
    pub message: String,
    /// The other fields.
    pub fields: BTreeMap<String, String>,
    /// The trace that it belongs to, in hexadecimal; empty for none.
    pub trace_id: String,
}

/// Takes lines; must not wait.
pub type Sink = Box<dyn Fn(Line) + Send + Sync>;

pub(crate) struct TaskLog {
    sink: Sink,
    /// What the service's own crate is called.
    own: String,
}

impl TaskLog {
    pub(crate) fn new(sink: Sink, service: &str) -> Self {
        let own = service.replace('-', "_");
        Self { sink, own }
    }

    /// What libraries say is for whoever runs the service.
    fn is_ours(&self, target: &str) -> bool {
        let name = target.split("::").next().unwrap_or_default();
        name == self.own || name.starts_with("rowcast")
    }
}

/// The task of a span.
struct TaskOf(String);

impl<S> Layer<S> for TaskLog
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut found = Fields::default();
        attributes.record(&mut found);
        if let (Some(task), Some(span)) = (found.task, context.span(id)) {
            span.extensions_mut().insert(TaskOf(task));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            _ => return,
        };
        if !self.is_ours(event.metadata().target()) {
            return;
        }
        let mut found = Fields::default();
        event.record(&mut found);
        let of_span = || {
            let mut spans = context.event_scope(event)?;
            spans.find_map(|span| span.extensions().get::<TaskOf>().map(|task| task.0.clone()))
        };
        let Some(task) = found.task.take().or_else(of_span) else {
            return;
        };
        let current = tracing::Span::current().context();
        let span = current.span();
        let trace = span.span_context();
        (self.sink)(Line {
            at: SystemTime::now(),
            level,
            task,
            message: found.message,
            fields: found.others,
            trace_id: if trace.is_valid() {
                trace.trace_id().to_string()
            } else {
                String::new()
            },
        });
    }
}

/// The fields of an event or a span, as texts.
#[derive(Default)]
struct Fields {
    task: Option<String>,
    message: String,
    others: BTreeMap<String, String>,
}

impl Fields {
    fn take(&mut self, field: &Field, mut text: String) {
        if let Some((end, _)) = text.char_indices().find(|(at, _)| *at >= TEXT_MAX) {
            text.truncate(end);
        }
        match field.name() {
            TASK => self.task = Some(text),
            "message" => self.message = text,
            name => {
                self.others.insert(name.to_owned(), text);
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.take(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // A value that cannot write itself says nothing.
        if write!(text, "{value:?}").is_ok() {
            self.take(field, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn lines(work: impl FnOnce()) -> Vec<Line> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&lines);
        let sink: Sink = Box::new(move |line| taken.lock().unwrap().push(line));
        let subscriber = tracing_subscriber::registry().with(TaskLog::new(sink, "capture"));
        tracing::subscriber::with_default(subscriber, work);
        lines.lock().unwrap().clone()
    }

    #[test]
    fn lines_about_a_task_are_taken_with_their_fields() {
        let taken = lines(|| {
            tracing::info!(task = %"t1", port = 5432, "task {}", "taken");
            tracing::info!("of the process");
            tracing::debug!(task = %"t1", "too small");
            tracing::info!(target: "async_nats", task = %"t1", "of a library");
        });
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert_eq!((&*taken[0].task, taken[0].level), ("t1", "info"));
        assert_eq!(taken[0].message, "task taken");
        let fields = BTreeMap::from([("port".to_owned(), "5432".to_owned())]);
        assert_eq!(taken[0].fields, fields);
    }

    #[test]
    fn a_span_says_what_its_lines_are_about() {
        let taken = lines(|| {
            let span = tracing::info_span!("work", task = %"t2", generation = 3);
            let _in_span = span.enter();
            let inner = tracing::info_span!("step");
            let _in_inner = inner.enter();
            tracing::warn!(slot = "s", "slot lost");
        });
        assert_eq!((&*taken[0].task, taken[0].level), ("t2", "warn"));
        assert_eq!(taken[0].fields.len(), 1, "{taken:?}");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let taken = lines(|| tracing::error!(task = %"t3", "{}", "ü".repeat(TEXT_MAX)));
        assert_eq!(taken[0].message.len(), TEXT_MAX);
    }
}
