//! `DELETE /tasks/{id}/groups/{gid}`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::rpc::DeleteGroup;

use super::ASK_TIMEOUT;
use super::body::GroupPath;
use super::get_group::question;
use super::get_task::existing;
use super::tag::IfMatch;
use super::versioned::{self, Thing};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Deletes a consumer group and closes its connections.
#[utoipa::path(
    delete,
    path = "/tasks/{id}/groups/{gid}",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group"), IfMatch),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_group(
    State(app): State<App>,
    caller: Caller,
    GroupPath(task, group): GroupPath,
    expected: IfMatch,
) -> Result<StatusCode, ApiError> {
    let deletion = deleted(&app, &caller, task.clone(), group.clone());
    versioned::deleted(&app, Thing::Group(&task, &group), &expected, deletion).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a group of a task.
pub(crate) async fn deleted(
    app: &App,
    caller: &Caller,
    task: TaskId,
    group: GroupId,
) -> Result<(), ApiError> {
    existing(app, &task).await?;
    ask::<DeleteGroup>(app.bus(), &question(caller, task, group), ASK_TIMEOUT).await?;
    Ok(())
}
