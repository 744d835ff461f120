//! The groups of a task.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use rowcast_proto::message::{ListGroupsReply, ListGroupsRequest, RpcError};

use super::{check_task_id, database, with_position};
use crate::state::State;
use crate::store;

/// Positions asked for at a time.
const CONCURRENT: usize = 8;

pub(super) async fn answer(
    state: State,
    question: ListGroupsRequest,
) -> Result<ListGroupsReply, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    let groups = store::group::of_task(&state.pool, &task_id)
        .await
        .map_err(database)?;
    let state = &state;
    let groups = stream::iter(groups)
        .map(|group| async move { with_position(state, &group).await })
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    Ok(ListGroupsReply { groups })
}
