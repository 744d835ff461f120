//! `POST /tasks/{id}/precheck`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_domain::{TaskEvent, TaskId};
use rowcast_proto::message::PrecheckRequest;
use rowcast_proto::rest::{Objects, Precheck};
use rowcast_proto::rpc::RunPrecheck;

use super::PRECHECK_TIMEOUT;
use super::body::TaskPath;
use crate::auth::USER;
use crate::error::{ApiError, ProblemBody};
use crate::lifecycle::{self, Step};
use crate::state::App;
use crate::store::task::StoredTask;
use crate::store::{precheck, source, task};
use crate::{clock, convert};

/// Runs a precheck and answers with its report.
#[utoipa::path(
    post,
    path = "/tasks/{id}/precheck",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "The report", body = Precheck),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn run_precheck(
    State(app): State<App>,
    TaskPath(id): TaskPath,
) -> Result<Json<Precheck>, ApiError> {
    let step = Step::requested(TaskEvent::PrecheckStarted, USER, "precheck asked for");
    let task = lifecycle::take(&app, &id, step).await?;
    let checked = task.definition.objects.clone();
    match report_on(&app, task).await {
        Ok(report) => {
            settle(&app, &id, &report, &checked).await?;
            Ok(Json(report))
        }
        Err(error) => {
            // The task must not wait for a report that never comes.
            let reason = format!("no report: {error}");
            let step = Step::requested(TaskEvent::PrecheckFailed, "service:task-api", &reason);
            lifecycle::take(&app, &id, step).await?;
            Err(error)
        }
    }
}

async fn report_on(app: &App, task: StoredTask) -> Result<Precheck, ApiError> {
    let definition = task.definition;
    let mut connection = app.pool().acquire().await?;
    let source = source::get(&mut connection, &definition.source_id)
        .await?
        .ok_or_else(|| ApiError::not_found("source", definition.source_id.as_str()))?;
    // A precheck takes long; others need the connection meanwhile.
    drop(connection);
    let question = PrecheckRequest {
        task_id: task.id.into(),
        source: Some(convert::connection(source, definition.database)),
        objects: Some(convert::objects(definition.objects)),
        change_types: Some(convert::change_types(&definition.change_types)),
    };
    convert::precheck(ask::<RunPrecheck>(app.bus(), &question, PRECHECK_TIMEOUT).await?)
}

/// Stores the report together with what it means for the task.
async fn settle(
    app: &App,
    id: &TaskId,
    report: &Precheck,
    checked: &Objects,
) -> Result<(), ApiError> {
    let mut transaction = app.pool().begin().await?;
    let locked = task::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("task", id.as_str()))?;
    precheck::insert(&mut transaction, id, report).await?;
    let percent = report.success_percent;
    let (event, reason) = if locked.definition.objects != *checked {
        // The report is about what the task was to track before.
        let reason = "the objects were replaced while the precheck ran".to_owned();
        (TaskEvent::PrecheckFailed, reason)
    } else if report.passed {
        (
            TaskEvent::PrecheckSucceeded,
            format!("precheck passed ({percent} %)"),
        )
    } else {
        (
            TaskEvent::PrecheckFailed,
            format!("precheck found a problem ({percent} %)"),
        )
    };
    let step = Step::requested(event, "service:precheck", &reason);
    lifecycle::apply(&mut transaction, locked, step, clock::now()).await?;
    transaction.commit().await?;
    Ok(())
}
