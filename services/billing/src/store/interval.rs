//! Table `intervals`.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnection, PgExecutor};

use crate::meter::Interval;

/// Ends at `at` what lasts over it, and removes what begins there.
pub(crate) async fn cut(
    connection: &mut PgConnection,
    task_id: &str,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM intervals WHERE task_id = $1 AND started_at = $2")
        .bind(task_id)
        .bind(at)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE intervals
         SET ended_at = $2
         WHERE task_id = $1
           AND started_at < $2
           AND (ended_at IS NULL OR ended_at > $2)",
    )
    .bind(task_id)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds one.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    task_id: &str,
    interval: Interval,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO intervals (task_id, started_at, ended_at) VALUES ($1, $2, $3)")
        .bind(task_id)
        .bind(interval.started_at)
        .bind(interval.ended_at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Those that reach into `from..until`.
pub(crate) async fn between(
    executor: impl PgExecutor<'_>,
    task_id: &str,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<Interval>, sqlx::Error> {
    sqlx::query_as(
        "SELECT started_at, ended_at
         FROM intervals
         WHERE task_id = $1
           AND started_at < $3
           AND (ended_at IS NULL OR ended_at > $2)
         ORDER BY started_at",
    )
    .bind(task_id)
    .bind(from)
    .bind(until)
    .fetch_all(executor)
    .await
}
