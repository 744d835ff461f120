//! `POST /tasks/{id}/recheck`, `GET /tasks/{id}/recheck`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rowcast_proto::rest::Recheck;

use super::body::TaskPath;
use super::get_task::existing;
use crate::error::{ApiError, ProblemBody};
use crate::recheck;
use crate::state::App;
use crate::store;

/// Looks now at what was prechecked before the task's start. It is looked at by itself too, from time to
/// time.
#[utoipa::path(
    post,
    path = "/tasks/{id}/recheck",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "What was found", body = Recheck),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn recheck_task(
    State(app): State<App>,
    TaskPath(id): TaskPath,
) -> Result<Json<Recheck>, ApiError> {
    recheck::now(&app, &id).await.map(Json)
}

/// Shows what was found when a started task was last looked at.
#[utoipa::path(
    get,
    path = "/tasks/{id}/recheck",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "What was found", body = Recheck),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_recheck(
    State(app): State<App>,
    TaskPath(id): TaskPath,
) -> Result<Json<Recheck>, ApiError> {
    existing(&app, &id).await?;
    let mut connection = app.pool().acquire().await?;
    let found = store::recheck::last(&mut connection, &id).await?;
    let found = found.ok_or_else(|| {
        let detail = "the task was not looked at since its start";
        ApiError::refused(StatusCode::NOT_FOUND, "recheck_not_found", detail)
            .repair("Look now: POST /api/v1/tasks/{id}/recheck.")
    })?;
    Ok(Json(found))
}
