//! `POST /tasks/{id}/groups/{gid}/skip`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::message::SkipChangeRequest;
use rowcast_proto::rest::{Group, SkipChange};
use rowcast_proto::rpc;

use super::MOVE_TIMEOUT;
use super::body::{self, GroupPath};
use super::get_task::existing;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Puts away, as a dead letter, the change that an ordered group, or a partition of a keyed one, is to acknowledge next, so
/// that it goes on behind it. Members are cut off for some seconds.
#[utoipa::path(
    post,
    path = "/tasks/{id}/groups/{gid}/skip",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group")),
    request_body = SkipChange,
    responses(
        (status = 200, description = "The group behind the change", body = Group),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn skip_change(
    State(app): State<App>,
    caller: Caller,
    GroupPath(task, group): GroupPath,
    body::Json(wanted): body::Json<SkipChange>,
) -> Result<Json<Group>, ApiError> {
    existing(&app, &task).await?;
    let question = SkipChangeRequest {
        task_id: task.into(),
        group_id: group.into(),
        actor: caller.actor(),
        sequence: wanted.sequence,
        reason: wanted.reason.unwrap_or_default(),
    };
    let group = ask::<rpc::SkipChange>(app.bus(), &question, MOVE_TIMEOUT).await?;
    Ok(Json(convert::group(group)?))
}
