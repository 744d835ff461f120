//! Ids of events that were taken.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// The stream of events keeps them for seven days, so that an older one cannot come again.
const KEPT: TimeDelta = TimeDelta::days(14);

/// Notes an event; `false` where it was noted before. Forgets those too old to come again.
///
/// # Errors
/// Those of the database.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    event_id: &str,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    sqlx::query("DELETE FROM seen_events WHERE seen_at < $1")
        .bind(now - KEPT)
        .execute(&mut *connection)
        .await?;
    let inserted = sqlx::query(
        "INSERT INTO seen_events (event_id, seen_at)
         VALUES ($1, $2)
         ON CONFLICT DO NOTHING",
    )
    .bind(event_id)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}
