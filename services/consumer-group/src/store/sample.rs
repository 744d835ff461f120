//! Table `samples`.

use chrono::{DateTime, Utc};
use rowcast_domain::GroupId;
use sqlx::postgres::PgExecutor;

/// Seconds between two samples.
pub(crate) const EVERY: i64 = 30;

/// Seconds between two samples that are left after a day.
const COARSE: i64 = 300;

/// How it was with a group at a time.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Sample {
    pub(crate) group_id: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) acknowledged_sequence: i64,
    /// When that change was committed; absent where it is not in the stream any more.
    pub(crate) acknowledged_at: Option<DateTime<Utc>>,
    pub(crate) unread: i64,
    pub(crate) in_flight: i64,
    pub(crate) delay_seconds: i64,
    pub(crate) members: Option<i64>,
}

/// Adds samples. One that is there for the same group and time stays.
pub(crate) async fn insert(
    executor: impl PgExecutor<'_>,
    samples: &[Sample],
) -> Result<(), sqlx::Error> {
    let column = |of: fn(&Sample) -> i64| samples.iter().map(of).collect::<Vec<i64>>();
    let is_coarse = samples
        .iter()
        .map(|sample| sample.at.timestamp() % COARSE < EVERY);
    sqlx::query(
        "INSERT INTO samples (group_id, at, is_coarse, acknowledged_sequence, unread, in_flight, delay_seconds, members,
                              acknowledged_at)
         SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::boolean[], $4::bigint[], $5::bigint[], $6::bigint[],
                              $7::bigint[], $8::bigint[], $9::timestamptz[])
         ON CONFLICT (group_id, at) DO NOTHING",
    )
    .bind(samples.iter().map(|sample| &*sample.group_id).collect::<Vec<&str>>())
    .bind(samples.iter().map(|sample| sample.at).collect::<Vec<_>>())
    .bind(is_coarse.collect::<Vec<bool>>())
    .bind(column(|sample| sample.acknowledged_sequence))
    .bind(column(|sample| sample.unread))
    .bind(column(|sample| sample.in_flight))
    .bind(column(|sample| sample.delay_seconds))
    .bind(samples.iter().map(|sample| sample.members).collect::<Vec<_>>())
    .bind(samples.iter().map(|sample| sample.acknowledged_at).collect::<Vec<_>>())
    .execute(executor)
    .await?;
    Ok(())
}

/// Samples of a group in `[since, until)`, at most `points`: the time is cut into so many pieces, and of each the worst
/// is told, with its last position.
pub(crate) async fn of_group(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    points: u32,
) -> Result<Vec<Sample>, sqlx::Error> {
    sqlx::query_as(
        "SELECT $1::text AS group_id,
                max(at) AS at,
                (array_agg(acknowledged_sequence ORDER BY at DESC))[1] AS acknowledged_sequence,
                (array_agg(acknowledged_at ORDER BY at DESC))[1] AS acknowledged_at,
                max(unread) AS unread,
                max(in_flight) AS in_flight,
                max(delay_seconds) AS delay_seconds,
                (array_agg(members ORDER BY at DESC))[1] AS members
         FROM samples
         WHERE group_id = $1
           AND at >= $2
           AND at < $3
         GROUP BY width_bucket(extract(epoch FROM at)::float8, extract(epoch FROM $2)::float8,
                               extract(epoch FROM $3)::float8, $4)
         ORDER BY at",
    )
    .bind(group.as_str())
    .bind(since)
    .bind(until)
    .bind(i32::try_from(points).unwrap_or(i32::MAX))
    .fetch_all(executor)
    .await
}

/// Removes samples after seven days, and after one day all but one of five minutes.
pub(crate) async fn thin(executor: impl PgExecutor<'_>) -> Result<u64, sqlx::Error> {
    let removed = sqlx::query(
        "DELETE FROM samples
         WHERE at < now() - interval '7 days'
            OR (NOT is_coarse AND at < now() - interval '1 day')",
    )
    .execute(executor)
    .await?;
    Ok(removed.rows_affected())
}
