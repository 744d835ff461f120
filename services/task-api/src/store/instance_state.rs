//! Table `instance_states`.

use chrono::{DateTime, Utc};
use rowcast_domain::TaskId;
use rowcast_proto::rest::InstanceState;
use sqlx::postgres::PgConnection;

use super::decoded;

/// What billing says of a task's instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownInstance {
    pub(crate) version: u64,
    pub(crate) state: InstanceState,
    /// When the months of a subscription are over.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// While it is expired: when it ends, unless it is renewed.
    pub(crate) release_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    version: i64,
    state: String,
    expires_at: Option<DateTime<Utc>>,
    release_at: Option<DateTime<Utc>>,
}

const fn name(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Active => "active",
        InstanceState::Expired => "expired",
        InstanceState::Ended => "ended",
    }
}

fn state(name: &str) -> Result<InstanceState, sqlx::Error> {
    match name {
        "active" => Ok(InstanceState::Active),
        "expired" => Ok(InstanceState::Expired),
        "ended" => Ok(InstanceState::Ended),
        other => Err(sqlx::Error::Decode(
            format!("state of an instance {other:?}").into(),
        )),
    }
}

/// Writes what billing says; `false` where as much or more was known.
pub(crate) async fn note(
    connection: &mut PgConnection,
    task: &TaskId,
    instance: &KnownInstance,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query(
        "INSERT INTO instance_states (task_id, version, state, expires_at, release_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (task_id) DO UPDATE
         SET version = excluded.version, state = excluded.state, expires_at = excluded.expires_at,
             release_at = excluded.release_at
         WHERE instance_states.version < excluded.version",
    )
    .bind(task.as_str())
    .bind(decoded(i64::try_from(instance.version))?)
    .bind(name(instance.state))
    .bind(instance.expires_at)
    .bind(instance.release_at)
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// What is known by now.
pub(crate) async fn get(
    connection: &mut PgConnection,
    task: &TaskId,
) -> Result<Option<KnownInstance>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT version, state, expires_at, release_at FROM instance_states WHERE task_id = $1",
    )
    .bind(task.as_str())
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(KnownInstance {
            version: decoded(u64::try_from(row.version))?,
            state: state(&row.state)?,
            expires_at: row.expires_at,
            release_at: row.release_at,
        })
    })
    .transpose()
}
