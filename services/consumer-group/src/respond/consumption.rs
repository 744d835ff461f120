//! How the groups of several tasks get on, in short: from the last samples, so that a list of tasks asks NATS nothing.

use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_proto::message::{
    ListConsumptionReply, ListConsumptionRequest, RpcError, TaskConsumption,
};

use super::{check_task_id, database};
use crate::state::State;
use crate::store;
use crate::store::consumption::Consumption;

/// Tasks in a question: the JSON of as many answers stays far below the largest NATS message of 1 MB.
const MAX_TASKS: usize = 200;

pub(super) async fn answer(
    state: State,
    question: ListConsumptionRequest,
) -> Result<ListConsumptionReply, RpcError> {
    let asked = question.task_ids.len();
    if asked > MAX_TASKS {
        let detail = format!("{asked} tasks are more than {MAX_TASKS}");
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
    let found = store::consumption::of_tasks(&state.pool, &question.task_ids);
    Ok(ListConsumptionReply {
        tasks: found
            .await
            .map_err(database)?
            .into_iter()
            .map(told)
            .collect(),
    })
}

fn told(found: Consumption) -> TaskConsumption {
    let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
    TaskConsumption {
        task_id: found.task_id,
        groups: u32::try_from(found.groups).unwrap_or(u32::MAX),
        members: found.members.unwrap_or(-1),
        slowest: found.slowest.unwrap_or_default(),
        delay_seconds: found.delay_seconds.map(unsigned).unwrap_or_default(),
        unread: found.unread.map(unsigned).unwrap_or_default(),
        acknowledged_sequence: found
            .acknowledged_sequence
            .map(unsigned)
            .unwrap_or_default(),
        at: found.at.map(Into::into),
        acknowledged_at: found.acknowledged_at.map(Into::into),
    }
}
