//! `CreateDtsInstance`, `RenewInstance`, `StartDtsJob`, `SuspendDtsJob`, `ResetDtsJob`, `DeleteDtsJob` and `ModifyDtsJobName`.

use axum::http::StatusCode;
use rowcast_domain::{TaskEvent, TaskState};
use rowcast_proto::rest::{
    ChargeType, CheckOutcome, PatchTask, PurchaseTask, RunPrecheck, StartTask,
};
use serde::Serialize;

use super::Call;
use super::action::unsupported;
use super::answer::Answer;
use super::job::{JOB_TYPE, time};
use super::wording::of_parameters;
use crate::error::ApiError;
use crate::http::IfMatch;
use crate::http::body;
use crate::http::get_task::existing;
use crate::http::purchase_task::{bought, may_be_bought};
use crate::http::query::malformed_parameter;
use crate::http::renew_task::renewed;
use crate::http::run_precheck::prechecked;
use crate::http::start_task::begin;
use crate::lifecycle::{self, Step};
use crate::store::task::StoredTask;
use crate::validate;

/// Paid by the hour.
pub(super) const POSTPAID: &str = "PostPaid";

/// Paid in advance.
pub(super) const PREPAID: &str = "PrePaid";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Renewed<'a> {
    instance_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Bought<'a> {
    instance_id: &'a str,
    job_id: &'a str,
}

/// Buys an instance for the task `JobId`, and with `AutoStart` starts it; one that has not passed its precheck is
/// prechecked first.
///
/// DTS also sells instances before there is a task. Here nothing could be said of such a one.
pub(super) async fn buy(call: &Call<'_>) -> Result<Answer, ApiError> {
    let parameters = call.parameters;
    let Some(id) = parameters.optional("JobId") else {
        let detail = "an instance is bought for a task";
        let instead = "Call ConfigureSubscription first and give its DtsJobId as JobId, or call \
                       POST /api/v1/tasks/{id}/purchase.";
        return Err(unsupported(detail, "JobId", instead));
    };
    let task = call.visible(&body::id("task", id)?).await?;
    for (name, only) in [("Type", JOB_TYPE), ("Quantity", "1")] {
        let given = parameters.optional(name);
        if given.is_some_and(|given| !given.eq_ignore_ascii_case(only)) {
            let detail = format!("{name} can only be {only}");
            return Err(unsupported(&detail, name, "Give that, or leave it out."));
        }
    }
    let starts = parameters.flag("AutoStart")? == Some(true);
    let order = order(call)?;
    let id = task.id.clone();
    let task = checked(call, task).await?;
    may_be_bought(call.app, &task).await?;
    bought(call.app, call.caller, id.clone(), &order, call.key.clone())
        .await
        .map_err(|error| of_parameters(error, &[("months", "UsedTime")]))?;
    if starts {
        begun(call, &task).await?;
    }
    let mut answer = Answer::with(&Bought {
        instance_id: id.as_str(),
        job_id: id.as_str(),
    })?;
    answer.task = Some(id);
    Ok(answer)
}

/// What `PayType`, `Period` and `UsedTime` say.
fn order(call: &Call<'_>) -> Result<PurchaseTask, ApiError> {
    let parameters = call.parameters;
    let pay_type = parameters.optional("PayType").unwrap_or(POSTPAID);
    if pay_type.eq_ignore_ascii_case(POSTPAID) {
        return Ok(PurchaseTask::BY_THE_HOUR);
    }
    if !pay_type.eq_ignore_ascii_case(PREPAID) {
        let detail = format!("PayType can only be {PREPAID} or {POSTPAID}");
        return Err(unsupported(&detail, "PayType", "Give one of these."));
    }
    Ok(PurchaseTask {
        charge_type: ChargeType::Subscription,
        months: Some(months(call, "UsedTime")?),
        auto_renew: false,
    })
}

/// The months that `Period` and a number of it make.
fn months(call: &Call<'_>, number: &str) -> Result<u32, ApiError> {
    let parameters = call.parameters;
    let period = parameters.optional("Period").unwrap_or("Month");
    let months_each = if period.eq_ignore_ascii_case("Month") {
        1
    } else if period.eq_ignore_ascii_case("Year") {
        12
    } else {
        let repair = "Give Month or Year.";
        return Err(malformed_parameter("Period", "is no period", repair));
    };
    let count: u32 = parameters
        .number(number)?
        .ok_or_else(|| malformed_parameter(number, "is missing", "Give it."))?;
    Ok(count.saturating_mul(months_each))
}

/// Pays further months of a task's subscription: `BuyCount` of `Period`.
pub(super) async fn renew(call: &Call<'_>) -> Result<Answer, ApiError> {
    let task = call.task().await?;
    let charge_type = call.parameters.optional("ChargeType").unwrap_or("PREPAY");
    if !charge_type.eq_ignore_ascii_case("PREPAY") {
        let detail = "only what is paid in advance is renewed";
        return Err(unsupported(
            detail,
            "ChargeType",
            "Give PREPAY, or leave it out.",
        ));
    }
    let months = months(call, "BuyCount")?;
    let key = call.key.clone();
    let instance = renewed(call.app, call.caller, task.id.clone(), months, key)
        .await
        .map_err(|error| of_parameters(error, &[("months", "BuyCount")]))?;
    let subscription = instance.subscription;
    Answer::with(&Renewed {
        instance_id: task.id.as_str(),
        end_time: subscription.map(|subscription| time(subscription.expires_at)),
    })
}

/// Starts a task; one that has not passed its precheck is prechecked first, as in DTS.
pub(super) async fn start(call: &Call<'_>) -> Result<Answer, ApiError> {
    let task = checked(call, call.task().await?).await?;
    begun(call, &task).await?;
    Ok(Answer::default())
}

/// A task, once it is prechecked where it has not passed.
async fn checked(call: &Call<'_>, task: StoredTask) -> Result<StoredTask, ApiError> {
    if !matches!(
        task.state,
        TaskState::NotStarted | TaskState::PrecheckFailed
    ) {
        return Ok(task);
    }
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
    existing(call.app, &task.id).await
}

async fn begun(call: &Call<'_>, task: &StoredTask) -> Result<(), ApiError> {
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

/// Releases a task.
pub(super) async fn delete(call: &Call<'_>) -> Result<Answer, ApiError> {
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
