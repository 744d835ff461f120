//! `POST /tasks/{id}/resume`.

use axum::Json;
use axum::extract::State;
use rowcast_proto::rest::{StartTask, Task};

use super::body::{OptionalJson, TaskPath};
use super::start_task::begin;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Starts a suspended or stopped task again where it stood.
#[utoipa::path(
    post,
    path = "/tasks/{id}/resume",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    request_body = Option<StartTask>,
    responses(
        (status = 200, description = "The task, starting", body = Task),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn resume_task(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    OptionalJson(how): OptionalJson<StartTask>,
) -> Result<Json<Task>, ApiError> {
    begin(&app, &caller, &id, "resume asked for", &how)
        .await
        .map(Json)
}
