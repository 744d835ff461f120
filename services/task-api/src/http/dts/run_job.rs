//! `StartDtsJob`, `SuspendDtsJob`, `ResetDtsJob`, `DeleteDtsJob` and `ModifyDtsJobName`.

use axum::http::StatusCode;
use rowcast_domain::{TaskEvent, TaskState};
use rowcast_proto::rest::{CheckOutcome, PatchTask, RunPrecheck, StartTask};

use super::answer::Answer;
use super::wording::of_parameters;
use super::{Call, instance};
use crate::error::ApiError;
use crate::http::IfMatch;
use crate::http::run_precheck::prechecked;
use crate::http::start_task::begin;
use crate::lifecycle::{self, Step};
use crate::store::kept_order;
use crate::store::task::{self, StoredTask};
use crate::validate;

/// Starts a task; one that has not passed its precheck is prechecked first, as in DTS, and what was ordered for it is
/// bought then.
pub(super) async fn start(call: &Call<'_>) -> Result<Answer, ApiError> {
    run(call, call.task().await?).await?;
    Ok(Answer::default())
}

/// Prechecks a task where that is missing, buys what was ordered for it, and makes it run.
pub(super) async fn run(call: &Call<'_>, task: StoredTask) -> Result<(), ApiError> {
    if matches!(
        task.state,
        TaskState::NotStarted | TaskState::PrecheckFailed
    ) {
        let all = RunPrecheck::default();
        let report = prechecked(call.app, call.caller, &task.id, &all).await?;
        if !report.passed {
            let failed = report.items.iter();
            let failed = failed.filter(|item| item.outcome == CheckOutcome::Fail);
            let codes: Vec<&str> = failed.map(|item| item.code.as_str()).collect();
            let detail = format!("the precheck has failed: {}", codes.join(", "));
            let refused = ApiError::refused(StatusCode::CONFLICT, "precheck_failed", detail);
            return Err(refused.repair("DescribePreCheckStatus tells the repair of each."));
        }
    }
    instance::buy_kept(call, &task.id).await?;
    let how = StartTask::default();
    let started = begin(
        call.app,
        call.caller,
        &task.id,
        "StartDtsJob asked for",
        &how,
    );
    started.await.map(|_task| ())
}

/// Suspends a task.
pub(super) async fn suspend(call: &Call<'_>) -> Result<Answer, ApiError> {
    take(call, TaskEvent::Suspend, "SuspendDtsJob asked for").await
}

/// Lets a started task begin anew.
pub(super) async fn reset(call: &Call<'_>) -> Result<Answer, ApiError> {
    take(call, TaskEvent::Reset, "ResetDtsJob asked for").await
}

/// Releases a task; of one that was ordered and never configured, gives the order up.
pub(super) async fn delete(call: &Call<'_>) -> Result<Answer, ApiError> {
    let id = call.parameters.task()?;
    let is_configured = task::get(call.app.pool(), &id).await?.is_some();
    if !is_configured && instance::ordered(call, &id).await?.is_some() {
        kept_order::forget(call.app.pool(), &id).await?;
        return Ok(Answer::default());
    }
    take(call, TaskEvent::Release, "DeleteDtsJob asked for").await
}

async fn take(call: &Call<'_>, event: TaskEvent, reason: &str) -> Result<Answer, ApiError> {
    let task = call.task().await?;
    let step = Step::requested(event, &call.caller.actor(), reason);
    lifecycle::take(call.app, &task.id, step).await?;
    Ok(Answer::default())
}

/// Gives a task another name.
pub(super) async fn rename(call: &Call<'_>) -> Result<Answer, ApiError> {
    let task = call.task().await?;
    let patch = PatchTask {
        name: Some(call.parameters.required("DtsJobName")?.to_owned()),
        ..PatchTask::default()
    };
    validate::task_patch(&patch).map_err(|e| of_parameters(e, &[("name", "DtsJobName")]))?;
    lifecycle::change_task(call.app, call.caller, &task.id, patch, &IfMatch::ANY).await?;
    Ok(Answer::default())
}
