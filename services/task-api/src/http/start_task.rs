//! `POST /tasks/{id}/start`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_domain::{TaskEvent, TaskId};
use rowcast_proto::message::InstanceRequest;
use rowcast_proto::rest::{StartTask, Task};
use rowcast_proto::rpc::GetInstance;

use super::ASK_TIMEOUT;
use super::body::{OptionalJson, TaskPath};
use super::get_task::existing;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::lifecycle::{self, Step};
use crate::state::App;

/// Starts a task that has passed its precheck, with no alert that is neither repaired nor ignored, and has an
/// instance. One that starts or runs already is shown as it is; one that was started before goes on whatever its last
/// precheck has found.
#[utoipa::path(
    post,
    path = "/tasks/{id}/start",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    request_body = Option<StartTask>,
    responses(
        (status = 200, description = "The task, starting", body = Task),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn start_task(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    OptionalJson(how): OptionalJson<StartTask>,
) -> Result<Json<Task>, ApiError> {
    begin(&app, &caller, &id, "start asked for", &how)
        .await
        .map(Json)
}

/// Makes a task run. What the task itself forbids is told before what was not bought.
pub(crate) async fn begin(
    app: &App,
    caller: &Caller,
    id: &TaskId,
    reason: &str,
    how: &StartTask,
) -> Result<Task, ApiError> {
    let task = existing(app, id).await?;
    task.state.transition(TaskEvent::Start)?;
    if let Some(stop) = how.accept_stop {
        lifecycle::may_accept(&task, stop)?;
    }
    let mut connection = app.pool().acquire().await?;
    lifecycle::without_open_alerts(&mut connection, &task).await?;
    drop(connection);
    if TaskEvent::Start.is_done_in(task.state) {
        return Ok(convert::task(task));
    }
    let question = InstanceRequest {
        task_id: id.to_string(),
    };
    let answer = ask::<GetInstance>(app.bus(), &question, ASK_TIMEOUT).await?;
    let Some(instance) = answer.instance else {
        let detail = "the task has no instance";
        return Err(
            ApiError::refused(StatusCode::CONFLICT, "instance_missing", detail)
                .repair("Buy one: POST /api/v1/tasks/{id}/purchase."),
        );
    };
    let instance = convert::known_instance(&instance)?;
    let mut step = Step::requested(TaskEvent::Start, &caller.actor(), reason);
    if let Some(stop) = how.accept_stop {
        step.reason = format!("{reason}, {} accepted", stop.as_str());
        step.accept_stop = Some(stop);
    }
    Ok(convert::task(
        lifecycle::start(app, id, step, &instance).await?,
    ))
}
