//! `POST /tasks/{id}/clone`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_proto::rest::{CloneTask, OWN_TAGS, Task};

use super::body::{self, TaskPath};
use super::create_task::created;
use super::get_task::existing;
use super::tag::Tagged;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::validate;

/// Creates a task with the configuration that another has now, a released one too. It has no instance,
/// no groups, no stream and no history of the other.
#[utoipa::path(
    post,
    path = "/tasks/{id}/clone",
    tag = "tasks",
    params(("id" = String, Path, description = "The task to copy")),
    request_body = CloneTask,
    responses(
        (status = 201, description = "The new task", body = Task, headers(("ETag" = String, description = "The version that is shown"))),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn clone_task(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    body::Json(wanted): body::Json<CloneTask>,
) -> Result<(StatusCode, Tagged<Task>), ApiError> {
    validate::clone(&wanted)?;
    let mut definition = existing(&app, &id).await?.definition;
    definition.name = wanted.name;
    definition
        .tags
        .retain(|key, _value| !key.starts_with(OWN_TAGS));
    created(&app, &caller, definition, &format!("cloned from {id}")).await
}
