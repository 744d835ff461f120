//! Table `seen_events`.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnection, PgExecutor};

/// Notes an event; `false` where it was taken before.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    event_id: &str,
    task_id: &str,
    occurred_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO seen_events (event_id, task_id, occurred_at, taken_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(event_id)
    .bind(task_id)
    .bind(occurred_at)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// When the task's next known change of state after this one occurred.
pub(crate) async fn next_change(
    connection: &mut PgConnection,
    event_id: &str,
    task_id: &str,
    occurred_at: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT occurred_at
         FROM seen_events
         WHERE task_id = $1
           AND (occurred_at, event_id) > ($2, $3)
         ORDER BY occurred_at, event_id
         LIMIT 1",
    )
    .bind(task_id)
    .bind(occurred_at)
    .bind(event_id)
    .fetch_optional(connection)
    .await
}

/// Forgets events taken before `before`.
pub(crate) async fn forget(
    executor: impl PgExecutor<'_>,
    before: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM seen_events WHERE taken_at < $1")
        .bind(before)
        .execute(executor)
        .await?;
    Ok(())
}
