//! How the groups of several tasks get on, in short: from the last samples, and from what NATS told of connections not
//! long ago, so that a list of tasks asks NATS next to nothing.

use std::collections::{BTreeMap, BTreeSet};

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

/// Addresses told of a task.
const MAX_CLIENTS: usize = 20;

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
    let found = found.await.map_err(database)?;
    let mut clients = clients(&state, &question.task_ids).await?;
    let tasks = found.into_iter().map(|found| {
        let clients = clients.remove(&found.task_id).unwrap_or_default();
        told(found, clients)
    });
    Ok(ListConsumptionReply {
        tasks: tasks.collect(),
    })
}

/// Addresses of those that are connected, by task. Where NATS does not tell, there are none: `members` says so.
async fn clients(
    state: &State,
    task_ids: &[String],
) -> Result<BTreeMap<String, BTreeSet<String>>, RpcError> {
    let groups = store::consumption::logins(&state.pool, task_ids);
    let groups = groups.await.map_err(database)?;
    let mut clients: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if groups.is_empty() {
        return Ok(clients);
    }
    let Some(connected) = state.members.recent(&state.system).await else {
        return Ok(clients);
    };
    for (task_id, login) in groups {
        let members = connected.get(&login).into_iter().flatten();
        let of_task = clients.entry(task_id).or_default();
        of_task.extend(members.map(|member| member.address.clone()));
    }
    Ok(clients)
}

fn told(found: Consumption, clients: BTreeSet<String>) -> TaskConsumption {
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
        clients: clients.into_iter().take(MAX_CLIENTS).collect(),
    }
}
