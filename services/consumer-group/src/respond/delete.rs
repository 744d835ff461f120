//! Deletes a group and closes its connections. Asked again, it does so again.

use chrono::Utc;
use rowcast_proto::message::{DeleteGroupReply, GroupRequest, RpcError};

use super::{database, find};
use crate::state::State;
use crate::{clearing, removal};

pub(super) async fn answer(
    state: State,
    question: GroupRequest,
) -> Result<DeleteGroupReply, RpcError> {
    let group = find(&state, &question).await?;
    let deleted = removal::mark(&state.pool, &group, Utc::now())
        .await
        .map_err(database)?;
    if deleted {
        tracing::info!(group = %group.id, task = %group.task_id, actor = question.actor, "group deleted");
    }
    // Whoever deletes a group wants its readers gone when the answer comes. Where that fails, it is done soon.
    clearing::cut_off(&state, std::slice::from_ref(&group)).await;
    if let Err(error) = clearing::remove(&state, &group).await {
        tracing::warn!(group = %group.id, task = %group.task_id, error = %error, "group not cleared yet");
    }
    Ok(DeleteGroupReply {})
}
