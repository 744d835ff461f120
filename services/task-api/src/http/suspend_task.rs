//! `POST /tasks/{id}/suspend`.

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

/// Suspends a task; its slot stays and keeps the source's WAL.
#[utoipa::path(
    post,
    path = "/tasks/{id}/suspend",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "The task, suspended", body = Task),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn suspend_task(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
) -> Result<Json<Task>, ApiError> {
    let step = Step::requested(TaskEvent::Suspend, &caller.actor(), "suspension asked for");
    let task = lifecycle::take(&app, &id, step).await?;
    Ok(Json(convert::task(task)))
}
