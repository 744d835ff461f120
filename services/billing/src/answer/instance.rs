//! The instance of a task.

use rowcast_proto::message::{InstanceReply, InstanceRequest, RpcError};
use sqlx::postgres::PgPool;

use super::{check_task_id, database};
use crate::store;

pub(super) async fn answer(
    pool: PgPool,
    question: InstanceRequest,
) -> Result<InstanceReply, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    let instance = store::instance::of_task(&pool, task_id.as_str())
        .await
        .map_err(database)?
        .map(|instance| instance.to_message())
        .transpose()
        .map_err(database)?;
    Ok(InstanceReply { instance })
}
