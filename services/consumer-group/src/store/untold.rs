//! Table `untold_letters`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgExecutor;

use crate::letter::Letter;

/// Dead letters of a group, for one cause.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Untold {
    pub(crate) group_id: String,
    pub(crate) group_name: String,
    pub(crate) task_id: String,
    pub(crate) cause: String,
    pub(crate) number: i64,
    pub(crate) first_sequence: i64,
    pub(crate) last_sequence: i64,
    /// When the first one was put away.
    pub(crate) first_at: DateTime<Utc>,
}

/// Notes that a letter is to be told of. Done twice, it is the same.
pub(crate) async fn note(
    executor: impl PgExecutor<'_>,
    letter: &Letter,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO untold_letters (group_id, cause, sequence, stored_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(letter.group.as_str())
    .bind(letter.cause.as_str())
    .bind(letter.sequence.cast_signed())
    .bind(letter.stored_at.to_string())
    .execute(executor)
    .await?;
    Ok(())
}

/// Takes all those of each group and cause of which the first one was noted so long ago.
pub(crate) async fn take(
    executor: impl PgExecutor<'_>,
    since: Duration,
) -> Result<Vec<Untold>, sqlx::Error> {
    sqlx::query_as(
        "WITH due AS (
             SELECT group_id, cause FROM untold_letters
             WHERE told_at IS NULL
             GROUP BY group_id, cause
             HAVING min(put_away_at) <= now() - make_interval(secs => $1)
         ), taken AS (
             UPDATE untold_letters SET told_at = now() FROM due
             WHERE untold_letters.group_id = due.group_id
               AND untold_letters.cause = due.cause
               AND told_at IS NULL
             RETURNING untold_letters.group_id, untold_letters.cause, sequence, put_away_at
         )
         SELECT groups.id AS group_id, groups.name AS group_name, groups.task_id, taken.cause,
                count(*) AS number, min(sequence) AS first_sequence, max(sequence) AS last_sequence,
                min(put_away_at) AS first_at
         FROM taken
         JOIN groups ON groups.id = taken.group_id
         GROUP BY groups.id, taken.cause
         ORDER BY first_at",
    )
    .bind(since.as_secs_f64())
    .fetch_all(executor)
    .await
}

/// Forgets those that were told so long ago.
pub(crate) async fn forget(
    executor: impl PgExecutor<'_>,
    since: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM untold_letters WHERE told_at <= now() - make_interval(secs => $1)")
        .bind(since.as_secs_f64())
        .execute(executor)
        .await?;
    Ok(())
}
