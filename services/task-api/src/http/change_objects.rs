//! `PATCH /tasks/{id}/objects`, `POST /tasks/{id}/objects/preview`.

use axum::Json;
use axum::extract::State;
use rowcast_proto::rest::{ChangeObjects, ObjectsPlan, Task};

use super::body::{self, TaskPath};
use super::get_task::existing;
use super::tag::{IfMatch, Tagged};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::{convert, lifecycle};

/// Changes what a task tracks, also while it runs; `objects_since` tells from where on.
#[utoipa::path(
    patch,
    path = "/tasks/{id}/objects",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), IfMatch),
    request_body = ChangeObjects,
    responses(
        (status = 200, description = "The task", body = Task),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn change_objects(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    expected: IfMatch,
    body::Json(wanted): body::Json<ChangeObjects>,
) -> Result<Tagged<Task>, ApiError> {
    let task = lifecycle::change_objects(&app, &caller, &id, &wanted, &expected).await?;
    Ok(Tagged(task.version, convert::task(task)))
}

/// Shows what a change of a task's objects would do. Nothing is changed.
#[utoipa::path(
    post,
    path = "/tasks/{id}/objects/preview",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    request_body = ChangeObjects,
    responses(
        (status = 200, description = "What would be tracked, and what comes and goes", body = ObjectsPlan),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn preview_objects(
    State(app): State<App>,
    TaskPath(id): TaskPath,
    body::Json(wanted): body::Json<ChangeObjects>,
) -> Result<Json<ObjectsPlan>, ApiError> {
    let task = existing(&app, &id).await?;
    lifecycle::plan_objects(&task, &wanted).map(Json)
}
