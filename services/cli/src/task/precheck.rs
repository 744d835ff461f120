//! `rowcast task precheck`.

use rowcast_domain::TaskState;
use rowcast_proto::rest::{CheckOutcome, Precheck, Task};

use super::wait::Watch;
use crate::api::Api;
use crate::args::{Format, Waiting, task};
use crate::failure::{Exit, Failure};
use crate::table::plain_table;
use crate::{find, output};

pub(super) async fn run(api: &Api, wanted: task::Precheck) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let report = if wanted.last {
        api.last_precheck(&task.id).await?
    } else {
        report(api, &task, &wanted.waiting).await?
    };
    match wanted.shown.output {
        Format::Json => output::json(&report)?,
        Format::Table => output::line(table(&report))?,
    }
    verdict(&task, &report)
}

/// A new report.
pub(crate) async fn report(api: &Api, task: &Task, waiting: &Waiting) -> anyhow::Result<Precheck> {
    if waiting.wait {
        watched(api, task, Watch::of(task, waiting)).await
    } else {
        api.precheck(&task.id).await
    }
}

/// Runs a precheck, or waits for the one that runs, and tells the states on the way.
async fn watched(api: &Api, task: &Task, mut watch: Watch) -> anyhow::Result<Precheck> {
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
    let mut running = Box::pin(api.precheck(&task.id));
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

fn table(report: &Precheck) -> String {
    let mut checks = plain_table(["CHECK", "RESULT", "SAW"]);
    for item in &report.items {
        checks.add_row([item.title.as_str(), word(item.outcome), item.saw.as_str()]);
    }
    let problems = report
        .items
        .iter()
        .filter(|item| matches!(item.outcome, CheckOutcome::Fail | CheckOutcome::Alert))
        .map(|item| {
            format!(
                "\n\n{}: {}\n  repair: {}",
                item.title,
                item.cause,
                item.repair.replace('\n', "\n  ")
            )
        });
    format!(
        "{}{}",
        output::in_lines(&checks),
        problems.collect::<String>()
    )
}

const fn word(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Pass => "pass",
        CheckOutcome::Alert => "alert",
        CheckOutcome::Fail => "fail",
        CheckOutcome::Skipped => "skipped",
    }
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
