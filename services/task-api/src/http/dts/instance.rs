//! `CreateDtsInstance` and `RenewInstance`.
//!
//! In DTS an instance is bought first and configured later; here nothing is sold before a precheck has passed. Both
//! stay true: what is ordered too early is kept, costs nothing, and is bought by the `StartDtsJob` whose precheck passes.

use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_domain::{Months, TaskId};
use rowcast_proto::message::InstanceRequest;
use rowcast_proto::rest::{ChargeType, PurchaseTask};
use rowcast_proto::rpc::GetInstance;
use serde::Serialize;

use super::action::unsupported;
use super::answer::Answer;
use super::job::{JOB_TYPE, time};
use super::wording::of_parameters;
use super::{Call, run_job};
use crate::clock;
use crate::error::ApiError;
use crate::http::ASK_TIMEOUT;
use crate::http::body;
use crate::http::purchase_task::{bought, may_be_bought};
use crate::http::query::malformed_parameter;
use crate::http::renew_task::renewed;
use crate::store::kept_order::{self, KeptOrder};

/// Paid by the hour.
pub(super) const POSTPAID: &str = "PostPaid";

/// Paid in advance.
pub(super) const PREPAID: &str = "PrePaid";

const MONTHS: &str = "UsedTime";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ordered<'a> {
    instance_id: &'a str,
    job_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Renewed<'a> {
    instance_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
}

/// Orders an instance, for the task `JobId` or for one that is configured later, and with `AutoStart` starts the task.
pub(super) async fn order(call: &Call<'_>) -> Result<Answer, ApiError> {
    let parameters = call.parameters;
    for (name, only) in [("Type", JOB_TYPE), ("Quantity", "1")] {
        let given = parameters.optional(name);
        if given.is_some_and(|given| !given.eq_ignore_ascii_case(only)) {
            let detail = format!("{name} can only be {only}");
            return Err(unsupported(&detail, name, "Give that, or leave it out."));
        }
    }
    let starts = parameters.flag("AutoStart")? == Some(true);
    let wanted = wanted(call)?;
    let id = match parameters.optional("JobId") {
        Some(id) => {
            let id = body::id("task", id)?;
            of_task(call, &id, wanted, starts).await?;
            id
        }
        None => before_its_task(call, wanted, starts).await?,
    };
    let mut answer = Answer::with(&Ordered {
        instance_id: id.as_str(),
        job_id: id.as_str(),
    })?;
    answer.task = Some(id);
    Ok(answer)
}

/// For a task that is there: bought at once where that is allowed, else kept.
async fn of_task(
    call: &Call<'_>,
    id: &TaskId,
    wanted: PurchaseTask,
    starts: bool,
) -> Result<(), ApiError> {
    let task = call.visible(id).await?;
    if may_be_bought(call.app, id).await.is_ok() {
        let key = call.key.clone();
        let bought = bought(call.app, call.caller, id.clone(), &wanted, key).await;
        bought.map_err(|error| of_parameters(error, &[("months", MONTHS)]))?;
        kept_order::forget(call.app.pool(), id).await?;
    } else {
        has_no_instance(call, id).await?;
        let order = KeptOrder {
            wanted,
            key: call.key.clone(),
            resource_group: None,
        };
        kept_order::keep(call.app.pool(), id, &order, clock::now()).await?;
    }
    match starts {
        true => run_job::run(call, task).await,
        false => Ok(()),
    }
}

/// For a task that `ConfigureSubscription` makes later, under the id that is answered.
async fn before_its_task(
    call: &Call<'_>,
    wanted: PurchaseTask,
    starts: bool,
) -> Result<TaskId, ApiError> {
    if starts {
        let detail = "what is not configured yet cannot be started";
        let instead = "Leave it out, call ConfigureSubscription with the DtsJobId that is \
                       answered, then StartDtsJob.";
        return Err(unsupported(detail, "AutoStart", instead));
    }
    let group = call.parameters.optional("ResourceGroupId");
    let allowed = call.caller.may_give_to(group);
    allowed.map_err(|error| of_parameters(error, &[("resource_group", "ResourceGroupId")]))?;
    let id = TaskId::random();
    let order = KeptOrder {
        wanted,
        key: call.key.clone(),
        resource_group: group.map(str::to_owned),
    };
    kept_order::keep(call.app.pool(), &id, &order, clock::now()).await?;
    Ok(id)
}

/// The order that was given before its task, if the caller sees it.
pub(super) async fn ordered(call: &Call<'_>, id: &TaskId) -> Result<Option<KeptOrder>, ApiError> {
    let kept = kept_order::get(call.app.pool(), id).await?;
    Ok(kept.filter(|kept| call.caller.sees(kept.resource_group.as_deref())))
}

/// Buys what was ordered for a task before it had passed its precheck. Cut off behind the purchase, the next call finds
/// the instance and gives the order up.
pub(super) async fn buy_kept(call: &Call<'_>, id: &TaskId) -> Result<(), ApiError> {
    let Some(kept) = kept_order::get(call.app.pool(), id).await? else {
        return Ok(());
    };
    may_be_bought(call.app, id).await?;
    if !has_instance(call, id).await? {
        bought(call.app, call.caller, id.clone(), &kept.wanted, kept.key).await?;
    }
    Ok(kept_order::forget(call.app.pool(), id).await?)
}

async fn has_instance(call: &Call<'_>, id: &TaskId) -> Result<bool, ApiError> {
    let question = InstanceRequest {
        task_id: id.to_string(),
    };
    let present = ask::<GetInstance>(call.app.bus(), &question, ASK_TIMEOUT).await?;
    Ok(present.instance.is_some())
}

/// An order that is kept is given up where there is an instance: it is not taken then.
async fn has_no_instance(call: &Call<'_>, id: &TaskId) -> Result<(), ApiError> {
    if !has_instance(call, id).await? {
        return Ok(());
    }
    let status = StatusCode::CONFLICT;
    let detail = "the task has an instance already";
    Err(ApiError::refused(status, "instance_present", detail)
        .field("JobId")
        .repair("Call RenewInstance to pay further months of it, or StartDtsJob."))
}

/// What `PayType`, `Period` and `UsedTime` say.
fn wanted(call: &Call<'_>) -> Result<PurchaseTask, ApiError> {
    let parameters = call.parameters;
    let pay_type = parameters.optional("PayType").unwrap_or(POSTPAID);
    if pay_type.eq_ignore_ascii_case(POSTPAID) {
        return Ok(PurchaseTask::BY_THE_HOUR);
    }
    if !pay_type.eq_ignore_ascii_case(PREPAID) {
        let detail = format!("PayType can only be {PREPAID} or {POSTPAID}");
        return Err(unsupported(&detail, "PayType", "Give one of these."));
    }
    let months = months(call, MONTHS)?;
    // Told now and not by the start, for which an order may wait.
    Months::of_purchase(months).map_err(|unsold| {
        let repair = "Give another number, or another Period.";
        malformed_parameter(MONTHS, &unsold.to_string(), repair)
    })?;
    Ok(PurchaseTask {
        charge_type: ChargeType::Subscription,
        months: Some(months),
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
