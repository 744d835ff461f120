//! Steps of a task's life that the user asks for.

use rowcast_domain::TaskState;
use rowcast_proto::rest::{ReleasePlan, ReleasedKind, StartTask, Task};

use super::removal;
use super::wait::{self, Seen, Watch};
use crate::api::Api;
use crate::args::task::{Begin, Release, Reset, Step};
use crate::args::{Format, Shown, Waiting};
use crate::table::plain_table;
use crate::{confirm, find, output};

pub(super) async fn start(api: &Api, begin: Begin) -> anyhow::Result<()> {
    let task = find::task(api, &begin.task).await?;
    let how = StartTask {
        accept_stop: begin.accept_stop,
    };
    let started = api.start(&task.id, &how).await?;
    arrive(api, started, &begin.waiting, &begin.shown, wait::runs).await
}

pub(super) async fn resume(api: &Api, begin: Begin) -> anyhow::Result<()> {
    let task = find::task(api, &begin.task).await?;
    let how = StartTask {
        accept_stop: begin.accept_stop,
    };
    let resumed = api.resume(&task.id, &how).await?;
    arrive(api, resumed, &begin.waiting, &begin.shown, wait::runs).await
}

pub(super) async fn suspend(api: &Api, step: Step) -> anyhow::Result<()> {
    let task = find::task(api, &step.task).await?;
    let suspended = api.suspend(&task.id).await?;
    arrive(api, suspended, &step.waiting, &step.shown, wait::rests).await
}

pub(super) async fn reset(api: &Api, wanted: Reset) -> anyhow::Result<()> {
    let Reset { step, agreement } = wanted;
    let task = find::task(api, &step.task).await?;
    let deed = format!(
        "reset the task {} ({}): its stream goes with all changes, and what it made on the source",
        task.name, task.id
    );
    confirm::agreed(&deed, agreement.yes)?;
    let reset = api.reset(&task.id).await?;
    arrive(api, reset, &step.waiting, &step.shown, wait::is_reset).await
}

pub(super) async fn release(api: &Api, wanted: Release) -> anyhow::Result<()> {
    let Release {
        step,
        agreement,
        dry_run,
    } = wanted;
    let task = find::task(api, &step.task).await?;
    if dry_run {
        return show_plan(&api.release_plan(&task.id).await?, step.shown.output);
    }
    if task.state != TaskState::Released {
        let deed = format!(
            "release the task {} ({}) with its stream and all its groups",
            task.name, task.id
        );
        confirm::agreed(&deed, agreement.yes)?;
    }
    if !step.waiting.wait {
        let released = api.release(&task.id).await?;
        return tell(&released, &step.shown);
    }
    // Afterwards nobody can tell any more what there was. Where a service that is asked does not answer, nothing is counted.
    let unknown = ReleasePlan { items: Vec::new() };
    let plan = api.release_plan(&task.id).await.unwrap_or(unknown);
    let released = api.release(&task.id).await?;
    let watch = Watch::of(&released, &step.waiting);
    watch.tell(released.state, None);
    tell(
        &removal::follow(api, &released, &plan, &watch).await?,
        &step.shown,
    )
}

fn show_plan(plan: &ReleasePlan, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(plan);
    }
    let mut table = plain_table(["REMOVED", "NAME", "DETAIL"]);
    for item in &plan.items {
        table.add_row([word(item.kind), &item.name, &item.detail]);
    }
    output::table(&table)
}

pub(super) const fn word(kind: ReleasedKind) -> &'static str {
    match kind {
        ReleasedKind::Slot => "slot",
        ReleasedKind::Publication => "publication",
        ReleasedKind::Trigger => "triggers",
        ReleasedKind::Stream => "stream",
        ReleasedKind::Group => "group",
        ReleasedKind::Instance => "instance",
    }
}

/// Waits where the user wants to, and says where the task is.
async fn arrive(
    api: &Api,
    mut task: Task,
    waiting: &Waiting,
    shown: &Shown,
    judge: impl Fn(&Task) -> Seen,
) -> anyhow::Result<()> {
    if waiting.wait {
        let watch = Watch::of(&task, waiting);
        // The look that follows may find it further already.
        watch.tell(task.state, None);
        task = watch.until(api, &task.id, judge).await?;
    }
    tell(&task, shown)
}

/// Says where the task is.
fn tell(task: &Task, shown: &Shown) -> anyhow::Result<()> {
    match shown.output {
        Format::Json => output::json(task),
        Format::Table => Ok(output::line(format_args!(
            "task {} ({}) is {}",
            task.name, task.id, task.state
        ))?),
    }
}
