//! Table `derivations`.

use std::collections::{BTreeSet, HashMap};

use rowcast_domain::{GroupId, Lsn, Position};
use rowcast_proto::message::DerivationState;
use sqlx::postgres::PgExecutor;

/// Up to where a group's own stream was made, of two streams that were made then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// When the task's stream was made.
    pub(crate) source_made: String,
    /// When the own stream was made.
    pub(crate) own_made: String,
    /// Everything up to this message of the task's stream is in the own one.
    pub(crate) source_sequence: u64,
    /// Which ends there with this message.
    pub(crate) own_sequence: u64,
    /// How many changes of the transaction that was read last were left out.
    pub(crate) left_out: u64,
    /// Commit LSN of that transaction.
    pub(crate) transaction: Lsn,
    /// Everything up to this position is in the own one: that of the message of the task's stream, or of what was told
    /// before of a stream that had lost its end.
    pub(crate) position: Position,
    /// Under which policy of the group: how often that had been changed.
    pub(crate) policy: u64,
}

/// What was lost before it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Sequence of the message of the own stream that tells it.
    pub(crate) own_sequence: u64,
    /// What it was, in a sentence.
    pub(crate) sentence: String,
}

/// How it is with a group's own stream.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) state: DerivationState,
    pub(crate) reason: String,
    pub(crate) parked: u64,
    pub(crate) mark: Mark,
    /// The last one; `None` where nothing was lost.
    pub(crate) gap: Option<Gap>,
}

#[derive(sqlx::FromRow)]
struct Row {
    group_id: String,
    state: String,
    reason: String,
    parked: i64,
    source_made: String,
    own_made: String,
    source_sequence: i64,
    own_sequence: i64,
    left_out: i64,
    transaction_lsn: String,
    position: String,
    gap_sequence: i64,
    gap: String,
    policy_version: i64,
}

impl TryFrom<Row> for Known {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            state: state(&row.state),
            reason: row.reason,
            parked: row.parked.unsigned_abs(),
            gap: (row.gap_sequence > 0).then_some(Gap {
                own_sequence: row.gap_sequence.unsigned_abs(),
                sentence: row.gap,
            }),
            mark: Mark {
                source_made: row.source_made,
                own_made: row.own_made,
                source_sequence: row.source_sequence.unsigned_abs(),
                own_sequence: row.own_sequence.unsigned_abs(),
                left_out: row.left_out.unsigned_abs(),
                transaction: row
                    .transaction_lsn
                    .parse()
                    .map_err(|error: rowcast_domain::ParseLsnError| decode(error))?,
                position: row
                    .position
                    .parse()
                    .map_err(|error: rowcast_domain::ParsePositionError| decode(error))?,
                policy: row.policy_version.unsigned_abs(),
            },
        })
    }
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

fn state(name: &str) -> DerivationState {
    match name {
        "running" => DerivationState::Running,
        "retrying" => DerivationState::Retrying,
        "stopped" => DerivationState::Stopped,
        // What a newer version wrote.
        _ => DerivationState::Unspecified,
    }
}

const fn name(state: DerivationState) -> &'static str {
    match state {
        DerivationState::Running => "running",
        DerivationState::Unspecified | DerivationState::Retrying => "retrying",
        DerivationState::Stopped => "stopped",
    }
}

/// How it is with the own streams of these groups, by id; nothing of those that nobody has begun with.
pub(crate) async fn of(
    executor: impl PgExecutor<'_>,
    groups: Vec<String>,
) -> Result<HashMap<String, Known>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT group_id, state, reason, parked, source_made, own_made, source_sequence, own_sequence,
                left_out, transaction_lsn, position, gap_sequence, gap, policy_version
         FROM derivations
         WHERE group_id = ANY ($1)",
    )
    .bind(groups)
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .map(|row| Ok((row.group_id.clone(), row.try_into()?)))
        .collect()
}

/// The number of the last session that was begun; 0 where none was.
pub(crate) async fn session(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
) -> Result<i64, sqlx::Error> {
    let known: Option<i64> =
        sqlx::query_scalar("SELECT session FROM derivations WHERE group_id = $1")
            .bind(group.as_str())
            .fetch_optional(executor)
            .await?;
    Ok(known.unwrap_or(0))
}

/// Notes how it is; whether this is still the last session that was begun. What an earlier one says, which has lost its
/// lease without knowing, is left out: the later one may do well.
pub(crate) async fn tell(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
    session: i64,
    state: DerivationState,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO derivations AS known (group_id, session, state, reason)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (group_id) DO UPDATE SET state = $3, reason = $4
         WHERE known.session = $2",
    )
    .bind(group.as_str())
    .bind(session)
    .bind(name(state))
    .bind(reason)
    .execute(executor)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes that so many more changes were parked, and which are that stand behind what is stored, of a task's stream that was
