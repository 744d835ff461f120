//! `GET /tasks/{id}/precheck`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::TaskId;
use rowcast_proto::rest::Precheck;

use super::body::TaskPath;
use super::get_task::existing;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::precheck;

/// Shows the last report of a task's prechecks.
#[utoipa::path(
    get,
    path = "/tasks/{id}/precheck",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "The report", body = Precheck),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_precheck(
    State(app): State<App>,
    TaskPath(id): TaskPath,
) -> Result<Json<Precheck>, ApiError> {
    existing(&app, &id).await?;
    last_report(&app, &id).await.map(Json)
}

/// The last report, with who ignores which alert.
pub(crate) async fn last_report(app: &App, id: &TaskId) -> Result<Precheck, ApiError> {
    let report = precheck::last(app.pool(), id).await?;
    let mut report = report.ok_or_else(|| {
        let detail = "the task has no report of a precheck";
        ApiError::refused(StatusCode::NOT_FOUND, "precheck_not_found", detail)
            .repair("Run a precheck: POST /api/v1/tasks/{id}/precheck.")
    })?;
    precheck::mark_ignored(app.pool(), id, &mut report).await?;
    Ok(report)
}
