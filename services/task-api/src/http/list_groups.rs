//! `GET /tasks/{id}/groups`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_domain::TaskId;
use rowcast_proto::message::ListGroupsRequest;
use rowcast_proto::rest::GroupList;
use rowcast_proto::rpc::ListGroups;

use super::ASK_TIMEOUT;
use super::body::TaskPath;
use super::get_task::existing;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Lists the consumer groups of a task, oldest first.
#[utoipa::path(
    get,
    path = "/tasks/{id}/groups",
    tag = "groups",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "The groups", body = GroupList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_groups(
    State(app): State<App>,
    TaskPath(id): TaskPath,
) -> Result<Json<GroupList>, ApiError> {
    groups_of(&app, id).await.map(Json)
}

/// The groups of a task.
pub(crate) async fn groups_of(app: &App, id: TaskId) -> Result<GroupList, ApiError> {
    existing(app, &id).await?;
    let question = ListGroupsRequest { task_id: id.into() };
    let answer = ask::<ListGroups>(app.bus(), &question, ASK_TIMEOUT).await?;
    let groups = answer.groups.into_iter().map(convert::group);
    Ok(GroupList {
        groups: groups.collect::<Result<_, _>>()?,
    })
}
