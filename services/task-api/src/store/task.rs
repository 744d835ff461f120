//! Table `tasks`.

mod list;
mod live;

use chrono::{DateTime, Utc};
use rowcast_domain::{ContactId, Lsn, SourceId, TaskId, TaskState};
use rowcast_proto::message::{DesiredState, TraceContext};
use rowcast_proto::rest::{AcceptableStop, CreateTask, TaskError, TaskPosition};
use sqlx::postgres::{PgConnection, PgExecutor, PgPool};
use sqlx::types::Json;

use super::precheck::LastPrecheck;
use super::{decoded, parsed};

pub(crate) use list::{Filter, Mark, Sort, SortKey, list};
pub(crate) use live::live;

/// A task as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredTask {
    pub(crate) id: TaskId,
    pub(crate) source_id: SourceId,
    /// The body it was created with, source and database filled in and the objects as last replaced.
    pub(crate) definition: CreateTask,
    pub(crate) state: TaskState,
    pub(crate) desired: DesiredState,
    pub(crate) generation: u64,
    pub(crate) wish_trace: TraceContext,
    /// The stop past which this version of the wish goes on.
    pub(crate) accepted_stop: Option<AcceptableStop>,
    pub(crate) error: Option<TaskError>,
    pub(crate) position: Option<TaskPosition>,
    /// Commit LSN after which the present objects are tracked.
    pub(crate) objects_since: Option<Lsn>,
    pub(crate) warnings: Vec<String>,
    /// What a start is at.
    pub(crate) step: Option<String>,
    /// Its last report in short.
    pub(crate) last_precheck: Option<LastPrecheck>,
    /// Counts what users change of the definition.
    pub(crate) version: u64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl StoredTask {
    /// Whether it was started and has, or may have, a slot, a publication and a stream.
    pub(crate) fn was_started(&self) -> bool {
        match self.desired {
            DesiredState::Running | DesiredState::Suspended => true,
            // Removed: a task that was reset is as if it had never been started.
            DesiredState::Unspecified | DesiredState::Released => false,
        }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: String,
    source_id: String,
    definition: Json<CreateTask>,
    state: String,
    desired: Option<String>,
    generation: i64,
    wish_traceparent: String,
    wish_tracestate: String,
    accepted_stop: String,
    error: Option<Json<TaskError>>,
    position: Option<Json<TaskPosition>>,
    objects_since: Option<String>,
    warnings: Json<Vec<String>>,
    step: Option<String>,
    last_precheck: Option<Json<LastPrecheck>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for StoredTask {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let state = TaskState::from_name(&row.state)
            .ok_or_else(|| sqlx::Error::Decode(format!("state {:?}", row.state).into()))?;
        let desired = match row.desired.as_deref() {
            None => DesiredState::Unspecified,
            Some("running") => DesiredState::Running,
            Some("suspended") => DesiredState::Suspended,
            Some("released") => DesiredState::Released,
            Some(other) => {
                return Err(sqlx::Error::Decode(
                    format!("desired state {other:?}").into(),
                ));
            }
        };
        Ok(Self {
            id: parsed(&row.id)?,
            source_id: parsed(&row.source_id)?,
            definition: row.definition.0,
            state,
            desired,
            generation: decoded(u64::try_from(row.generation))?,
            wish_trace: TraceContext {
                traceparent: row.wish_traceparent,
                tracestate: row.wish_tracestate,
            },
            accepted_stop: accepted_stop(&row.accepted_stop)?,
            error: row.error.map(|error| error.0),
            position: row.position.map(|position| position.0),
            objects_since: row.objects_since.as_deref().map(parsed).transpose()?,
            warnings: row.warnings.0,
            step: row.step,
            last_precheck: row.last_precheck.map(|last| last.0),
            version: decoded(u64::try_from(row.version))?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

const fn desired_name(desired: DesiredState) -> Option<&'static str> {
    match desired {
        DesiredState::Unspecified => None,
        DesiredState::Running => Some("running"),
        DesiredState::Suspended => Some("suspended"),
        DesiredState::Released => Some("released"),
    }
}

fn accepted_stop(code: &str) -> Result<Option<AcceptableStop>, sqlx::Error> {
    if code.is_empty() {
        return Ok(None);
    }
    let stop = AcceptableStop::from_name(code);
    stop.map(Some)
        .ok_or_else(|| sqlx::Error::Decode(format!("stop {code:?}").into()))
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    (id, source_id): (&TaskId, &SourceId),
    definition: &CreateTask,
    state: TaskState,
    now: DateTime<Utc>,
) -> Result<StoredTask, sqlx::Error> {
    let row: Row = sqlx::query_as(
        "INSERT INTO tasks (id, source_id, definition, state, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5)
         RETURNING *",
    )
    .bind(id.as_str())
    .bind(source_id.as_str())
    .bind(Json(definition))
    .bind(state.as_str())
    .bind(now)
    .fetch_one(connection)
    .await?;
    row.try_into()
}

pub(crate) async fn get(pool: &PgPool, id: &TaskId) -> Result<Option<StoredTask>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM tasks WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(pool)
        .await?;
    row.map(StoredTask::try_from).transpose()
}

/// A task as whoever changes it leaves it: a change that is under way is waited for.
pub(crate) async fn settled(pool: &PgPool, id: &TaskId) -> Result<Option<StoredTask>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM tasks WHERE id = $1 FOR SHARE")
        .bind(id.as_str())
        .fetch_optional(pool)
        .await?;
    row.map(StoredTask::try_from).transpose()
}

/// The resource group of a task; `None` where there is no such task.
pub(crate) async fn resource_group(
    pool: &PgPool,
    id: &TaskId,
) -> Result<Option<Option<String>>, sqlx::Error> {
    sqlx::query_scalar("SELECT definition ->> 'resource_group' FROM tasks WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(pool)
        .await
}

/// Ids of the tasks of these resource groups.
pub(crate) async fn ids_of_groups(
    pool: &PgPool,
    groups: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM tasks WHERE definition ->> 'resource_group' = ANY ($1)")
        .bind(groups)
        .fetch_all(pool)
        .await
}

/// Reads a task and keeps it from being changed until the end of the transaction.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    id: &TaskId,
) -> Result<Option<StoredTask>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM tasks WHERE id = $1 FOR UPDATE")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.map(StoredTask::try_from).transpose()
}

/// Locks one task whose wish is not in the bucket yet; those that another copy works on, and those
/// named, are left out.
pub(crate) async fn lock_unwritten(
    connection: &mut PgConnection,
    left_out: &[TaskId],
) -> Result<Option<StoredTask>, sqlx::Error> {
    let left_out: Vec<&str> = left_out.iter().map(TaskId::as_str).collect();
    let row: Option<Row> = sqlx::query_as(
        "SELECT *
         FROM tasks
         WHERE written_generation < generation
           AND id <> ALL ($1)
         ORDER BY updated_at
         LIMIT 1
         FOR UPDATE SKIP LOCKED",
    )
    .bind(left_out)
    .fetch_optional(connection)
    .await?;
    row.map(StoredTask::try_from).transpose()
}

/// Tasks whose wish should be in the bucket, with its version. What is released needs none.
pub(crate) async fn written(pool: &PgPool) -> Result<Vec<(TaskId, u64)>, sqlx::Error> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT id, generation
         FROM tasks
         WHERE written_generation = generation
           AND generation > 0
           AND (desired <> 'released' OR state = 'resetting')",
    )
    .fetch_all(pool)
    .await?;
    let readable =
        |(id, generation): (String, i64)| Some((id.parse().ok()?, u64::try_from(generation).ok()?));
    Ok(rows.into_iter().filter_map(readable).collect())
}

