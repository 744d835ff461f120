//! Looks again, while a task runs, at what was prechecked before its start: what has changed on the
//! source or the broker since is told to the others before it stops the task.
//!
//! ```text
//! due task ─▶ precheck ─▶ other than before the start? ─▶ once more, after a while ─▶ rechecks, outbox
//! ```

mod drift;

use std::time::Duration;

use axum::http::StatusCode;
use chrono::TimeDelta;
use rowcast_bus::request::ask;
use rowcast_bus::{event_meta, publish, trace_context};
use rowcast_domain::{TaskCommand, TaskId};
use rowcast_proto::message::{CheckResult, EventMeta, PrecheckRequest, TaskRechecked};
use rowcast_proto::rest::{Precheck, Recheck};
use rowcast_proto::rpc::RunPrecheck;
use rowcast_service::{BoxError, CancellationToken, outbox};
use sqlx::postgres::PgConnection;
use tracing::Instrument as _;

use crate::error::ApiError;
use crate::http::get_task::existing;
use crate::http::{PRECHECK_TIMEOUT, rerun};
use crate::state::App;
use crate::store::task::StoredTask;
use crate::store::{precheck, recheck, source, task};
use crate::{clock, convert};

/// How often due tasks are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A problem that is gone after this time was none: a table that was just created joins within two
/// seconds, a transaction ends.
const CONFIRMED_AFTER: Duration = Duration::from_secs(4);

/// How long the second look may take: whoever has asked for it waits.
const AGAIN_WITHIN: Duration = Duration::from_secs(20);

/// A check that every precheck makes which knows what it is to look at a started task.
const OF_STARTED_TASKS: &str = "publication";

/// A task with a problem is looked at so many times as often: whoever repairs it wants to know.
const SOONER: i32 = 12;

/// Looks at due tasks, one after the other, until told to stop.
///
/// # Errors
/// None: a look that fails is made again when the task is due again.
pub(crate) async fn run(app: App, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        match stop.run_until_cancelled(next(&app)).await {
            Some(Ok(true)) => continue,
            Some(Err(error)) => tracing::warn!(error = %error, "task not rechecked"),
            Some(Ok(false)) | None => {}
        }
        stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await;
    }
    Ok(())
}

/// Whether a task was due.
async fn next(app: &App) -> Result<bool, ApiError> {
    let Some(id) = recheck::claim(app.pool(), clock::now(), app.recheck_every()).await? else {
        return Ok(false);
    };
    let span = tracing::info_span!("recheck", task = %id);
    now(app, &id).instrument(span).await?;
    Ok(true)
}

/// Looks at a started task now.
///
/// # Errors
/// Where there is no such task, it was not started, or precheck does not answer.
pub(crate) async fn now(app: &App, id: &TaskId) -> Result<Recheck, ApiError> {
    let task = existing(app, id).await?;
    ApiError::unless_taken(task.state, TaskCommand::Recheck)?;
    let before = precheck::last(app.pool(), id).await?;
    let mut report = asked(app, &task, Vec::new()).await?;
    knows_started_tasks(&report)?;
    precheck::mark_ignored(app.pool(), id, &mut report).await?;
    let mut problems = drift::problems(&report, before.as_ref());
    if !problems.is_empty() {
        tokio::time::sleep(CONFIRMED_AFTER).await;
        let again = tokio::time::timeout(AGAIN_WITHIN, asked(app, &task, problems)).await;
        // Where it takes too long, the first look counts.
        if let Ok(again) = again {
            report = rerun::join(report, again?);
            precheck::mark_ignored(app.pool(), id, &mut report).await?;
        }
        problems = drift::problems(&report, before.as_ref());
    }
    let found = Recheck { report, problems };
    keep(app, &task, &found).await?;
    Ok(found)
}

/// An older precheck looks at the task as if it were to be started: its slot would seem to be somebody
/// else's.
fn knows_started_tasks(report: &Precheck) -> Result<(), ApiError> {
    let mut items = report.items.iter();
    if items.any(|item| item.code == OF_STARTED_TASKS) {
        return Ok(());
    }
    let detail = "the service precheck is of an older version, which cannot look at a started task";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let refused = ApiError::refused(status, "precheck_outdated", detail);
    Err(refused.repair("Bring precheck to the version of task-api."))
}

async fn asked(app: &App, task: &StoredTask, only: Vec<String>) -> Result<Precheck, ApiError> {
    let definition = task.definition.clone();
    let mut connection = app.pool().acquire().await?;
    let source = source::get(&mut connection, &task.source_id)
        .await?
        .ok_or_else(|| ApiError::not_found("source", task.source_id.as_str()))?;
    drop(connection);
    let question = PrecheckRequest {
        only,
        started: true,
        ..convert::precheck_question(&task.id, definition, source)
    };
    let answer = ask::<RunPrecheck>(app.bus(), &question, PRECHECK_TIMEOUT).await?;
    convert::precheck(answer)
}

/// Stores what was found, and tells it where it is news.
async fn keep(app: &App, task: &StoredTask, found: &Recheck) -> Result<(), ApiError> {
    let mut transaction = app.pool().begin().await?;
    let locked = task::lock(&mut transaction, &task.id)
        .await?
        .ok_or_else(|| ApiError::not_found("task", task.id.as_str()))?;
    if !locked.was_started() || locked.generation != task.generation {
        // It was about what the task is no longer.
        return Ok(());
    }
    let before = recheck::last(&mut transaction, &task.id).await?;
    let every = if found.problems.is_empty() {
        app.recheck_every()
    } else {
        app.recheck_every() / SOONER
    };
    let due_at = clock::now() + every.max(TimeDelta::seconds(1));
    recheck::replace(&mut transaction, &task.id, found, due_at).await?;
    if drift::is_news(found, before.as_ref()) {
        tracing::info!(task = %task.id, problems = ?found.problems, "source or broker has changed");
        let problems = drift::items(found).map(convert::check_result).collect();
        tell(&mut transaction, &locked, problems).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Forgets what was found, and tells that what a task needed matters no more, where others were told of problems: it is reset or released.
///
/// # Errors
/// Those of the database.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    task: &StoredTask,
) -> Result<(), ApiError> {
    let problems = recheck::remove(connection, &task.id).await?;
    if !problems.is_empty() {
        tell(connection, task, Vec::new()).await?;
    }
    Ok(())
}

async fn tell(
    connection: &mut PgConnection,
    task: &StoredTask,
    problems: Vec<CheckResult>,
) -> Result<(), ApiError> {
    let event = TaskRechecked {
        meta: Some(EventMeta {
            trace: Some(trace_context::current()),
            ..event_meta()
        }),
        task_id: task.id.to_string(),
        task_name: task.definition.name.clone(),
        problems,
    };
    let fact =
        publish::fact(&event).map_err(|error| ApiError::Unreadable(format!("event: {error}")))?;
    outbox::append(connection, &fact).await?;
    Ok(())
}
