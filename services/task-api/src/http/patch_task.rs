//! `PATCH /tasks/{id}`.

use axum::extract::State;
use rowcast_proto::rest::{PatchTask, Task};

use super::body::{self, TaskPath};
use super::contacts;
use super::get_task::existing;
use super::tag::{IfMatch, Tagged};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::{convert, lifecycle, validate};

/// Changes a task, also while it runs. Its objects have a route of their own.
#[utoipa::path(
    patch,
    path = "/tasks/{id}",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), IfMatch),
    request_body = PatchTask,
    responses(
        (status = 200, description = "The task", body = Task),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn patch_task(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    expected: IfMatch,
    body::Json(wanted): body::Json<PatchTask>,
) -> Result<Tagged<Task>, ApiError> {
    validate::task_patch(&wanted)?;
    if let Some(group) = &wanted.resource_group {
        caller.may_give_to(Some(group))?;
    }
    if wanted.alerting.is_some() {
        let present = existing(&app, &id).await?.definition.alerting;
        let present = present.unwrap_or_default().contacts;
        contacts::are_there(&app, &caller, wanted.alerting.as_ref(), &present).await?;
    }
    let task = lifecycle::change_task(&app, &caller, &id, wanted, &expected).await?;
    Ok(Tagged(task.version, convert::task(task)))
}