/// This version of the wish is to be written again: the bucket has lost it, or what only rules read of it has changed.
pub(crate) async fn wish_lost(
    executor: impl PgExecutor<'_>,
    id: &TaskId,
    generation: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE tasks SET written_generation = 0 WHERE id = $1 AND generation = $2")
        .bind(id.as_str())
        .bind(i64::try_from(generation).unwrap_or(i64::MAX))
        .execute(executor)
        .await?;
    Ok(())
}

/// Writes the state, the error, and the wish if it is a new version; its objects stay.
pub(crate) async fn update(
    connection: &mut PgConnection,
    task: &StoredTask,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE tasks
         SET state = $2, desired = $3, generation = $4, wish_traceparent = $5,
             wish_tracestate = $6, error = $7, updated_at = $8, accepted_stop = $9
         WHERE id = $1",
    )
    .bind(task.id.as_str())
    .bind(task.state.as_str())
    .bind(desired_name(task.desired))
    .bind(decoded(i64::try_from(task.generation))?)
    .bind(&task.wish_trace.traceparent)
    .bind(&task.wish_trace.tracestate)
    .bind(task.error.as_ref().map(Json))
    .bind(task.updated_at)
    .bind(task.accepted_stop.map_or("", AcceptableStop::as_str))
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the definition of a task that has a version more.
pub(crate) async fn redefine(
    connection: &mut PgConnection,
    task: &StoredTask,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE tasks SET definition = $2, version = $3, source_id = $4 WHERE id = $1")
        .bind(task.id.as_str())
        .bind(Json(&task.definition))
        .bind(decoded(i64::try_from(task.version))?)
        .bind(task.source_id.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes what is to be told otherwise; since when it is, is for capture to say.
pub(crate) async fn replace_objects(
    connection: &mut PgConnection,
    task: &StoredTask,
) -> Result<(), sqlx::Error> {
    redefine(connection, task).await?;
    sqlx::query("UPDATE tasks SET objects_since = NULL WHERE id = $1")
        .bind(task.id.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Locks the tasks of a source, in an order that all who lock several keep to.
pub(crate) async fn lock_of_source(
    connection: &mut PgConnection,
    source: &SourceId,
) -> Result<Vec<StoredTask>, sqlx::Error> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT * FROM tasks WHERE source_id = $1 ORDER BY id FOR UPDATE")
            .bind(source.as_str())
            .fetch_all(connection)
            .await?;
    rows.into_iter().map(StoredTask::try_from).collect()
}

/// A task that needs a source.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Needing {
    pub(crate) name: String,
    pub(crate) id: String,
    /// Whether it is released, and all that is missing is that the bucket knows.
    pub(crate) is_settling: bool,
    pub(crate) resource_group: Option<String>,
}

/// The tasks that need a source: all but those whose release is known to the bucket and has met no
/// error.
pub(crate) async fn needing_source(
    connection: &mut PgConnection,
    source: &SourceId,
) -> Result<Vec<Needing>, sqlx::Error> {
    sqlx::query_as(
        "SELECT definition ->> 'name' AS name, id,
                state = 'released' AND error IS NULL AS is_settling,
                definition ->> 'resource_group' AS resource_group
         FROM tasks
         WHERE source_id = $1
           AND (state <> 'released' OR error IS NOT NULL OR written_generation < generation)
         ORDER BY created_at, id",
    )
    .bind(source.as_str())
    .fetch_all(connection)
    .await
}

/// The tasks that name a contact, and are not released.
pub(crate) async fn naming_contact(
    pool: &PgPool,
    contact: &ContactId,
) -> Result<Vec<Needing>, sqlx::Error> {
    sqlx::query_as(
        "SELECT definition ->> 'name' AS name, id, false AS is_settling,
                definition ->> 'resource_group' AS resource_group
         FROM tasks
         WHERE definition -> 'alerting' -> 'contacts' ? $1
           AND state <> 'released'
         ORDER BY created_at, id",
    )
    .bind(contact.as_str())
    .fetch_all(pool)
    .await
}

/// What capture said of a task.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) error: Option<TaskError>,
    /// Absent where it is still as it was.
    pub(crate) position: Option<TaskPosition>,
    /// Absent where it is still as it was.
    pub(crate) objects_since: Option<Lsn>,
    pub(crate) warnings: Vec<String>,
    /// What a start is at.
    pub(crate) step: Option<String>,
}

/// Writes what capture last said.
pub(crate) async fn observe(
    connection: &mut PgConnection,
    id: &TaskId,
    observed: &Observed,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE tasks
         SET error = $2, position = coalesce($3, position),
             objects_since = coalesce($4, objects_since), warnings = $5, step = $6
         WHERE id = $1",
    )
    .bind(id.as_str())
    .bind(observed.error.as_ref().map(Json))
    .bind(observed.position.as_ref().map(Json))
    .bind(observed.objects_since.map(|lsn| lsn.to_string()))
    .bind(Json(&observed.warnings))
    .bind(&observed.step)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets what capture has seen of a task that begins anew.
pub(crate) async fn forget_observed(
    connection: &mut PgConnection,
    id: &TaskId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE tasks
         SET error = NULL, position = NULL, objects_since = NULL, warnings = '[]', step = NULL
         WHERE id = $1",
    )
    .bind(id.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that the bucket holds this version of the wish.
pub(crate) async fn wish_written(
    connection: &mut PgConnection,
    task: &StoredTask,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE tasks SET written_generation = $2 WHERE id = $1")
        .bind(task.id.as_str())
        .bind(decoded(i64::try_from(task.generation))?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Tasks whose precheck began before `before` and has not ended.
pub(crate) async fn prechecking_since(
    pool: &PgPool,
    before: DateTime<Utc>,
) -> Result<Vec<TaskId>, sqlx::Error> {
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT id FROM tasks WHERE state = 'prechecking' AND updated_at < $1")
            .bind(before)
            .fetch_all(pool)
            .await?;
    ids.iter().map(|id| parsed(id)).collect()
}
