//! Pays further months of a subscription. The same order key renews once.

use chrono::Utc;
use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_domain::{Months, TaskId};
use rowcast_proto::message::{Instance, InstanceState, RenewRequest, RpcError};
use sqlx::postgres::PgPool;

use super::{
    check_order_key, check_task_id, database, instance_missing, not_a_subscription, order_key_used,
};
use crate::renew::{Renewal, Renewed, renew};
use crate::store::{order, subscription};

pub(super) async fn answer(pool: PgPool, question: RenewRequest) -> Result<Instance, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    let months = Months::of_renewal(question.months).map_err(|error| {
        refuse::invalid("months_not_sold", error.to_string())
            .field("months")
            .repair("give a number of months from 1 to 60")
    })?;
    check_order_key(&question.order_key)?;
    let mut transaction = pool.begin().await.map_err(database)?;
    let locked = subscription::lock(&mut transaction, task_id.as_str())
        .await
        .map_err(database)?
        .ok_or_else(|| instance_missing(&task_id))?;
    let known = order::with_key(&mut *transaction, &question.order_key)
        .await
        .map_err(database)?;
    if let Some(known) = known {
        let is_this = known.renewal && known.task_id == locked.task_id;
        return if is_this && known.months().map_err(database)? == months.get() {
            locked.to_message().map_err(database)
        } else {
            Err(order_key_used())
        };
    }
    if locked.state() == InstanceState::Ended {
        return Err(ended(&task_id));
    }
    let renewal = Renewal {
        months,
        order_key: &question.order_key,
        actor: &question.actor,
        may_be_past: false,
    };
    let renewed = renew(&mut transaction, &locked, &renewal, Utc::now()).await;
    let instance = match renewed.map_err(database)? {
        Renewed::Instance(instance) => instance.to_message().map_err(database)?,
        Renewed::PaidByTheHour => return Err(not_a_subscription(&task_id)),
        Renewed::OrderKeyUsed => return Err(order_key_used()),
        Renewed::EndsAt(until) => {
            let until = until.map_or_else(|| "never".to_owned(), |until| until.to_rfc3339());
            let detail = format!("{months} further months would end at {until}");
            return Err(refuse::invalid("months_without_use", detail)
                .field("months")
                .repair("give so many months that they end in the future"));
        }
    };
    transaction.commit().await.map_err(database)?;
    Ok(instance)
}

/// Nothing can be done with the instance any more.
pub(super) fn ended(task_id: &TaskId) -> RpcError {
    let detail = format!("the instance of task {task_id} has ended");
    refuse::conflict("instance_ended", detail)
        .field("task_id")
        .repair("create a new task and buy an instance for it")
}
