//! Tables `prechecks` and `ignored_checks`.

use chrono::{DateTime, Utc};
use rowcast_domain::TaskId;
use rowcast_proto::rest::{CheckItem, Ignored, Precheck};
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;

use super::decoded;

/// Versions of a task and its source that a report speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) task: u64,
    pub(crate) source: u64,
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    task: &TaskId,
    report: &Precheck,
    of: Versions,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO prechecks (id, task_id, report, finished_at, task_version, source_version)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&report.id)
    .bind(task.as_str())
    .bind(Json(report))
    .bind(report.finished_at)
    .bind(decoded(i64::try_from(of.task))?)
    .bind(decoded(i64::try_from(of.source))?)
    .execute(&mut *connection)
    .await?;
    note_last(connection, task, report).await
}

/// What a list tells of a task's last report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastPrecheck {
    pub(crate) passed: bool,
    pub(crate) success_percent: u32,
    pub(crate) finished_at: DateTime<Utc>,
}

/// Writes the short form of the last report, as it is with what is ignored by now, beside the task.
async fn note_last(
    connection: &mut PgConnection,
    task: &TaskId,
    report: &Precheck,
) -> Result<(), sqlx::Error> {
    let mut report = report.clone();
    mark_ignored(&mut *connection, task, &mut report).await?;
    let last = LastPrecheck {
        passed: report.passed,
        success_percent: report.success_percent,
        finished_at: report.finished_at,
    };
    sqlx::query("UPDATE tasks SET last_precheck = $2 WHERE id = $1")
        .bind(task.as_str())
        .bind(Json(last))
        .execute(connection)
        .await?;
    Ok(())
}

/// The report of the last precheck that gave one.
pub(crate) async fn last(
    connection: impl PgExecutor<'_>,
    task: &TaskId,
) -> Result<Option<Precheck>, sqlx::Error> {
    let report: Option<Json<Precheck>> = sqlx::query_scalar(
        "SELECT report FROM prechecks WHERE task_id = $1 ORDER BY finished_at DESC LIMIT 1",
    )
    .bind(task.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(report.map(|report| report.0))
}

/// The last report, if it speaks of these versions.
pub(crate) async fn last_of(
    connection: &mut PgConnection,
    task: &TaskId,
    of: Versions,
) -> Result<Option<Precheck>, sqlx::Error> {
    let last: Option<(Json<Precheck>, Option<i64>, Option<i64>)> = sqlx::query_as(
        "SELECT report, task_version, source_version
         FROM prechecks
         WHERE task_id = $1
         ORDER BY finished_at DESC
         LIMIT 1",
    )
    .bind(task.as_str())
    .fetch_optional(connection)
    .await?;
    let version = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    Ok(last
        .filter(|(_, task, source)| {
            version(*task) == Some(of.task) && version(*source) == Some(of.source)
        })
        .map(|(report, ..)| report.0))
}

/// Writes the short form of the last report anew, once alerts of it are ignored.
pub(crate) async fn note_ignored(
    connection: &mut PgConnection,
    task: &TaskId,
) -> Result<(), sqlx::Error> {
    match last(&mut *connection, task).await? {
        Some(report) => note_last(connection, task, &report).await,
        None => Ok(()),
    }
}

/// Writes down who answers for an alert; who was first stays.
pub(crate) async fn ignore(
    connection: &mut PgConnection,
    task: &TaskId,
    item: &CheckItem,
    ignored: &Ignored,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO ignored_checks (task_id, code, cause, actor, reason, at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING",
    )
    .bind(task.as_str())
    .bind(&item.code)
    .bind(&item.cause)
    .bind(&ignored.by)
    .bind(&ignored.reason)
    .bind(ignored.at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts to each alert of a report who answers for it, and counts what that leaves open.
pub(crate) async fn mark_ignored(
    connection: impl PgExecutor<'_>,
    task: &TaskId,
    report: &mut Precheck,
) -> Result<(), sqlx::Error> {
    let rows: Vec<(String, String, String, String, DateTime<Utc>)> = sqlx::query_as(
        "SELECT code, cause, actor, reason, at FROM ignored_checks WHERE task_id = $1",
    )
    .bind(task.as_str())
    .fetch_all(connection)
    .await?;
    for item in &mut report.items {
        // What was ignored by an older version may be one that must be repaired by now.
        let may_be = item.may_be_ignored();
        let found = rows
            .iter()
            .find(|(code, cause, ..)| may_be && *code == item.code && *cause == item.cause);
        item.ignored = found.map(|(_, _, by, reason, at)| Ignored {
            by: by.clone(),
            reason: reason.clone(),
            at: *at,
        });
    }
    report.count();
    Ok(())
}
