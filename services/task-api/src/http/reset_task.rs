//! `POST /tasks/{id}/reset`.

use axum::Json;
use axum::extract::State;
use rowcast_domain::TaskEvent;
use rowcast_proto::rest::Task;

use super::body::TaskPath;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::lifecycle::{self, Step};
use crate::state::App;

/// Removes what a started task has made, its stream with all changes included. Then it is `not_started`: all of
/// it can be changed, and it can be prechecked and started again. Instance and groups stay; groups
/// begin with the first change of the next start.
#[utoipa::path(
    post,
    path = "/tasks/{id}/reset",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "The task, resetting", body = Task),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn reset_task(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
) -> Result<Json<Task>, ApiError> {
    let step = Step::requested(TaskEvent::Reset, &caller.actor(), "reset asked for");
    let task = lifecycle::take(&app, &id, step).await?;
    Ok(Json(convert::task(task)))
}
