//! Alerts for which the file says who answers.

use anyhow::Context as _;
use rowcast_proto::rest::{IgnoreChecks, Task};

use super::document::{IgnoredEntry, TaskEntry};
use super::plan::{PresentTask, Step};
use crate::api::Api;
use crate::failure::{Exit, Failure};

/// What the file answers for, of the alerts that are open now.
pub(super) fn plan(wanted: &TaskEntry, there: &PresentTask) -> Option<Step> {
    let checks = open(&wanted.ignored_checks, &there.open_alerts);
    (!checks.is_empty()).then(|| Step::IgnoreAlerts {
        task: wanted.name.clone(),
        checks,
    })
}

fn open(declared: &[IgnoredEntry], alerts: &[String]) -> Vec<IgnoredEntry> {
    let is_open = |entry: &&IgnoredEntry| alerts.contains(&entry.code);
    declared.iter().filter(is_open).cloned().collect()
}

/// As `wal_keep, clock`.
pub(super) fn codes(checks: &[IgnoredEntry]) -> String {
    let codes: Vec<&str> = checks.iter().map(|entry| entry.code.as_str()).collect();
    codes.join(", ")
}

/// As ` without alerts of wal_keep`; nothing where there are none.
pub(super) fn left_out(checks: &[IgnoredEntry]) -> String {
    match checks {
        [] => String::new(),
        checks => format!(" without alerts of {}", codes(checks)),
    }
}

/// Alerts of the last precheck that nobody answers for; none where there was no precheck.
pub(super) async fn open_alerts(api: &Api, task: &Task) -> anyhow::Result<Vec<String>> {
    match api.last_precheck(&task.id).await {
        Ok(report) => Ok(report.open_alerts),
        Err(error) if Failure::exit_of(&error) == Exit::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Puts on record who answers for those of these alerts that are open.
pub(super) async fn answer_for(
    api: &Api,
    task: &Task,
    declared: &[IgnoredEntry],
) -> anyhow::Result<()> {
    if declared.is_empty() {
        return Ok(());
    }
    for entry in open(declared, &open_alerts(api, task).await?) {
        let body = IgnoreChecks {
            codes: vec![entry.code.clone()],
            by: entry.by,
            reason: entry.reason,
        };
        let ignored = api.ignore_checks(&task.id, &body).await;
        ignored.with_context(|| format!("the task {}", task.name))?;
    }
    Ok(())
}

/// What somebody answers for now, as a file says it.
pub(crate) async fn declared(api: &Api, task: &Task) -> anyhow::Result<Vec<IgnoredEntry>> {
    let report = match api.last_precheck(&task.id).await {
        Ok(report) => report,
        Err(error) if Failure::exit_of(&error) == Exit::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let entry = |item: rowcast_proto::rest::CheckItem| {
        let ignored = item.ignored?;
        Some(IgnoredEntry {
            code: item.code,
            by: ignored.by,
            reason: ignored.reason,
        })
    };
    Ok(report.items.into_iter().filter_map(entry).collect())
}
