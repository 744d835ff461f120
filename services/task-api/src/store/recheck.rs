//! Table `rechecks`, and when tasks are due.

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_domain::TaskId;
use rowcast_proto::rest::{Precheck, Recheck};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::types::Json;

use super::parsed;

/// A running or suspended task that is due, which nobody else gets before `every` has passed again.
pub(crate) async fn claim(
    pool: &PgPool,
    now: DateTime<Utc>,
    every: TimeDelta,
) -> Result<Option<TaskId>, sqlx::Error> {
    let id: Option<String> = sqlx::query_scalar(
        "UPDATE tasks
         SET recheck_at = $2
         WHERE id = (SELECT id
                     FROM tasks
                     WHERE state IN ('running', 'suspended')
                       AND COALESCE(recheck_at, updated_at + ($2 - $1)) <= $1
                     ORDER BY recheck_at
                     LIMIT 1
                     FOR UPDATE SKIP LOCKED)
         RETURNING id",
    )
    .bind(now)
    .bind(now + every)
    .fetch_optional(pool)
    .await?;
    id.as_deref().map(parsed).transpose()
}

/// The last one of a task.
pub(crate) async fn last(
    connection: &mut PgConnection,
    task: &TaskId,
) -> Result<Option<Recheck>, sqlx::Error> {
    let row: Option<(Json<Precheck>, Json<Vec<String>>)> =
        sqlx::query_as("SELECT report, problems FROM rechecks WHERE task_id = $1")
            .bind(task.as_str())
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|(report, problems)| Recheck {
        report: report.0,
        problems: problems.0,
    }))
}

/// Forgets the last one of a task, and when it is due; answers the problems that it had.
pub(crate) async fn remove(
    connection: &mut PgConnection,
    task: &TaskId,
) -> Result<Vec<String>, sqlx::Error> {
    let problems: Option<Json<Vec<String>>> =
        sqlx::query_scalar("DELETE FROM rechecks WHERE task_id = $1 RETURNING problems")
            .bind(task.as_str())
            .fetch_optional(&mut *connection)
            .await?;
    sqlx::query("UPDATE tasks SET recheck_at = NULL WHERE id = $1")
        .bind(task.as_str())
        .execute(connection)
        .await?;
    Ok(problems.map(|problems| problems.0).unwrap_or_default())
}

/// Puts it in the place of the last one, and says when the task is due again.
pub(crate) async fn replace(
    connection: &mut PgConnection,
    task: &TaskId,
    found: &Recheck,
    due_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO rechecks (task_id, report, problems, checked_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (task_id) DO UPDATE
         SET report = $2, problems = $3, checked_at = $4",
    )
    .bind(task.as_str())
    .bind(Json(&found.report))
    .bind(Json(&found.problems))
    .bind(found.report.finished_at)
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE tasks SET recheck_at = $2 WHERE id = $1")
        .bind(task.as_str())
        .bind(due_at)
        .execute(connection)
        .await?;
    Ok(())
}
