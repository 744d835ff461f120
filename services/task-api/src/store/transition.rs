//! Table `task_transitions`.

use chrono::{DateTime, Utc};
use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::rest::TaskTransition;
use sqlx::postgres::{PgConnection, PgPool};

#[derive(sqlx::FromRow)]
struct Row {
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

/// Oldest first.
pub(crate) async fn list(pool: &PgPool, task: &TaskId) -> Result<Vec<TaskTransition>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT from_state, to_state, actor, reason, trace_id, at
         FROM task_transitions
         WHERE task_id = $1
         ORDER BY id",
    )
    .bind(task.as_str())
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(TaskTransition::try_from).collect()
}
