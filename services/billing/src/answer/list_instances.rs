//! The instances of several tasks.

use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_proto::message::{ListInstancesReply, ListInstancesRequest, RpcError};
use sqlx::postgres::PgPool;

use super::{check_task_id, database};
use crate::store;

/// Tasks in a question: the JSON of as many instances stays far below the largest NATS message of 1 MB.
const MAX_TASKS: usize = 200;

pub(super) async fn answer(
    pool: PgPool,
    question: ListInstancesRequest,
) -> Result<ListInstancesReply, RpcError> {
    if question.task_ids.len() > MAX_TASKS {
        let detail = format!(
            "{} tasks are more than {MAX_TASKS}",
            question.task_ids.len()
        );
        return Err(refuse::invalid("too_many_tasks", detail)
            .field("task_ids")
            .repair(format!("ask for at most {MAX_TASKS} tasks at a time")));
    }
    for task_id in &question.task_ids {
        check_task_id(task_id).map_err(|error| RpcError {
            field: "task_ids".to_owned(),
            ..error
        })?;
    }
    let instances = store::instance::of_tasks(&pool, &question.task_ids)
        .await
        .map_err(database)?;
    let instances: Result<_, _> = instances
        .iter()
        .map(store::instance::Instance::to_message)
        .collect();
    Ok(ListInstancesReply {
        instances: instances.map_err(database)?,
    })
}
