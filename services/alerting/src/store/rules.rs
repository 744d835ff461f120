//! Rules of users.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rowcast_domain::{ContactId, ParseIdError, RuleId, TaskId};
use rowcast_proto::rest::{RuleMetric, Severity};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, PgPool};

use crate::rule::Rule;

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    metric: String,
    threshold: i64,
    hold_seconds: i64,
    severity: String,
    resource_group: Option<String>,
    task_ids: Vec<String>,
    tags: Json<BTreeMap<String, String>>,
    contacts: Vec<String>,
    repeat_minutes: i64,
    is_enabled: bool,
    created_at: DateTime<Utc>,
    version: i64,
}

const SELECT: &str = "SELECT r.*,
        ARRAY(SELECT contact_id FROM rule_contacts WHERE rule_id = r.id ORDER BY place) AS contacts
 FROM rules AS r";

impl TryFrom<Row> for Rule {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let not_an_id = |error: ParseIdError| sqlx::Error::Decode(error.into());
        let unknown =
            |what: &str, name: &str| sqlx::Error::Decode(format!("a {what} {name:?}").into());
        let tasks = row.task_ids.into_iter().map(TaskId::try_from);
        Ok(Self {
            id: row.id.try_into().map_err(not_an_id)?,
            name: row.name,
            metric: RuleMetric::from_name(&row.metric)
                .ok_or_else(|| unknown("metric", &row.metric))?,
            threshold: row.threshold.unsigned_abs(),
            hold_seconds: u32::try_from(row.hold_seconds).unwrap_or(u32::MAX),
            severity: Severity::from_name(&row.severity)
                .ok_or_else(|| unknown("severity", &row.severity))?,
            resource_group: row.resource_group,
            task_ids: tasks.collect::<Result<_, _>>().map_err(not_an_id)?,
            tags: row.tags.0,
            contacts: row.contacts,
            repeat_minutes: u32::try_from(row.repeat_minutes).unwrap_or(u32::MAX),
            is_enabled: row.is_enabled,
            created_at: row.created_at,
            version: row.version.unsigned_abs(),
        })
    }
}

/// What became of a rule that was to be stored.
#[derive(Debug)]
pub(crate) enum Put {
    /// It is stored, as this.
    Stored(Box<Rule>),
    /// There is none of this id to be changed.
    Gone,
    /// The change was thought out on another version than this one.
    AnotherVersion(u64),
    /// This contact is not there.
    NoContact(String),
}

/// Stores a rule whose version is 0, and changes one with the version that it has. Its metric and when it was made stay.
///
/// # Errors
/// Those of the database.
pub(crate) async fn put(pool: &PgPool, rule: Rule) -> Result<Put, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let present = lock(&mut transaction, &rule.id).await?;
    match (rule.version, present) {
        (0, None) => insert(&mut transaction, &rule).await?,
        (_, None) => return Ok(Put::Gone),
        (wanted, Some(present)) if wanted == present => update(&mut transaction, &rule).await?,
        (_, Some(present)) => return Ok(Put::AnotherVersion(present)),
    }
    sqlx::query("DELETE FROM rule_contacts WHERE rule_id = $1")
        .bind(rule.id.as_str())
        .execute(&mut *transaction)
        .await?;
    for (place, contact) in (0_i64..).zip(&rule.contacts) {
        let inserted = sqlx::query(
            "INSERT INTO rule_contacts (rule_id, contact_id, place)
             SELECT $1, id, $3
             FROM contacts
             WHERE id = $2
             FOR KEY SHARE",
        )
        .bind(rule.id.as_str())
        .bind(contact)
        .bind(place)
        .execute(&mut *transaction)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(Put::NoContact(contact.clone()));
        }
    }
    let stored = get(&mut *transaction, &rule.id).await?;
    transaction.commit().await?;
    Ok(stored.map_or(Put::Gone, |rule| Put::Stored(Box::new(rule))))
}

/// The version that it has.
async fn lock(connection: &mut PgConnection, id: &RuleId) -> Result<Option<u64>, sqlx::Error> {
    let version: Option<i64> =
        sqlx::query_scalar("SELECT version FROM rules WHERE id = $1 FOR UPDATE")
            .bind(id.as_str())
            .fetch_optional(connection)
            .await?;
    Ok(version.map(i64::unsigned_abs))
}

