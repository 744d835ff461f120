//! `GET /tasks/{id}/preview`.

use axum::Json;
use axum::extract::State;
use rowcast_proto::rest::TaskPreview;

use super::body::TaskPath;
use super::get_source::{own_source, source_name};
use super::get_task::existing;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::preview::preview;
use crate::state::App;

/// Shows what makes a task of the same configuration: by curl, by the `rowcast` command, and as a file
/// for `rowcast apply`.
#[utoipa::path(
    get,
    path = "/tasks/{id}/preview",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "Each way", body = TaskPreview),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn preview_task(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
) -> Result<Json<TaskPreview>, ApiError> {
    let task = existing(&app, &id).await?;
    let name = source_name(&app, &caller, &task.source_id).await?;
    let own = own_source(&app, &caller, &task.source_id).await?;
    preview(&task.definition, &name, own).map(Json)
}
