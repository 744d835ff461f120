//! Table `groups`.

mod derived;

use chrono::{DateTime, Utc};
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::message::{EtlPolicy, GroupFormat};
use rowcast_proto::rest::{GroupDelivery, GroupMode, OnExhausted};
use sqlx::postgres::{PgConnection, PgExecutor};

pub(crate) use self::derived::Derived;

/// A group as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) task_id: TaskId,
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) password_hash: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
    pub(crate) mode: GroupMode,
    /// Number of key partitions of the task.
    pub(crate) partitions: u32,
    /// How it is told changes, where that is not how its task tells them.
    pub(crate) derived: Option<Derived>,
    /// After so many attempts a change is a dead letter; 0 for never.
    pub(crate) max_deliver: u32,
    /// What becomes of it then.
    pub(crate) on_exhausted: OnExhausted,
    /// Of a push group, the secret part of where it is sent; absent where clients pull.
    pub(crate) deliver_token: Option<String>,
}

impl Group {
    /// How changes come to its clients.
    pub(crate) const fn delivery(&self) -> GroupDelivery {
        match self.deliver_token {
            None => GroupDelivery::Pull,
            Some(_) => GroupDelivery::Push,
        }
    }

    /// Its own format; unspecified for that of the task.
    pub(crate) const fn format(&self) -> GroupFormat {
        match &self.derived {
            Some(own) => own.format,
            None => GroupFormat::Unspecified,
        }
    }

    /// Whether its members ask what they may read.
    pub(crate) const fn has_shares(&self) -> bool {
        match self.mode {
            GroupMode::Ordered | GroupMode::Keyed => self.delivery().is_pull(),
            GroupMode::Shared => false,
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    task_id: String,
    name: String,
    account: String,
    password_hash: String,
    created_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    mode: String,
    partitions: i32,
    etl_script: Option<String>,
    etl_on_error: Option<String>,
    format: Option<String>,
    policy_version: i64,
    max_deliver: i32,
    on_exhausted: Option<String>,
    deliver_token: Option<String>,
}

impl TryFrom<Row> for Group {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let version = row.policy_version.unsigned_abs();
        let derived = derived::read(row.etl_script, row.etl_on_error, row.format, version)?;
        let mode = GroupMode::from_name(&row.mode)
            .ok_or_else(|| sqlx::Error::Decode("a mode that is not known".into()))?;
        let malformed = |error: rowcast_domain::ParseIdError| sqlx::Error::Decode(error.into());
        Ok(Self {
            id: row.id.parse().map_err(malformed)?,
            task_id: row.task_id.parse().map_err(malformed)?,
            name: row.name,
            account: row.account,
            password_hash: row.password_hash,
            created_at: row.created_at,
            deleted_at: row.deleted_at,
            mode,
            partitions: u32::try_from(row.partitions)
                .map_err(|error| sqlx::Error::Decode(error.into()))?,
            derived,
            max_deliver: u32::try_from(row.max_deliver)
                .map_err(|error| sqlx::Error::Decode(error.into()))?,
            on_exhausted: match row.on_exhausted {
                None => OnExhausted::of(mode),
                Some(name) => OnExhausted::from_name(&name)
                    .ok_or_else(|| sqlx::Error::Decode("an end that is not known".into()))?,
            },
            deliver_token: row.deliver_token,
        })
    }
}

/// Adds a group; `false` where the task has one of that name.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    group: &Group,
    request_key: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO groups (id, task_id, name, account, password_hash, request_key, created_at, mode,
                             partitions, max_deliver, deliver_token, etl_script, etl_on_error, format,
                             on_exhausted)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (task_id, name) WHERE deleted_at IS NULL DO NOTHING",
    )
    .bind(group.id.as_str())
    .bind(group.task_id.as_str())
    .bind(&group.name)
    .bind(&group.account)
    .bind(&group.password_hash)
    .bind(request_key)
    .bind(group.created_at)
    .bind(group.mode.as_str())
    .bind(i32::try_from(group.partitions).map_err(|error| sqlx::Error::Encode(error.into()))?)
    .bind(i32::try_from(group.max_deliver).map_err(|error| sqlx::Error::Encode(error.into()))?)
    .bind(&group.deliver_token)
    .bind(group.derived.as_ref().and_then(Derived::script))
    .bind(group.derived.as_ref().and_then(Derived::on_error))
    .bind(group.derived.as_ref().and_then(Derived::format))
    .bind(group.on_exhausted.as_str())
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The group with this id, deleted or not.
pub(crate) async fn by_id(
    executor: impl PgExecutor<'_>,
    id: &GroupId,
) -> Result<Option<Group>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, task_id, name, account, password_hash, created_at, deleted_at,
                mode, partitions, max_deliver, deliver_token, etl_script, etl_on_error, format, policy_version, on_exhausted
         FROM groups
         WHERE id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(executor)
    .await?;
    row.map(Group::try_from).transpose()
}

