//! Table `waiting_letters`.

use rowcast_domain::GroupId;
use rowcast_proto::rest::DeadLetterCause;
use sqlx::postgres::PgExecutor;

use crate::letter::in_one_line;

/// What nats-server has told of a change that it will not send again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Its sequence in the stream that its group reads.
    pub(crate) sequence: u64,
    /// When the stream stored it, in nanoseconds of Unix: another stream has other messages under the same sequences. `None`
    /// where nobody could read it yet.
    pub(crate) stored_at: Option<i128>,
    pub(crate) cause: DeadLetterCause,
    /// How often it was sent.
    pub(crate) attempts: u64,
    /// What the member said of it; empty where it said nothing.
    pub(crate) error: String,
    /// The number of the advisory.
    pub(crate) advisory: u64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    sequence: i64,
    stored_at: String,
    cause: String,
    attempts: i64,
    error: String,
    advisory: i64,
}

impl Row {
    fn told(self) -> (i64, Told) {
        let told = Told {
            sequence: self.sequence.unsigned_abs(),
            stored_at: self.stored_at.parse().ok(),
            // What a newer version wrote.
            cause: DeadLetterCause::from_name(&self.cause).unwrap_or(DeadLetterCause::Exhausted),
            attempts: self.attempts.unsigned_abs(),
            error: self.error,
            advisory: self.advisory.unsigned_abs(),
        };
        (self.id, told)
    }
}

/// Notes that it waits. What waits already stays as it is.
pub(crate) async fn insert(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
    told: &Told,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO waiting_letters (group_id, sequence, stored_at, cause, attempts, error, advisory)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (group_id, sequence, stored_at) DO NOTHING",
    )
    .bind(group.as_str())
    .bind(told.sequence.cast_signed())
    .bind(told.stored_at.map_or_else(String::new, |at| at.to_string()))
    .bind(told.cause.as_str())
    .bind(told.attempts.cast_signed())
    // As long as a letter keeps it, and without zeros, which PostgreSQL has no place for.
    .bind(in_one_line(&told.error))
    .bind(told.advisory.cast_signed())
    .execute(executor)
    .await?;
    Ok(())
}

/// How many wait, of each group that has some.
pub(crate) async fn counts(
    executor: impl PgExecutor<'_>,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT group_id, count(*) FROM waiting_letters
         JOIN groups ON groups.id = group_id
         WHERE deleted_at IS NULL
         GROUP BY group_id",
    )
    .fetch_all(executor)
    .await
}

/// Those of a group that wait the longest, with their numbers.
pub(crate) async fn oldest(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
    limit: i64,
) -> Result<Vec<(i64, Told)>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, sequence, stored_at, cause, attempts, error, advisory FROM waiting_letters
         WHERE group_id = $1
         ORDER BY id
         LIMIT $2",
    )
    .bind(group.as_str())
    .bind(limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Row::told).collect())
}

/// Removes one that was put away.
pub(crate) async fn remove(executor: impl PgExecutor<'_>, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM waiting_letters WHERE id = $1")
        .bind(id)
        .execute(executor)
        .await?;
    Ok(())
}

/// Removes those of a group that was deleted.
pub(crate) async fn forget(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM waiting_letters WHERE group_id = $1")
        .bind(group.as_str())
        .execute(executor)
        .await?;
    Ok(())
}