async fn insert(connection: &mut PgConnection, rule: &Rule) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO rules (id, name, metric, created_at, threshold, hold_seconds, severity, resource_group,
                            task_ids, tags, repeat_minutes, is_enabled, version)
         VALUES ($1, $2, $3, $4, 0, 0, $5, NULL, '{}', '{}', 0, false, 0)",
    )
    .bind(rule.id.as_str())
    .bind(&rule.name)
    .bind(rule.metric.as_str())
    .bind(rule.created_at)
    .bind(rule.severity.as_str())
    .execute(&mut *connection)
    .await?;
    update(connection, rule).await
}

async fn update(connection: &mut PgConnection, rule: &Rule) -> Result<(), sqlx::Error> {
    let tasks: Vec<&str> = rule.task_ids.iter().map(TaskId::as_str).collect();
    sqlx::query(
        "UPDATE rules
         SET name = $2, threshold = $3, hold_seconds = $4, severity = $5, resource_group = $6,
             task_ids = $7, tags = $8, repeat_minutes = $9, is_enabled = $10, version = version + 1
         WHERE id = $1",
    )
    .bind(rule.id.as_str())
    .bind(&rule.name)
    .bind(i64::try_from(rule.threshold).unwrap_or(i64::MAX))
    .bind(i64::from(rule.hold_seconds))
    .bind(rule.severity.as_str())
    .bind(&rule.resource_group)
    .bind(tasks)
    .bind(Json(&rule.tags))
    .bind(i64::from(rule.repeat_minutes))
    .bind(rule.is_enabled)
    .execute(connection)
    .await?;
    Ok(())
}

/// The rule of this id.
///
/// # Errors
/// Those of the database.
pub(crate) async fn get(
    executor: impl PgExecutor<'_>,
    id: &RuleId,
) -> Result<Option<Rule>, sqlx::Error> {
    let query = format!("{SELECT} WHERE r.id = $1");
    let row: Option<Row> = sqlx::query_as(AssertSqlSafe(query))
        .bind(id.as_str())
        .fetch_optional(executor)
        .await?;
    row.map(Rule::try_from).transpose()
}

/// All, oldest first. One that a newer version has written and this one cannot read is left out, and logged.
///
/// # Errors
/// Those of the database.
pub(crate) async fn list(executor: impl PgExecutor<'_>) -> Result<Vec<Rule>, sqlx::Error> {
    let query = format!("{SELECT} ORDER BY r.created_at, r.id");
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(query))
        .fetch_all(executor)
        .await?;
    let readable = |row: Row| {
        let id = row.id.clone();
        let read = Rule::try_from(row);
        read.inspect_err(|error| tracing::error!(rule = id, %error, "a rule that cannot be read"))
            .ok()
    };
    Ok(rows.into_iter().filter_map(readable).collect())
}

/// Whether the rule is still there as it was read. It stays so until the transaction ends.
///
/// # Errors
/// Those of the database.
pub(crate) async fn holds(connection: &mut PgConnection, rule: &Rule) -> Result<bool, sqlx::Error> {
    let found = sqlx::query("SELECT 1 FROM rules WHERE id = $1 AND version = $2 FOR SHARE")
        .bind(rule.id.as_str())
        .bind(i64::try_from(rule.version).unwrap_or(i64::MAX))
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

/// Deletes a rule; `false` where there is none.
///
/// # Errors
/// Those of the database.
pub(crate) async fn delete(
    executor: impl PgExecutor<'_>,
    id: &RuleId,
) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query("DELETE FROM rules WHERE id = $1")
        .bind(id.as_str())
        .execute(executor)
        .await?;
    Ok(deleted.rows_affected() == 1)
}

/// The rules that name a contact, oldest first.
///
/// # Errors
/// Those of the database.
pub(crate) async fn naming(
    executor: impl PgExecutor<'_>,
    contact: &ContactId,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT r.id
         FROM rules AS r
         JOIN rule_contacts AS c ON c.rule_id = r.id
         WHERE c.contact_id = $1
         ORDER BY r.created_at, r.id",
    )
    .bind(contact.as_str())
    .fetch_all(executor)
    .await
}