/// The group that a request with this key made, deleted or not.
pub(crate) async fn by_request_key(
    executor: impl PgExecutor<'_>,
    task_id: &TaskId,
    request_key: &str,
) -> Result<Option<Group>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, task_id, name, account, password_hash, created_at, deleted_at,
                mode, partitions, max_deliver, deliver_token, etl_script, etl_on_error, format, policy_version, on_exhausted
         FROM groups
         WHERE task_id = $1
           AND request_key = $2",
    )
    .bind(task_id.as_str())
    .bind(request_key)
    .fetch_optional(executor)
    .await?;
    row.map(Group::try_from).transpose()
}

/// The groups of a task, oldest first.
pub(crate) async fn of_task(
    executor: impl PgExecutor<'_>,
    task_id: &TaskId,
) -> Result<Vec<Group>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, task_id, name, account, password_hash, created_at, deleted_at,
                mode, partitions, max_deliver, deliver_token, etl_script, etl_on_error, format, policy_version, on_exhausted
         FROM groups
         WHERE task_id = $1
           AND deleted_at IS NULL
         ORDER BY created_at, id",
    )
    .bind(task_id.as_str())
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(Group::try_from).collect()
}

/// Groups that are wanted; by task.
pub(crate) async fn wanted(executor: impl PgExecutor<'_>) -> Result<Vec<Group>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, task_id, name, account, password_hash, created_at, deleted_at,
                mode, partitions, max_deliver, deliver_token, etl_script, etl_on_error, format, policy_version, on_exhausted
         FROM groups
         WHERE deleted_at IS NULL
         ORDER BY task_id, id",
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(Group::try_from).collect()
}

/// Deleted ones of which something may be left.
pub(crate) async fn deleted(executor: impl PgExecutor<'_>) -> Result<Vec<Group>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, task_id, name, account, password_hash, created_at, deleted_at,
                mode, partitions, max_deliver, deliver_token, etl_script, etl_on_error, format, policy_version, on_exhausted
         FROM groups
         WHERE deleted_at IS NOT NULL
           AND cleared_at IS NULL
         ORDER BY deleted_at",
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(Group::try_from).collect()
}

/// How many groups a task has.
pub(crate) async fn count(
    connection: &mut PgConnection,
    task_id: &TaskId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM groups WHERE task_id = $1 AND deleted_at IS NULL")
        .bind(task_id.as_str())
        .fetch_one(connection)
        .await
}

/// Marks a group as deleted; `false` where it was before.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    id: &GroupId,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let deleted =
        sqlx::query("UPDATE groups SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL")
            .bind(id.as_str())
            .bind(now)
            .execute(connection)
            .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Notes that nothing is left of a deleted group.
pub(crate) async fn clear(
    executor: impl PgExecutor<'_>,
    id: &GroupId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE groups SET cleared_at = $2 WHERE id = $1 AND deleted_at IS NOT NULL")
        .bind(id.as_str())
        .bind(now)
        .execute(executor)
        .await?;
    Ok(())
}

/// What of a group is to be otherwise; what is absent stays.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) name: Option<String>,
    pub(crate) password_hash: Option<String>,
    pub(crate) max_deliver: Option<i32>,
    pub(crate) on_exhausted: Option<OnExhausted>,
    /// Another policy, or none any more.
    pub(crate) etl: Option<Option<EtlPolicy>>,
}

