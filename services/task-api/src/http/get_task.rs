//! `GET /tasks/{id}`.

use axum::extract::State;
use rowcast_domain::TaskId;
use rowcast_proto::rest::Task;
use serde::Deserialize;
use utoipa::IntoParams;

use super::beside::Beside;
use super::body::TaskPath;
use super::query::Params;
use super::tag::Tagged;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::task::{self, StoredTask};

/// What is shown of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// What other services know of it, with commas between: `instance`, `consumption`. What does not answer is left out.
    with: Option<String>,
}

/// Shows a task.
#[utoipa::path(
    get,
    path = "/tasks/{id}",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), Wanted),
    responses(
        (status = 200, description = "The task", body = Task),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_task(
    State(app): State<App>,
    TaskPath(id): TaskPath,
    Params(wanted): Params<Wanted>,
) -> Result<Tagged<Task>, ApiError> {
    let beside = Beside::read(wanted.with.as_deref())?;
    let stored = existing(&app, &id).await?;
    let version = stored.version;
    let mut task = convert::task(stored);
    beside.add(&app, std::slice::from_mut(&mut task)).await;
    Ok(Tagged(version, task))
}

/// The task, or a problem that says there is none.
pub(crate) async fn existing(app: &App, id: &TaskId) -> Result<StoredTask, ApiError> {
    let task = task::get(app.pool(), id).await?;
    task.ok_or_else(|| ApiError::not_found("task", id.as_str()))
}
