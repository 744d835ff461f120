//! Tasks in tables.

use rowcast_proto::rest::{Alerting, OnRowError, Packing, Task, TaskPosition};

use super::{measures, selection, wait};
use crate::args::Format;
use crate::table::{description, or_dash, time};
use crate::{output, tags};

/// Everything that is known of a task.
pub(super) fn one(task: &Task, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => output::json(task),
        Format::Table => output::table(&description(members(task))),
    }
}

fn members(task: &Task) -> Vec<(&'static str, String)> {
    let mut members = vec![
        ("id", task.id.to_string()),
        ("name", task.name.clone()),
        ("state", task.state.to_string()),
        ("source", task.source_id.to_string()),
        ("database", task.database.clone()),
        ("tracked", selection::in_words(&task.objects)),
        ("changes", changes(task)),
        ("retried for", format!("{} min", task.retry_minutes)),
        ("kept for", format!("{} h", task.retention.hours)),
        ("partitions", task.partitions.to_string()),
        ("stream", task.stream.clone()),
        ("created", time(&task.created_at)),
    ];
    if task.packing == Packing::Transaction {
        members.push(("packed", "rows of a transaction".to_owned()));
    }
    if !task.format.is_json() {
        members.push(("format", task.format.as_str().to_owned()));
    }
    if let Some(name) = &task.network {
        members.push(("network", name.clone()));
    }
    if let Some(etl) = &task.etl {
        members.push(("etl", etl.script.clone()));
        members.push(("rows it fails on", etl_failures(etl.on_error).to_owned()));
        members.extend(measures::etl(task).map(|word| ("the policy is", word.to_owned())));
    }
    if let Some(alerting) = &task.alerting {
        members.extend(alerts(alerting));
    }
    if !task.tags.is_empty() {
        members.push(("tags", tags::in_words(&task.tags)));
    }
    if let Some(name) = &task.resource_group {
        members.push(("resource group", name.clone()));
    }
    if let Some(position) = &task.position {
        let committed = position.committed_at.as_ref().map(time);
        members.extend([
            ("position", position.position.to_string()),
            ("committed", or_dash(committed)),
            ("published", position.changes.to_string()),
            ("not confirmed", format!("{} bytes", position.lag_bytes)),
            ("reported", time(&position.reported_at)),
        ]);
        members.extend(measured(position));
    }
    members.extend(standing(task));
    members
}

/// How it gets on beside its changes: readers, payment, and what comes next.
fn standing(task: &Task) -> Vec<(&'static str, String)> {
    let mut members = Vec::new();
    if let Some(told) = &task.consumption {
        members.push(("groups", told.groups.to_string()));
        members.extend(measures::clients(told).map(|words| ("clients", words)));
        members.extend(measures::slowest(told).map(|words| ("slowest group", words)));
    }
    if let Some(instance) = &task.instance {
        members.push(("paid", measures::paid(instance)));
    }
    if let Some(last) = &task.precheck {
        members.push(("precheck", measures::precheck(last)));
    }
    if !task.allowed.is_empty() {
        members.push(("allowed now", task.allowed.join(", ")));
    }
    if let Some(step) = &task.step {
        members.push(("at", wait::step(step)));
    }
    if let Some(error) = &task.error {
        members.push(("error", wait::in_words(error)));
    }
    for warning in &task.warnings {
        members.push(("warning", warning.clone()));
    }
    members
}

/// How late and how fast changes come, and what can still be read of them.
fn measured(position: &TaskPosition) -> Vec<(&'static str, String)> {
    let told = [
        ("delay", measures::delay(position)),
        ("speed", measures::speed(position)),
        ("cpu", measures::busy(position)),
        ("memory of buffers", measures::memory(position)),
        ("held", position.held.as_ref().map(measures::range)),
    ];
    told.into_iter()
        .filter_map(|(name, text)| Some((name, text?)))
        .collect()
}

fn alerts(alerting: &Alerting) -> Vec<(&'static str, String)> {
    let seconds = alerting.delay_seconds.iter();
    let delay = seconds.map(|seconds| ("alert where behind", format!("{seconds} s")));
    let contacts = alerting.contacts.iter();
    delay
        .chain(contacts.map(|id| ("tells", id.to_string())))
        .collect()
}

const fn etl_failures(action: OnRowError) -> &'static str {
    match action {
        OnRowError::Park => "are parked",
        OnRowError::Drop => "are left out",
        OnRowError::Stop => "stop the task",
    }
}

fn changes(task: &Task) -> String {
    let mut words: Vec<&str> = task
        .change_types
        .data
        .iter()
        .map(|kind| kind.as_str())
        .collect();
    if task.change_types.schema {
        words.push("schema");
    }
    words.join(", ")
}