/// Changes a group; `None` where it is deleted. Where its password is another, its connections are due to be closed
/// once more when every login is over that was judged by the one before: nats-server waits two seconds for
/// the callout. By the database's clock, which all copies of the service share. A policy that is another one is counted.
pub(crate) async fn update(
    executor: impl PgExecutor<'_>,
    id: &GroupId,
    update: &Update,
) -> Result<Option<Group>, sqlx::Error> {
    let etl = update.etl.as_ref().and_then(Option::as_ref);
    let row: Option<Row> = sqlx::query_as(
        "UPDATE groups
         SET name = coalesce($2, name), password_hash = coalesce($3, password_hash),
             max_deliver = coalesce($4, max_deliver), on_exhausted = coalesce($8, on_exhausted),
             etl_script = CASE WHEN $5 THEN $6 ELSE etl_script END,
             etl_on_error = CASE WHEN $5 THEN $7 ELSE etl_on_error END,
             policy_version = policy_version + CASE
                 WHEN $5 AND (etl_script IS DISTINCT FROM $6 OR etl_on_error IS DISTINCT FROM $7) THEN 1
                 ELSE 0
             END,
             kick_due_at = CASE
                 WHEN $3 IS NULL THEN kick_due_at
                 ELSE clock_timestamp() + interval '2500 milliseconds'
             END
         WHERE id = $1
           AND deleted_at IS NULL
         RETURNING id, task_id, name, account, password_hash, created_at, deleted_at, mode, partitions,
                   max_deliver, deliver_token, etl_script, etl_on_error, format, policy_version, on_exhausted",
    )
    .bind(id.as_str())
    .bind(&update.name)
    .bind(&update.password_hash)
    .bind(update.max_deliver)
    .bind(update.etl.is_some())
    .bind(etl.map(|etl| etl.script.as_str()))
    .bind(etl.map(derived::on_error))
    .bind(update.on_exhausted.map(OnExhausted::as_str))
    .fetch_optional(executor)
    .await?;
    row.map(Group::try_from).transpose()
}

/// A group whose connections are to be closed by now.
#[derive(Debug)]
pub(crate) struct KickDue {
    pub(crate) group: GroupId,
    pub(crate) task: TaskId,
    pub(crate) account: String,
    /// When whoever asks next takes it to be undone.
    claimed_until: DateTime<Utc>,
}

/// Groups whose connections are to be closed by now. They are the asker's for some seconds: another copy would close what
/// has logged in with the new password.
pub(crate) async fn kick_due(executor: impl PgExecutor<'_>) -> Result<Vec<KickDue>, sqlx::Error> {
    let rows: Vec<(String, String, String, DateTime<Utc>)> = sqlx::query_as(
        "UPDATE groups
         SET kick_due_at = clock_timestamp() + interval '5 seconds'
         WHERE kick_due_at <= clock_timestamp()
           AND deleted_at IS NULL
         RETURNING id, task_id, account, kick_due_at",
    )
    .fetch_all(executor)
    .await?;
    let due = rows
        .into_iter()
        .map(|(id, task_id, account, claimed_until)| {
            let malformed = |error: rowcast_domain::ParseIdError| sqlx::Error::Decode(error.into());
            Ok(KickDue {
                group: id.parse().map_err(malformed)?,
                task: task_id.parse().map_err(malformed)?,
                account,
                claimed_until,
            })
        });
    due.collect()
}

/// Notes that the connections of a group were closed that were due; not those of a password that has changed since.
pub(crate) async fn kicked(
    executor: impl PgExecutor<'_>,
    due: &KickDue,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE groups SET kick_due_at = NULL WHERE id = $1 AND kick_due_at = $2")
        .bind(due.group.as_str())
        .bind(due.claimed_until)
        .execute(executor)
        .await?;
    Ok(())
}

/// Notes that they were not: they are due again at once.
pub(crate) async fn not_kicked(
    executor: impl PgExecutor<'_>,
    due: &KickDue,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE groups SET kick_due_at = clock_timestamp() WHERE id = $1 AND kick_due_at = $2",
    )
    .bind(due.group.as_str())
    .bind(due.claimed_until)
    .execute(executor)
    .await?;
    Ok(())
}
