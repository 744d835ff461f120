//! Deletes a group and closes its connections. Asked again, it does so again.

use chrono::Utc;
use rowcast_proto::message::{DeleteGroupReply, GroupRequest, RpcError};

use super::{database, find};
use crate::state::State;
use crate::{reconcile, removal};

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
    // Whoever deletes a group wants its readers gone when the answer comes. Where that fails, the
    // reconciler does it.
    if let Err(error) = reconcile::remove(&state, &group).await {
        tracing::warn!(group = %group.id, task = %group.task_id, error = %error, "group not cleared yet");
    }
    state.changed.notify_one();
    Ok(DeleteGroupReply {})
}
