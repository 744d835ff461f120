//! Tasks that own something on a source, or may still.

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_proto::message::LiveTasks;
use sqlx::PgExecutor;

/// More are not told: the message would grow too large, and who has so many looks for leftovers in another way.
const TOLD: i64 = 10_000;

/// How long what a release removes may still be there.
const REMOVED_WITHIN: TimeDelta = TimeDelta::hours(1);

/// Their ids; `None` where there are too many to be told.
///
/// # Errors
/// Those of the database.
pub(crate) async fn live(
    connection: impl PgExecutor<'_>,
    now: DateTime<Utc>,
) -> Result<Option<LiveTasks>, sqlx::Error> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT id
         FROM tasks
         WHERE state <> 'released'
            OR updated_at > $1
         LIMIT $2",
    )
    .bind(now - REMOVED_WITHIN)
    .bind(TOLD + 1)
    .fetch_all(connection)
    .await?;
    let is_told = i64::try_from(ids.len()).is_ok_and(|count| count <= TOLD);
    Ok(is_told.then_some(LiveTasks { ids }))
}
