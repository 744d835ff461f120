//! Table `released_tasks`: whose groups are deleted, and get no other.

use rowcast_domain::TaskId;
use sqlx::postgres::PgExecutor;

/// Notes that a task is released; again, that it is still to be remembered.
pub(crate) async fn note(executor: impl PgExecutor<'_>, task: &TaskId) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO released_tasks (task_id) VALUES ($1)
         ON CONFLICT (task_id) DO UPDATE SET released_at = now()",
    )
    .bind(task.as_str())
    .execute(executor)
    .await?;
    Ok(())
}

/// Whether a task is known to be released.
pub(crate) async fn is(executor: impl PgExecutor<'_>, task: &TaskId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM released_tasks WHERE task_id = $1)")
        .bind(task.as_str())
        .fetch_one(executor)
        .await
}

/// Forgets those that were released more than 30 days ago: nobody asks for a group of them any more.
pub(crate) async fn forget(executor: impl PgExecutor<'_>) -> Result<u64, sqlx::Error> {
    let forgotten =
        sqlx::query("DELETE FROM released_tasks WHERE released_at < now() - interval '30 days'")
            .execute(executor)
            .await?;
    Ok(forgotten.rows_affected())
}
