//! Table `standings`.

use std::collections::{BTreeMap, HashMap};

use rowcast_domain::GroupId;
use sqlx::postgres::{PgConnection, PgExecutor};
use sqlx::types::Json;

use crate::gap::{Level, Seen};

/// What is known of a group beside what is wanted of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Number of the last move of its position.
    pub(crate) generation: u64,
    /// What it is to be sent next, where a move is under way.
    pub(crate) next_sequence: Option<u64>,
    /// The one consumer that the move is of; `None` for all.
    pub(crate) consumer: Option<String>,
    pub(crate) moved_by: String,
    /// Whether what the group has acknowledged by then is not sent again.
    pub(crate) is_forward: bool,
    pub(crate) level: Level,
    pub(crate) reason: String,
    /// Whether retention will soon remove something that it has not read.
    pub(crate) is_near_end: bool,
    /// Dead letters, with those that wait.
    pub(crate) letters: u64,
    /// By consumer.
    pub(crate) seen: BTreeMap<String, Seen>,
}

#[derive(sqlx::FromRow)]
struct Row {
    group_id: String,
    generation: i64,
    next_sequence: Option<i64>,
    consumer: Option<String>,
    moved_by: String,
    is_forward: bool,
    state: String,
    reason: String,
    is_near_end: bool,
    letters: i64,
    seen: Json<BTreeMap<String, Seen>>,
}

const COLUMNS: &str = "group_id, generation, next_sequence, consumer, moved_by, is_forward, state, reason, is_near_end,
     letters, seen";

impl Row {
    fn known(self) -> (String, Known) {
        let known = Known {
            generation: self.generation.unsigned_abs(),
            next_sequence: self.next_sequence.map(i64::unsigned_abs),
            consumer: self.consumer,
            moved_by: self.moved_by,
            is_forward: self.is_forward,
            // What a newer version wrote is judged anew.
            level: Level::from_name(&self.state).unwrap_or_default(),
            reason: self.reason,
            is_near_end: self.is_near_end,
            letters: self.letters.unsigned_abs(),
            seen: self.seen.0,
        };
        (self.group_id, known)
    }
}

/// What is known of these groups, by id; nothing of those that were never looked at.
pub(crate) async fn of(
    executor: impl PgExecutor<'_>,
    groups: Vec<String>,
) -> Result<HashMap<String, Known>, sqlx::Error> {
    let query = format!("SELECT {COLUMNS} FROM standings WHERE group_id = ANY ($1)");
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(groups)
        .fetch_all(executor)
        .await?;
    Ok(rows.into_iter().map(Row::known).collect())
}

/// Wishes that the group is sent this sequence next, instead of where an earlier move would lead. The number of the move.
pub(crate) async fn wish(
    connection: &mut PgConnection,
    group: &GroupId,
    next_sequence: u64,
    actor: &str,
) -> Result<u64, sqlx::Error> {
    let generation: i64 = sqlx::query_scalar(
        "INSERT INTO standings (group_id, generation, next_sequence, moved_by, is_forward)
         VALUES ($1, 1, $2, $3, FALSE)
         ON CONFLICT (group_id) DO UPDATE
         SET generation = standings.generation + 1, next_sequence = $2, consumer = NULL, moved_by = $3, is_forward = FALSE
         RETURNING generation",
    )
    .bind(group.as_str())
    .bind(i64::try_from(next_sequence).unwrap_or(i64::MAX))
    .bind(actor)
    .fetch_one(connection)
    .await?;
    Ok(generation.unsigned_abs())
}

/// Wishes that this consumer of the group is sent this sequence next, or what is behind what it has acknowledged by then;
/// whether it was written down. It is not where the group was moved since `generation`, or is to be: that was not known to
/// who wishes.
pub(crate) async fn wish_forward(
    connection: &mut PgConnection,
    group: &GroupId,
    (consumer, next_sequence): (&str, u64),
    generation: u64,
    actor: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO standings AS known (group_id, generation, next_sequence, moved_by, consumer, is_forward)
         VALUES ($1, 1, $2, $3, $5, TRUE)
         ON CONFLICT (group_id) DO UPDATE
         SET generation = known.generation + 1, next_sequence = $2, moved_by = $3, consumer = $5, is_forward = TRUE
         WHERE known.generation = $4
           AND known.next_sequence IS NULL",
    )
    .bind(group.as_str())
    .bind(i64::try_from(next_sequence).unwrap_or(i64::MAX))
    .bind(actor)
    .bind(generation.cast_signed())
    .bind(consumer)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Gives a move that was begun before, and not ended, a number of its own: who has begun to read after it was told of
