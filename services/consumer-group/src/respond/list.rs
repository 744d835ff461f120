//! The groups of a task.

use rowcast_proto::message::{ListGroupsReply, ListGroupsRequest, RpcError};

use super::{all_shown, check_task_id, database};
use crate::state::State;
use crate::store;

pub(super) async fn answer(
    state: State,
    question: ListGroupsRequest,
) -> Result<ListGroupsReply, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    let groups = store::group::of_task(&state.pool, &task_id)
        .await
        .map_err(database)?;
    let groups = all_shown(&state, &task_id, &groups).await?;
    Ok(ListGroupsReply { groups })
}
