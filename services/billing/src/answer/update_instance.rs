//! Whether a subscription is renewed by itself.

use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_proto::message::{Instance, InstanceState, RpcError, UpdateInstanceRequest};
use sqlx::postgres::PgPool;

use super::renew::ended;
use super::{check_task_id, database, instance_missing, not_a_subscription};
use crate::store::subscription;

pub(super) async fn answer(
    pool: PgPool,
    question: UpdateInstanceRequest,
) -> Result<Instance, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    let mut transaction = pool.begin().await.map_err(database)?;
    let mut instance = subscription::lock(&mut transaction, task_id.as_str())
        .await
        .map_err(database)?
        .ok_or_else(|| instance_missing(&task_id))?;
    if let Some(auto_renew) = question
        .auto_renew
        .filter(|wanted| *wanted != instance.auto_renew)
    {
        if instance.expires_at.is_none() {
            return Err(not_a_subscription(&task_id));
        }
        match instance.state() {
            InstanceState::Ended => return Err(ended(&task_id)),
            // Nothing renews by itself what is expired already: who asks for it would wait in vain.
            InstanceState::Expired if auto_renew => {
                let detail = format!("the subscription of task {task_id} is expired already");
                return Err(refuse::conflict("instance_expired", detail)
                    .field("auto_renew")
                    .repair("renew it first"));
            }
            InstanceState::Expired | InstanceState::Active | InstanceState::Unspecified => {}
        }
        instance = subscription::set_auto_renew(&mut *transaction, task_id.as_str(), auto_renew)
            .await
            .map_err(database)?;
        transaction.commit().await.map_err(database)?;
        tracing::info!(task = %task_id, actor = question.actor, auto_renew, "instance changed");
    }
    instance.to_message().map_err(database)
}
