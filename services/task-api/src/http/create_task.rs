//! `POST /tasks`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::{TaskEvent, TaskId, TaskState};
use rowcast_proto::rest::{CreateTask, Task};

use super::body;
use super::tag::Tagged;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::lifecycle::{self, Step};
use crate::state::App;
use crate::store::{source, task};
use crate::{clock, convert, validate};

/// Creates a task.
#[utoipa::path(
    post,
    path = "/tasks",
    tag = "tasks",
    request_body = CreateTask,
    responses(
        (status = 201, description = "The task", body = Task),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_task(
    State(app): State<App>,
    caller: Caller,
    body::Json(wanted): body::Json<CreateTask>,
) -> Result<(StatusCode, Tagged<Task>), ApiError> {
    validate::task(&wanted)?;
    caller.may_give_to(wanted.resource_group.as_deref())?;
    created(&app, &caller, wanted, "created").await
}

/// A new task of this definition; `reason` is for its history.
pub(crate) async fn created(
    app: &App,
    caller: &Caller,
    mut wanted: CreateTask,
    reason: &str,
) -> Result<(StatusCode, Tagged<Task>), ApiError> {
    let mut transaction = app.pool().begin().await?;
    let source = source::lock(&mut transaction, &wanted.source_id).await?;
    let seen = source.filter(|source| caller.sees(source.source.resource_group.as_deref()));
    let source = seen.ok_or_else(|| {
        let detail = format!("there is no source {}", wanted.source_id);
        ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, "source_not_found", detail)
            .field("source_id")
            .repair("Register the source first, or list the sources to see their ids.")
    })?;
    wanted.database.get_or_insert(source.source.database);
    let (id, now) = (TaskId::random(), clock::now());
    let created = task::insert(
        &mut transaction,
        &id,
        &wanted,
        TaskState::NotConfigured,
        now,
    )
    .await?;
    let step = Step::requested(TaskEvent::Configured, &caller.actor(), reason);
    let task = lifecycle::apply(&mut transaction, created, step, now).await?;
    transaction.commit().await?;
    Ok((
        StatusCode::CREATED,
        Tagged(task.version, convert::task(task)),
    ))
}
