//! `PUT /tasks/{id}/objects`.

use axum::extract::State;
use rowcast_proto::rest::{ChangeObjects, Objects, Task};

use super::body::{self, TaskPath};
use super::tag::{IfMatch, Tagged};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::{convert, lifecycle};

/// Replaces what a task tracks, also while it runs; `objects_since` tells from where on.
#[utoipa::path(
    put,
    path = "/tasks/{id}/objects",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), IfMatch),
    request_body = Objects,
    responses(
        (status = 200, description = "The task", body = Task),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn replace_objects(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    expected: IfMatch,
    body::Json(wanted): body::Json<Objects>,
) -> Result<Tagged<Task>, ApiError> {
    let wanted = ChangeObjects {
        replace: Some(wanted),
        ..ChangeObjects::default()
    };
    let task = lifecycle::change_objects(&app, &caller, &id, &wanted, &expected).await?;
    Ok(Tagged(task.version, convert::task(task)))
}
