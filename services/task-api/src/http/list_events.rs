//! `GET /tasks/{id}/events`.

use axum::Json;
use axum::extract::State;
use rowcast_proto::rest::TaskTransitionList;

use super::body::TaskPath;
use super::get_task::existing;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::transition;

/// Lists what happened to a task, oldest first.
#[utoipa::path(
    get,
    path = "/tasks/{id}/events",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "The steps of its life", body = TaskTransitionList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_events(
    State(app): State<App>,
    TaskPath(id): TaskPath,
) -> Result<Json<TaskTransitionList>, ApiError> {
    existing(&app, &id).await?;
    let events = transition::list(app.pool(), &id).await?;
    Ok(Json(TaskTransitionList { events }))
}
