//! `POST /tasks/{id}/precheck`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_domain::{TaskEvent, TaskId};
use rowcast_proto::message::PrecheckRequest;
use rowcast_proto::rest::{CreateTask, Precheck, RunPrecheck};
use rowcast_proto::rpc::RunPrecheck as RunChecks;
use uuid::Uuid;

use super::PRECHECK_TIMEOUT;
use super::body::{OptionalJson, TaskPath};
use super::get_task::existing;
use super::rerun;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::lifecycle::{self, Step};
use crate::state::App;
use crate::store::precheck::Versions;
use crate::store::task::StoredTask;
use crate::store::{precheck, source, task};
use crate::{clock, convert};

/// Runs a precheck and answers with its report.
#[utoipa::path(
    post,
    path = "/tasks/{id}/precheck",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    request_body = Option<RunPrecheck>,
    responses(
        (status = 200, description = "The report", body = Precheck),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn run_precheck(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    OptionalJson(how): OptionalJson<RunPrecheck>,
) -> Result<Json<Precheck>, ApiError> {
    prechecked(&app, &caller, &id, &how).await.map(Json)
}

/// The report of a precheck that is run now; it is stored, and the task has the state that it means.
pub(crate) async fn prechecked(
    app: &App,
    caller: &Caller,
    id: &TaskId,
    how: &RunPrecheck,
) -> Result<Precheck, ApiError> {
    let before = Before::of(app, id, how).await?;
    let step = Step::requested(
        TaskEvent::PrecheckStarted,
        &caller.actor(),
        "precheck asked for",
    );
    let task = lifecycle::take(app, id, step).await?;
    let checked = task.definition.clone();
    match report_on(app, task, before).await {
        Ok((mut report, versions)) => {
            precheck::mark_ignored(app.pool(), id, &mut report).await?;
            settle(app, id, &report, versions, &checked).await?;
            Ok(report)
        }
        Err(error) => {
            // The task must not wait for a report that never comes.
            let reason = format!("no report: {error}");
            let step = Step::requested(TaskEvent::PrecheckFailed, "service:task-api", &reason);
            lifecycle::take(app, id, step).await?;
            Err(error)
        }
    }
}

/// The last report, of which only a part is to be run again.
struct Before {
    /// Of what it speaks.
    versions: Versions,
    report: Precheck,
    /// Codes of that part.
    only: Vec<String>,
}

impl Before {
    /// `None` where all is to be run.
    ///
    /// # Errors
    /// Where there is no report on the task and the source as they are, or it has no such check.
    async fn of(app: &App, id: &TaskId, how: &RunPrecheck) -> Result<Option<Self>, ApiError> {
        let field = match (how.only_failed, how.only.is_empty()) {
            (false, true) => return Ok(None),
            (true, true) => "only_failed",
            (false, false) => "only",
            (true, false) => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                let detail = "only_failed and only are two answers to one question";
                let refused = ApiError::refused(status, "invalid_body", detail);
                return Err(refused.field("only").repair("Give one of them."));
            }
        };
        let task = existing(app, id).await?;
        let mut connection = app.pool().acquire().await?;
        let source = source::present(&mut connection, &task.source_id).await?;
        let versions = Versions {
            task: task.version,
            source: source.map_or(0, |source| source.version),
        };
        let Some(mut report) = precheck::last_of(&mut connection, id, versions).await? else {
            let detail = "there is no report on the task and the source as they are now";
            let refused = ApiError::refused(StatusCode::CONFLICT, "precheck_outdated", detail);
            let repair = format!("Run all checks: leave {field} out.");
            return Err(refused.field(field).repair(repair));
        };
        precheck::mark_ignored(&mut *connection, id, &mut report).await?;
        let only = if how.only_failed {
            rerun::codes(&report)
        } else {
            known(&report, &how.only)?
        };
        Ok(Some(Self {
            versions,
            report,
            only,
        }))
    }
}

