//! `GET /tasks/{id}`.

use axum::extract::State;
use rowcast_domain::TaskId;
use rowcast_proto::rest::Task;

use super::body::TaskPath;
use super::tag::Tagged;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::task::{self, StoredTask};

/// Shows a task.
#[utoipa::path(
    get,
    path = "/tasks/{id}",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "The task", body = Task),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_task(
    State(app): State<App>,
    TaskPath(id): TaskPath,
) -> Result<Tagged<Task>, ApiError> {
    let task = existing(&app, &id).await?;
    Ok(Tagged(task.version, convert::task(task)))
}

/// The task, or a problem that says there is none.
pub(crate) async fn existing(app: &App, id: &TaskId) -> Result<StoredTask, ApiError> {
    let task = task::get(app.pool(), id).await?;
    task.ok_or_else(|| ApiError::not_found("task", id.as_str()))
}
