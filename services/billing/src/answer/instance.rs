//! The instance of a task, and what was bought for it.

use rowcast_proto::message::{InstanceReply, InstanceRequest, RpcError};
use sqlx::postgres::PgPool;

use super::{check_task_id, database};
use crate::store;

pub(super) async fn answer(
    pool: PgPool,
    question: InstanceRequest,
) -> Result<InstanceReply, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    find(&pool, task_id.as_str()).await.map_err(database)
}

async fn find(pool: &PgPool, task_id: &str) -> Result<InstanceReply, sqlx::Error> {
    let Some(instance) = store::instance::of_task(pool, task_id).await? else {
        return Ok(InstanceReply::default());
    };
    let orders = store::order::of_task(pool, task_id).await?;
    Ok(InstanceReply {
        instance: Some(instance.to_message()?),
        orders: orders
            .iter()
            .map(store::order::Order::to_message)
            .collect::<Result<_, _>>()?,
    })
}