/// made then.
///
/// `false` where a later session has begun.
pub(crate) async fn parked(
    executor: impl PgExecutor<'_>,
    (group, session): (&GroupId, i64),
    number: u64,
    (source_made, ahead): (&str, &BTreeSet<Position>),
) -> Result<bool, sqlx::Error> {
    let ahead: Vec<String> = ahead.iter().map(Position::to_string).collect();
    let done = sqlx::query(
        "UPDATE derivations SET parked = parked + $2, parked_source = $3, parked_ahead = $4
         WHERE group_id = $1 AND session = $5",
    )
    .bind(group.as_str())
    .bind(number.cast_signed())
    .bind(source_made)
    .bind(ahead)
    .bind(session)
    .execute(executor)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Positions of changes that are parked and that stand behind what was stored then, of a task's stream that was made then.
pub(crate) async fn parked_ahead(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
    source_made: &str,
) -> Result<BTreeSet<Position>, sqlx::Error> {
    let ahead: Option<Vec<String>> = sqlx::query_scalar(
        "SELECT parked_ahead FROM derivations WHERE group_id = $1 AND parked_source = $2",
    )
    .bind(group.as_str())
    .bind(source_made)
    .fetch_optional(executor)
    .await?;
    let ahead = ahead.unwrap_or_default().into_iter();
    ahead
        .map(|position| {
            position
                .parse()
                .map_err(|error: rowcast_domain::ParsePositionError| decode(error))
        })
        .collect()
}

/// Begins a session, under this policy, on an own stream that was made then; gives the session's number. What has stopped
/// under the same policy counts as stopped until more is made.
pub(crate) async fn begin(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
    own_made: &str,
    policy: u64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO derivations AS known (group_id, state, session)
         VALUES ($1, 'running', 1)
         ON CONFLICT (group_id) DO UPDATE
         SET state = CASE WHEN known.state = 'stopped' AND known.policy_version = $3 THEN 'stopped' ELSE 'running' END,
             reason = CASE WHEN known.state = 'stopped' AND known.policy_version = $3 THEN known.reason ELSE '' END,
             session = known.session + 1,
             gap_sequence = CASE WHEN known.own_made = $2 THEN known.gap_sequence ELSE 0 END
         RETURNING session",
    )
    .bind(group.as_str())
    .bind(own_made)
    .bind(policy.cast_signed())
    .fetch_one(executor)
    .await
}

/// Notes that somebody has decided: what has stopped is tried again.
pub(crate) async fn decided(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE derivations SET state = 'retrying', reason = '' WHERE group_id = $1 AND state = 'stopped'",
    )
    .bind(group.as_str())
    .execute(executor)
    .await?;
    Ok(())
}

/// Notes what was lost, before it is told there; whether this is still the last session that was begun. An earlier one
/// would put what it misses in the place of what the later one has found.
pub(crate) async fn lost(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
    session: i64,
    gap: &Gap,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE derivations SET reason = $3, gap = $3, gap_sequence = $4
         WHERE group_id = $1
           AND session = $2",
    )
    .bind(group.as_str())
    .bind(session)
    .bind(&gap.sentence)
    .bind(gap.own_sequence.cast_signed())
    .execute(executor)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes up to where the own stream was made; whether this is still the last session that was begun. What an earlier one
