//! `rowcast task precheck`.

mod progress;

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::FusedFuture as _;
use rowcast_domain::TaskState;
use rowcast_proto::rest::{CheckOutcome, IgnoreChecks, Precheck, RunPrecheck, Task};

use super::wait::Watch;
use crate::api::Api;
use crate::args::precheck::{Ignore, Precheck as Wanted};
use crate::args::{Format, Waiting};
use crate::failure::{Exit, Failure};
use crate::{checks, find, output};

/// How long what is told of a run may come behind its report.
const LAST_WITHIN: Duration = Duration::from_secs(1);

pub(super) async fn run(api: &Api, wanted: Wanted) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let report = if wanted.last {
        api.last_precheck(&task.id).await?
    } else {
        let how = RunPrecheck {
            only_failed: wanted.only_failed,
            only: wanted.only,
        };
        report(api, &task, &how, &wanted.waiting).await?
    };
    show(&report, wanted.shown.output)?;
    verdict(&task, &report)
}

/// Puts on record who answers for alerts of the last report.
pub(super) async fn ignore(api: &Api, wanted: Ignore) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let codes = if wanted.all {
        ignorable(&api.last_precheck(&task.id).await?)
    } else {
        wanted.codes
    };
    if codes.is_empty() {
        let sentence = format!(
            "the last precheck of {} has no open alert that may be ignored",
            task.name
        );
        return Err(Failure::of(Exit::Failed, sentence));
    }
    let body = IgnoreChecks {
        codes,
        by: wanted.by,
        reason: wanted.reason,
    };
    let report = api.ignore_checks(&task.id, &body).await?;
    show(&report, wanted.shown.output)?;
    tell_open(&task, &report);
    Ok(())
}

/// Codes of open alerts that somebody may answer for.
pub(crate) fn ignorable(report: &Precheck) -> Vec<String> {
    let items = report.items.iter();
    let open = items.filter(|item| item.is_open() && item.may_be_ignored());
    open.map(|item| item.code.clone()).collect()
}

fn show(report: &Precheck, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => output::json(report),
        Format::Table => Ok(output::line(checks::in_words("CHECK", &report.items))?),
    }
}

/// A new report.
pub(crate) async fn report(
    api: &Api,
    task: &Task,
    how: &RunPrecheck,
    waiting: &Waiting,
) -> anyhow::Result<Precheck> {
    let runs_already = task.state == TaskState::Prechecking;
    if waiting.wait || (output::is_seen() && !runs_already) {
        watched(api, task, how, &Watch::of(task, waiting)).await
    } else {
        api.precheck(&task.id, how).await
    }
}

/// Runs a precheck, or waits for the one that runs, and tells on the way how far it has come.
async fn watched(
    api: &Api,
    task: &Task,
    how: &RunPrecheck,
    watch: &Watch,
) -> anyhow::Result<Precheck> {
    // An older API tells nothing on the way.
    let events = api.follow_precheck(&task.id).await.ok();
    let report = async {
        if task.state == TaskState::Prechecking {
            ended(api, task, watch).await?;
            api.last_precheck(&task.id).await
        } else {
            api.precheck(&task.id, how).await
        }
    };
    let shown = async {
        if let Some(events) = events {
            progress::show(events, watch).await;
        }
    };
    let mut shown = std::pin::pin!(shown.fuse());
    let mut report = std::pin::pin!(report);
    let report = loop {
        tokio::select! {
            report = &mut report => break report?,
            () = &mut shown, if !shown.is_terminated() => {}
            late = watch.is_late() => return Err(late),
        }
    };
    if !shown.is_terminated() {
        // Its last checks may be on their way; where they are not, the report has them.
        drop(tokio::time::timeout(LAST_WITHIN, shown).await);
    }
    watch.tell(api.task(&task.id).await?.state, None);
    Ok(report)
}

/// Waits until somebody else's precheck has ended.
async fn ended(api: &Api, task: &Task, watch: &Watch) -> anyhow::Result<()> {
    while api.task(&task.id).await?.state == TaskState::Prechecking {
        watch.look_again(TaskState::Prechecking).await?;
    }
    Ok(())
}

/// A report with a failed check is a failure of the command. One with open alerts is none: that they hinder is told.
fn verdict(task: &Task, report: &Precheck) -> anyhow::Result<()> {
    passed(task, report)?;
    tell_open(task, report);
    Ok(())
}

/// Says on standard error what keeps the task from being bought and started.
fn tell_open(task: &Task, report: &Precheck) {
    if report.open_alerts.is_empty() {
        return;
    }
    let name = &task.name;
    let mut sentence = format!(
        "{} % of the checks are passed; {name} is bought and started once these alerts are repaired or ignored: {}",
        report.success_percent,
        report.open_alerts.join(", ")
    );
    let ignorable = ignorable(report);
    if !ignorable.is_empty() {
        let codes = ignorable.join(" ");
        sentence = format!(
            "{sentence}; `rowcast task ignore-alerts {name} {codes} --by NAME --reason WHY` ignores"
        );
    }
    if ignorable.len() < report.open_alerts.len() {
        let mut must = report.open_alerts.clone();
        must.retain(|code| !ignorable.contains(code));
        sentence = format!("{sentence}; must be repaired: {}", must.join(", "));
    }
    output::trouble(sentence);
}

/// Whether nothing failed.
pub(crate) fn passed(task: &Task, report: &Precheck) -> anyhow::Result<()> {
    if report.passed {
        return Ok(());
    }
    let failed = report
        .items
        .iter()
        .filter(|item| item.outcome == CheckOutcome::Fail);
    let sentence = format!(
        "the precheck of {} failed at {} of {} checks: repair them and precheck again",
        task.name,
        failed.count(),
        report.items.len()
    );
    Err(Failure::of(Exit::Failed, sentence))
}
