//! Table `task_transitions`.

use chrono::{DateTime, Utc};
use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::rest::TaskTransition;
use sqlx::QueryBuilder;
use sqlx::postgres::{PgConnection, PgPool, Postgres};

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    from_state: String,
    to_state: String,
    actor: String,
    reason: String,
    trace_id: Option<String>,
    at: DateTime<Utc>,
}

fn state(name: &str) -> Result<TaskState, sqlx::Error> {
    TaskState::from_name(name).ok_or_else(|| sqlx::Error::Decode(format!("state {name:?}").into()))
}

impl TryFrom<Row> for TaskTransition {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        Ok(Self {
            from: state(&row.from_state)?,
            to: state(&row.to_state)?,
            actor: row.actor,
            reason: row.reason,
            trace_id: row.trace_id,
            at: row.at,
        })
    }
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    task: &TaskId,
    transition: &TaskTransition,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO task_transitions (task_id, from_state, to_state, actor, reason, trace_id, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(task.as_str())
    .bind(transition.from.as_str())
    .bind(transition.to.as_str())
    .bind(&transition.actor)
    .bind(&transition.reason)
    .bind(&transition.trace_id)
    .bind(transition.at)
    .execute(connection)
    .await?;
    Ok(())
}

/// The state in which a task was when it was locked last.
pub(crate) async fn state_before_lock(
    connection: &mut PgConnection,
    task: &TaskId,
) -> Result<Option<TaskState>, sqlx::Error> {
    let before: Option<String> = sqlx::query_scalar(
        "SELECT from_state
         FROM task_transitions
         WHERE task_id = $1
           AND to_state = 'locked'
         ORDER BY id DESC
         LIMIT 1",
    )
    .bind(task.as_str())
    .fetch_optional(connection)
    .await?;
    before.as_deref().map(state).transpose()
}

/// Which entries.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// Has this text in its reason, its actor or its states, in any case.
    pub(crate) search: Option<String>,
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) until: Option<DateTime<Utc>>,
    /// Behind this entry.
    pub(crate) after: Option<i64>,
    /// All where absent.
    pub(crate) limit: Option<u32>,
}

/// Oldest first, each with its number; one more than the limit where there is a next page.
pub(crate) async fn list(
    pool: &PgPool,
    task: &TaskId,
    filter: &Filter,
) -> Result<Vec<(i64, TaskTransition)>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT id, from_state, to_state, actor, reason, trace_id, at
         FROM task_transitions
         WHERE task_id = ",
    );
    query.push_bind(task.as_str());
    if let Some(search) = &filter.search {
        query
            .push(
                " AND strpos(lower(concat_ws(E'\\n', reason, actor, from_state, to_state)), lower(",
            )
            .push_bind(search)
            .push(")) > 0");
    }
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(since);
    }
    if let Some(until) = filter.until {
        query.push(" AND at < ").push_bind(until);
    }
    if let Some(after) = filter.after {
        query.push(" AND id > ").push_bind(after);
    }
    query.push(" ORDER BY id");
    if let Some(limit) = filter.limit {
        query.push(" LIMIT ").push_bind(i64::from(limit) + 1);
    }
    let rows: Vec<Row> = query.build_query_as().fetch_all(pool).await?;
    let read = |row: Row| Ok((row.id, TaskTransition::try_from(row)?));
    rows.into_iter().map(read).collect()
}