/// says, which has lost its lease without knowing, is left out: the task's stream may have lost its end since, and a
/// sequence there may be another message by now.
pub(crate) async fn mark(
    executor: impl PgExecutor<'_>,
    group: &GroupId,
    session: i64,
    mark: &Mark,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE derivations
         SET source_made = $3, own_made = $4, source_sequence = $5, own_sequence = $6, left_out = $7,
             transaction_lsn = $8, position = $9, policy_version = $10,
             state = CASE WHEN source_made = $3 AND source_sequence >= $5 THEN state ELSE 'running' END,
             reason = CASE WHEN state = 'stopped' AND (source_made <> $3 OR source_sequence < $5) THEN '' ELSE reason END
         WHERE group_id = $1
           AND session = $2",
    )
    .bind(group.as_str())
    .bind(session)
    .bind(&mark.source_made)
    .bind(&mark.own_made)
    .bind(mark.source_sequence.cast_signed())
    .bind(mark.own_sequence.cast_signed())
    .bind(mark.left_out.cast_signed())
    .bind(mark.transaction.to_string())
    .bind(mark.position.to_string())
    .bind(mark.policy.cast_signed())
    .execute(executor)
    .await?;
    Ok(done.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use rowcast_domain::Secret;
    use rowcast_testkit::Postgres;
    use sqlx::PgPool;

    use super::*;

    /// Another group.
    async fn group(pool: &PgPool, id: &str) -> GroupId {
        sqlx::query(
            "INSERT INTO groups (id, task_id, name, account, password_hash, created_at)
             VALUES ($1, 't000000000000', $1, 'reader', 'none', now())",
        )
        .bind(id)
        .execute(pool)
        .await
        .unwrap();
        id.parse().unwrap()
    }

    async fn known(pool: &PgPool, group: &GroupId) -> Known {
        let mut known = of(pool, vec![group.to_string()]).await.unwrap();
        known.remove(group.as_str()).unwrap()
    }

    async fn pool(postgres: &Postgres) -> PgPool {
        let url = postgres.service_database("consumer_group").await.unwrap();
        let pool = rowcast_service::database::connect(&Secret::new(url), crate::SCHEMA)
            .await
            .unwrap();
        sqlx::migrate!().run(&pool).await.unwrap();
        pool
    }

    #[tokio::test]
    async fn what_is_parked_is_known_of_the_stream_that_it_is_of() {
        let postgres = Postgres::start().await.unwrap();
        let pool = pool(&postgres).await;
        let group = group(&pool, "g000000000003").await;
        let none = BTreeSet::new();
        assert_eq!(parked_ahead(&pool, &group, "1").await.unwrap(), none);
        let session = begin(&pool, &group, "1", 0).await.unwrap();
        let own = (&group, session);
        assert_eq!(parked_ahead(&pool, &group, "1").await.unwrap(), none);
        let ahead: BTreeSet<Position> = ["0/100.1", "0/100.12"]
            .iter()
            .map(|position| position.parse().unwrap())
            .collect();
        assert!(parked(&pool, own, 2, ("1", &ahead)).await.unwrap());
        assert_eq!(parked_ahead(&pool, &group, "1").await.unwrap(), ahead);
        assert_eq!(parked_ahead(&pool, &group, "2").await.unwrap(), none);
        assert_eq!(known(&pool, &group).await.parked, 2);
        assert!(parked(&pool, own, 1, ("2", &none)).await.unwrap());
        assert_eq!(parked_ahead(&pool, &group, "1").await.unwrap(), none);
        assert_eq!(known(&pool, &group).await.parked, 3);
        begin(&pool, &group, "1", 0).await.unwrap();
        assert!(!parked(&pool, own, 1, ("2", &ahead)).await.unwrap());
        assert_eq!(parked_ahead(&pool, &group, "2").await.unwrap(), none);
    }

    #[tokio::test]
    async fn what_an_overtaken_session_says_changes_nothing() {
        let postgres = Postgres::start().await.unwrap();
        let pool = pool(&postgres).await;
        let (stopped, retrying) = (DerivationState::Stopped, DerivationState::Retrying);

        // Nobody has begun a session, and it fails all the same.
        let fresh = group(&pool, "g000000000001").await;
        let none = session(&pool, &fresh).await.unwrap();
        assert!(tell(&pool, &fresh, none, retrying, "why").await.unwrap());
        assert!(tell(&pool, &fresh, none, stopped, "why").await.unwrap());
        assert_eq!(known(&pool, &fresh).await.state, stopped);

        let taken = group(&pool, "g000000000002").await;
        let overtaken = begin(&pool, &taken, "1", 0).await.unwrap();
        let last = begin(&pool, &taken, "1", 0).await.unwrap();
        assert_eq!(session(&pool, &taken).await.unwrap(), last);
        let gap = |own_sequence| Gap {
            own_sequence,
            sentence: format!("before {own_sequence}"),
        };
        assert!(lost(&pool, &taken, last, &gap(9)).await.unwrap());
        assert!(!lost(&pool, &taken, overtaken, &gap(5)).await.unwrap());
        assert!(
            !tell(&pool, &taken, overtaken, stopped, "late")
                .await
                .unwrap()
        );
        let as_it_was = known(&pool, &taken).await;
        assert_eq!(
            (as_it_was.state, as_it_was.reason.as_str(), as_it_was.gap),
            (DerivationState::Running, "before 9", Some(gap(9)))
        );
        assert!(tell(&pool, &taken, last, stopped, "why").await.unwrap());
        assert_eq!(known(&pool, &taken).await.reason, "why");
    }
}
