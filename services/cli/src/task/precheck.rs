//! `rowcast task precheck`.

use rowcast_domain::TaskState;
use rowcast_proto::rest::{CheckOutcome, IgnoreChecks, Precheck, RunPrecheck, Task};

use super::wait::Watch;
use crate::api::Api;
use crate::args::{Format, Waiting, task};
use crate::failure::{Exit, Failure};
use crate::{checks, find, output};

pub(super) async fn run(api: &Api, wanted: task::Precheck) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let report = if wanted.last {
        api.last_precheck(&task.id).await?
    } else {
        let how = RunPrecheck {
            only_failed: wanted.only_failed,
        };
        report(api, &task, &how, &wanted.waiting).await?
    };
    show(&report, wanted.shown.output)?;
    verdict(&task, &report)
}

/// Puts on record who answers for alerts of the last report.
pub(super) async fn ignore(api: &Api, wanted: task::Ignore) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let body = IgnoreChecks {
        codes: wanted.codes,
        by: wanted.by,
        reason: wanted.reason,
    };
    let report = api.ignore_checks(&task.id, &body).await?;
    show(&report, wanted.shown.output)
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
    if waiting.wait {
        watched(api, task, how, Watch::of(task, waiting)).await
    } else {
        api.precheck(&task.id, how).await
    }
}

/// Runs a precheck, or waits for the one that runs, and tells the states on the way.
async fn watched(
    api: &Api,
    task: &Task,
    how: &RunPrecheck,
    mut watch: Watch,
) -> anyhow::Result<Precheck> {
    if task.state == TaskState::Prechecking {
        watch.tell(task.state, None);
        loop {
            watch.look_again(TaskState::Prechecking).await?;
            let now = api.task(&task.id).await?;
            if now.state != TaskState::Prechecking {
                watch.tell(now.state, None);
                return api.last_precheck(&task.id).await;
            }
        }
    }
    let mut running = Box::pin(api.precheck(&task.id, how));
    let report = loop {
        tokio::select! {
            report = &mut running => break report?,
            state = prechecking(api, task, &watch) => watch.tell(state?, None),
        }
    };
    watch.tell(api.task(&task.id).await?.state, None);
    Ok(report)
}

/// The state at the next look.
async fn prechecking(api: &Api, task: &Task, watch: &Watch) -> anyhow::Result<TaskState> {
    watch.look_again(task.state).await?;
    Ok(api.task(&task.id).await?.state)
}

/// A report with a failed check is a failure of the command.
pub(crate) fn verdict(task: &Task, report: &Precheck) -> anyhow::Result<()> {
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
