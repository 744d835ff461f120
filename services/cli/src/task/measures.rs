//! The columns of `rowcast task list --wide`.

use rowcast_proto::rest::{
    Consumption, HeldRange, Instance, PrecheckState, PrecheckSummary, Task, TaskPosition,
};

use crate::table::{or_dash, plain_table, time};
use crate::{output, quantity};

/// How these tasks get on, and how they are paid; a line a task.
pub(super) fn show(tasks: &[Task]) -> anyhow::Result<()> {
    let mut table = plain_table([
        "ID", "NAME", "STATE", "PRECHECK", "ETL", "DELAY", "SPEED", "CPU", "MEMORY", "HELD",
        "GROUPS", "MEMBERS", "CLIENTS", "SLOWEST", "PAID", "ALLOWED",
    ]);
    for task in tasks {
        let position = task.position.as_ref();
        let held = position.and_then(|position| position.held.as_ref());
        let consumption = task.consumption.as_ref();
        let instance = task.instance.as_ref();
        table.add_row([
            task.id.to_string(),
            task.name.clone(),
            task.state.to_string(),
            or_dash(task.precheck.as_ref().map(precheck)),
            or_dash(etl(task).map(str::to_owned)),
            or_dash(position.and_then(delay)),
            or_dash(position.and_then(speed)),
            or_dash(position.and_then(busy)),
            or_dash(position.and_then(memory)),
            or_dash(held.map(range)),
            or_dash(consumption.map(|told| told.groups.to_string())),
            or_dash(consumption.and_then(members)),
            or_dash(consumption.and_then(clients)),
            or_dash(consumption.and_then(slowest)),
            or_dash(instance.map(paid)),
            or_dash(Some(task.allowed.join(", ")).filter(|words| !words.is_empty())),
        ]);
    }
    output::table(&table)
}

/// How the last precheck stands to the task as it is, and its success rate.
pub(super) fn precheck(last: &PrecheckSummary) -> String {
    let state = match last.state {
        PrecheckState::Running => "running",
        PrecheckState::Passed => "passed",
        PrecheckState::Failed => "failed",
        PrecheckState::Outdated => "outdated",
    };
    match last.success_percent {
        Some(percent) => format!("{state}, {percent} %"),
        None => state.to_owned(),
    }
}

/// Whether changes pass through a policy.
pub(super) fn etl(task: &Task) -> Option<&'static str> {
    let applied = task.etl_applied?;
    Some(if applied { "applied" } else { "set" })
}

/// How late changes come.
pub(super) fn delay(position: &TaskPosition) -> Option<String> {
    let late = position.delay_seconds?;
    Some(quantity::seconds(late.into()))
}

/// How fast they come.
pub(super) fn speed(position: &TaskPosition) -> Option<String> {
    let bytes = quantity::bytes(position.bytes_per_second?);
    let messages = position.messages_per_second?;
    Some(format!("{messages:.0}/s, {bytes}/s"))
}

/// How much of a processor they take.
pub(super) fn busy(position: &TaskPosition) -> Option<String> {
    position
        .cpu_percent
        .map(|percent| format!("{percent:.1} %"))
}

/// How much its buffers took.
pub(super) fn memory(position: &TaskPosition) -> Option<String> {
    let bytes = position.memory_bytes?;
    Some(quantity::whole_bytes(bytes))
}

/// From when to when what the stream holds was stored.
pub(super) fn range(held: &HeldRange) -> String {
    format!("{} to {}", time(&held.first_at), time(&held.last_at))
}

/// As in DTS, −1 where nobody can say.
fn members(told: &Consumption) -> Option<String> {
    (told.groups > 0).then(|| told.members.to_string())
}

/// From where its groups are read.
pub(super) fn clients(told: &Consumption) -> Option<String> {
    (!told.clients.is_empty()).then(|| told.clients.join(", "))
}

/// The group that is the furthest behind.
pub(super) fn slowest(told: &Consumption) -> Option<String> {
    let (group, late) = (told.slowest.as_ref()?, told.delay_seconds?);
    let unread = told.unread.unwrap_or_default();
    let late = quantity::seconds(late);
    let at = told.acknowledged_at.as_ref().map(time);
    let at = at.map_or_else(String::new, |at| format!(", at {at}"));
    Some(format!("{group}: {late} behind, {unread} unread{at}"))
}

/// How an instance is paid.
pub(super) fn paid(instance: &Instance) -> String {
    match &instance.subscription {
        None => "by the hour".to_owned(),
        Some(subscription) => format!("until {}", time(&subscription.expires_at)),
    }
}