/// the last one must not take this one for it.
pub(crate) async fn begin_attempt(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE standings
         SET generation = CASE WHEN announced < generation THEN generation ELSE generation + 1 END,
             announced = CASE WHEN announced < generation THEN generation ELSE generation + 1 END
         WHERE group_id = $1
           AND next_sequence IS NOT NULL",
    )
    .bind(group.as_str())
    .execute(executor)
    .await?;
    Ok(())
}

/// The move of a group that is to be carried out. Nobody else carries it out, or wishes another one, before the
/// transaction ends.
pub(crate) async fn lock_wish(
    connection: &mut PgConnection,
    group: &GroupId,
) -> Result<Option<Known>, sqlx::Error> {
    let query = format!(
        "SELECT {COLUMNS} FROM standings WHERE group_id = $1 AND next_sequence IS NOT NULL FOR UPDATE"
    );
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(group.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.known().1))
}

/// Groups whose move is to be carried out.
pub(crate) async fn moving(executor: impl PgExecutor<'_>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT group_id FROM standings
         JOIN groups ON id = group_id
         WHERE next_sequence IS NOT NULL
           AND deleted_at IS NULL",
    )
    .fetch_all(executor)
    .await
}

/// Notes that the move was carried out. Nothing of what was seen before holds any more, but of consumers that stayed.
pub(crate) async fn moved(
    connection: &mut PgConnection,
    group: &GroupId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE standings
         SET next_sequence = NULL, consumer = NULL, state = 'ok', reason = '', is_near_end = FALSE,
             seen = CASE WHEN consumer IS NULL THEN '{}' ELSE seen - consumer END
         WHERE group_id = $1",
    )
    .bind(group.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// What was seen of a group.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    pub(crate) group: &'a str,
    /// Number of the last move when it was looked at.
    pub(crate) generation: u64,
    pub(crate) level: Level,
    pub(crate) reason: &'a str,
    pub(crate) is_near_end: bool,
    pub(crate) letters: u64,
    pub(crate) seen: &'a BTreeMap<String, Seen>,
}

/// Notes what was seen of groups, but of those that were moved since; tells of which it was noted.
pub(crate) async fn note(
    executor: impl PgExecutor<'_>,
    looks: &[Look<'_>],
) -> Result<Vec<String>, sqlx::Error> {
    let groups: Vec<&str> = looks.iter().map(|look| look.group).collect();
    let generations = looks.iter().map(|look| look.generation.cast_signed());
    let levels: Vec<&str> = looks.iter().map(|look| look.level.as_str()).collect();
    let reasons: Vec<&str> = looks.iter().map(|look| look.reason).collect();
    let near_end: Vec<bool> = looks.iter().map(|look| look.is_near_end).collect();
    let letters = looks.iter().map(|look| look.letters.cast_signed());
    let seen = looks.iter().map(|look| Json(look.seen));
    sqlx::query_scalar(
        "INSERT INTO standings AS known (group_id, generation, state, reason, is_near_end, letters, seen)
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::bigint[], $7::jsonb[])
         ON CONFLICT (group_id) DO UPDATE
         SET state = excluded.state, reason = excluded.reason, is_near_end = excluded.is_near_end,
             letters = excluded.letters, seen = excluded.seen
         WHERE known.generation = excluded.generation
           AND known.next_sequence IS NULL
         RETURNING group_id",
    )
    .bind(groups)
    .bind(generations.collect::<Vec<i64>>())
    .bind(levels)
    .bind(reasons)
    .bind(near_end)
    .bind(letters.collect::<Vec<i64>>())
    .bind(seen.collect::<Vec<_>>())
    .fetch_all(executor)
    .await
}