/// These codes, each of which the report has.
fn known(report: &Precheck, wanted: &[String]) -> Result<Vec<String>, ApiError> {
    let has = |code: &String| report.items.iter().any(|item| item.code == *code);
    let Some(unknown) = wanted.iter().find(|code| !has(code)) else {
        return Ok(wanted.to_vec());
    };
    let codes: Vec<&str> = report.items.iter().map(|item| item.code.as_str()).collect();
    let detail = format!("the last precheck has no check {unknown:?}");
    let refused = ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, "check_unknown", detail);
    let repair = format!(
        "Give some of these, or leave only out: {}.",
        codes.join(", ")
    );
    Err(refused.field("only").repair(repair))
}

async fn report_on(
    app: &App,
    task: StoredTask,
    before: Option<Before>,
) -> Result<(Precheck, Versions), ApiError> {
    let was_started = task.was_started();
    let definition = task.definition;
    let mut connection = app.pool().acquire().await?;
    let source = source::get(&mut connection, &task.source_id)
        .await?
        .ok_or_else(|| ApiError::not_found("source", task.source_id.as_str()))?;
    let live_tasks = task::live(&mut *connection, clock::now()).await?;
    // A precheck takes long; others need the connection meanwhile.
    drop(connection);
    let versions = Versions {
        task: task.version,
        source: source.version,
    };
    // What has changed since that report was looked up is looked at as a whole.
    let before = before.filter(|before| before.versions == versions);
    let only = before.as_ref().map(|before| before.only.clone());
    let retention = convert::retention(&definition.retention);
    let question = PrecheckRequest {
        // A task that was started has its stream.
        retention: (!was_started).then_some(retention),
        run: Uuid::now_v7().to_string(),
        live_tasks,
        only: only.unwrap_or_default(),
        ..convert::precheck_question(&task.id, definition, source)
    };
    let answer = ask::<RunChecks>(app.bus(), &question, PRECHECK_TIMEOUT).await?;
    let report = convert::precheck(answer)?;
    let report = match before {
        Some(before) => rerun::join(before.report, report),
        None => report,
    };
    Ok((report, versions))
}

/// Stores the report together with what it means for the task.
async fn settle(
    app: &App,
    id: &TaskId,
    report: &Precheck,
    versions: Versions,
    checked: &CreateTask,
) -> Result<(), ApiError> {
    let mut transaction = app.pool().begin().await?;
    let locked = task::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("task", id.as_str()))?;
    let source = source::present(&mut transaction, &locked.source_id).await?;
    precheck::insert(&mut transaction, id, report, versions).await?;
    let percent = report.success_percent;
    let open = match report.open_alerts.as_slice() {
        [] => String::new(),
        open => format!(", open alerts: {}", open.join(", ")),
    };
    let (event, reason) = if locked.definition.change_types != checked.change_types {
        let reason = "the change types were changed while the precheck ran".to_owned();
        (TaskEvent::PrecheckFailed, reason)
    } else if locked.definition.etl != checked.etl {
        let reason = "the ETL policy was changed while the precheck ran".to_owned();
        (TaskEvent::PrecheckFailed, reason)
    } else if locked.definition.retention.max_bytes != checked.retention.max_bytes {
        let reason = "the retention was changed while the precheck ran".to_owned();
        (TaskEvent::PrecheckFailed, reason)
    } else if locked.definition.objects != checked.objects {
        // The report is about what the task was to track before.
        let reason = "the objects were replaced while the precheck ran".to_owned();
        (TaskEvent::PrecheckFailed, reason)
    } else if source.is_none_or(|source| source.version != versions.source) {
        let reason = "the source was changed while the precheck ran".to_owned();
        (TaskEvent::PrecheckFailed, reason)
    } else if report.passed {
        (
            TaskEvent::PrecheckSucceeded,
            format!("precheck passed ({percent} %{open})"),
        )
    } else {
        (
            TaskEvent::PrecheckFailed,
            format!("precheck found a problem ({percent} %{open})"),
        )
    };
    let step = Step::requested(event, "service:precheck", &reason);
    lifecycle::apply(&mut transaction, locked, step, clock::now()).await?;
    transaction.commit().await?;
    Ok(())
}
