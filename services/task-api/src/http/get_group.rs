//! `GET /tasks/{id}/groups/{gid}`.

use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::message::GroupRequest;
use rowcast_proto::rest::Group;
use rowcast_proto::rpc::GetGroup;

use super::ASK_TIMEOUT;
use super::body::GroupPath;
use super::get_task::existing;
use super::tag::Tagged;
use super::versioned::{self, Thing};
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Shows a consumer group.
#[utoipa::path(
    get,
    path = "/tasks/{id}/groups/{gid}",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group")),
    responses(
        (status = 200, description = "The group", body = Group),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_group(
    State(app): State<App>,
    caller: Caller,
    GroupPath(task, group): GroupPath,
) -> Result<Tagged<Group>, ApiError> {
    existing(&app, &task).await?;
    let question = question(&caller, task.clone(), group.clone());
    let reading = async {
        let answer = ask::<GetGroup>(app.bus(), &question, ASK_TIMEOUT).await?;
        convert::group(answer)
    };
    versioned::read(&app, Thing::Group(&task, &group), reading).await
}

/// The question about one group.
pub(crate) fn question(caller: &Caller, task: TaskId, group: GroupId) -> GroupRequest {
    GroupRequest {
        task_id: task.into(),
        group_id: group.into(),
        actor: caller.actor(),
    }
}
