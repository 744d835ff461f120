//! `GET /tasks/{id}/groups/{gid}/connection`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::rest::GroupConnection;
use rowcast_proto::rpc::GetGroupConnection;

use super::ASK_TIMEOUT;
use super::body::GroupPath;
use super::get_group::question;
use super::get_task::existing;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Tells what a client of the group needs, but for the password.
#[utoipa::path(
    get,
    path = "/tasks/{id}/groups/{gid}/connection",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group")),
    responses(
        (status = 200, description = "How to connect", body = GroupConnection),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_connection(
    State(app): State<App>,
    caller: Caller,
    GroupPath(task, group): GroupPath,
) -> Result<Json<GroupConnection>, ApiError> {
    existing(&app, &task).await?;
    let question = question(&caller, task, group);
    let answer = ask::<GetGroupConnection>(app.bus(), &question, ASK_TIMEOUT).await?;
    Ok(Json(convert::group_connection(answer)?))
}
