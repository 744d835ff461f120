//! Groups that were deleted.

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_domain::GroupId;
use sqlx::{PgConnection, PgExecutor};

/// Longer than the stream of events keeps one.
const KEPT: TimeDelta = TimeDelta::days(14);

/// Remembers that a group was deleted, and forgets those of long ago.
///
/// # Errors
/// Those of the database.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    group: &GroupId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM deleted_groups WHERE deleted_at < $1")
        .bind(now - KEPT)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO deleted_groups (group_id, deleted_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(group.as_str())
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a group was deleted.
///
/// # Errors
/// Those of the database.
pub(crate) async fn contains(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM deleted_groups WHERE group_id = $1)")
        .bind(group.as_str())
        .fetch_one(executor)
        .await
}
