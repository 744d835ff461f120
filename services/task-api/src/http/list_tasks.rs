//! `GET /tasks`.

use axum::Json;
use axum::extract::State;
use rowcast_proto::rest::TaskList;

use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::task;

/// Lists the tasks, oldest first.
#[utoipa::path(
    get,
    path = "/tasks",
    tag = "tasks",
    responses(
        (status = 200, description = "The tasks", body = TaskList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_tasks(State(app): State<App>) -> Result<Json<TaskList>, ApiError> {
    let stored = task::list(app.pool()).await?;
    let tasks = stored.into_iter().map(convert::task).collect();
    Ok(Json(TaskList { tasks }))
}
