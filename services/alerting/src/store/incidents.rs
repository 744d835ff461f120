//! Incidents, open and past.

use chrono::{DateTime, Utc};
use rowcast_domain::{GroupId, ParseIdError, RuleId, TaskId};
use rowcast_proto::message::TaskError;
use rowcast_proto::rest::Severity;
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor};

use crate::incident::{AboutGroup, ByRule, Incident};

/// Most incidents in one answer.
const LISTED: i64 = 200;

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    task_id: String,
    task_name: String,
    rule: String,
    summary: String,
    error_code: Option<String>,
    error_message: String,
    error_advice: String,
    opened_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
    group_id: Option<String>,
    group_name: Option<String>,
    rule_id: Option<String>,
    rule_name: Option<String>,
    severity: Option<String>,
}

const COLUMNS: &str = "id, task_id, task_name, rule, summary, error_code, error_message, error_advice, \
                       opened_at, resolved_at, group_id, group_name, rule_id, rule_name, severity";

impl TryFrom<Row> for Incident {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let not_an_id = |error: ParseIdError| sqlx::Error::Decode(error.into());
        let (message, advice) = (row.error_message, row.error_advice);
        let group = match row.group_id {
            Some(id) => Some(AboutGroup {
                id: id.try_into().map_err(not_an_id)?,
                name: row.group_name.unwrap_or_default(),
            }),
            None => None,
        };
        let by = match row.rule_id {
            Some(id) => Some(ByRule {
                id: id.try_into().map_err(not_an_id)?,
                name: row.rule_name.unwrap_or_default(),
                // That of a newer version is taken for the middle one.
                severity: Severity::from_name(&row.severity.unwrap_or_default())
                    .unwrap_or_default(),
            }),
            None => None,
        };
        Ok(Self {
            id: row.id.try_into().map_err(not_an_id)?,
            task_id: row.task_id.try_into().map_err(not_an_id)?,
            task_name: row.task_name,
            rule: row.rule,
            summary: row.summary,
            error: row.error_code.map(|code| TaskError {
                code,
                message,
                advice,
            }),
            opened_at: row.opened_at,
            resolved_at: row.resolved_at,
            group,
            by,
        })
    }
}

/// The open incident of a task and one of the service's own rules, about this group or the whole task. Nobody else changes it before the transaction ends.
///
/// # Errors
/// Those of the database.
pub(crate) async fn find_open(
    connection: &mut PgConnection,
    task: &TaskId,
    group: Option<&GroupId>,
    rule: &str,
) -> Result<Option<Incident>, sqlx::Error> {
    let query = format!(
        "SELECT {COLUMNS}
         FROM incidents
         WHERE task_id = $1 AND rule = $2 AND coalesce(group_id, '') = $3 AND rule_id IS NULL
           AND resolved_at IS NULL
         FOR UPDATE"
    );
    let row: Option<Row> = sqlx::query_as(AssertSqlSafe(query))
        .bind(task.as_str())
        .bind(rule)
        .bind(group.map_or("", GroupId::as_str))
        .fetch_optional(connection)
        .await?;
    row.map(Incident::try_from).transpose()
}

/// All that are open.
///
/// # Errors
/// Those of the database.
pub(crate) async fn open(executor: impl PgExecutor<'_>) -> Result<Vec<Incident>, sqlx::Error> {
    let query = format!("SELECT {COLUMNS} FROM incidents WHERE resolved_at IS NULL");
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(query))
        .fetch_all(executor)
        .await?;
    rows.into_iter().map(Incident::try_from).collect()
}

/// Takes the open incidents of a rule of which nobody was told since then, to be told again; each with how often it was
/// taken.
///
/// # Errors
/// Those of the database.
pub(crate) async fn take_to_be_told_again(
    connection: &mut PgConnection,
    rule: &RuleId,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<(Incident, i64)>, sqlx::Error> {
    let query = format!(
        "UPDATE incidents
         SET told_at = $3, times_told_again = times_told_again + 1
         WHERE rule_id = $1 AND resolved_at IS NULL AND coalesce(told_at, opened_at) <= $2
         RETURNING {COLUMNS}, times_told_again"
    );
    let rows: Vec<Again> = sqlx::query_as(AssertSqlSafe(query))
        .bind(rule.as_str())
        .bind(since)
        .bind(now)
        .fetch_all(connection)
        .await?;
    rows.into_iter()
        .map(|row| Ok((Incident::try_from(row.incident)?, row.times_told_again)))
        .collect()
}

#[derive(sqlx::FromRow)]
struct Again {
    #[sqlx(flatten)]
    incident: Row,
    times_told_again: i64,
}

/// Stores a new incident.
///
/// # Errors
/// Those of the database.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    incident: &Incident,
) -> Result<(), sqlx::Error> {
    let Incident {
        id,
        task_id,
        task_name,
        rule,
        summary,
        error,
        opened_at,
        resolved_at,
        group,
        by,
    } = incident;
    let text = |part: fn(&TaskError) -> &String| error.as_ref().map_or("", |error| part(error));
    sqlx::query(
        "INSERT INTO incidents (id, task_id, task_name, rule, summary, error_code, error_message,
                                error_advice, opened_at, resolved_at, group_id, group_name, rule_id, rule_name,
                                severity)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(id.as_str())
    .bind(task_id.as_str())
    .bind(task_name)
    .bind(rule)
    .bind(summary)
    .bind(error.as_ref().map(|error| &error.code))
    .bind(text(|error| &error.message))
    .bind(text(|error| &error.advice))
    .bind(opened_at)
    .bind(resolved_at)
    .bind(group.as_ref().map(|group| group.id.as_str()))
    .bind(group.as_ref().map(|group| &group.name))
    .bind(by.as_ref().map(|by| by.id.as_str()))
    .bind(by.as_ref().map(|by| &by.name))
    .bind(by.as_ref().map(|by| by.severity.as_str()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores that an incident has ended.
///
/// # Errors
/// Those of the database.
pub(crate) async fn resolve(
    connection: &mut PgConnection,
    incident: &Incident,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE incidents SET resolved_at = $2 WHERE id = $1")
        .bind(incident.id.as_str())
        .bind(incident.resolved_at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Incidents, newest first: of one task or all, open ones or all.
///
/// # Errors
/// Those of the database.
pub(crate) async fn list(
    executor: impl PgExecutor<'_>,
    task: Option<&TaskId>,
    within: &[String],
    only_open: bool,
) -> Result<Vec<Incident>, sqlx::Error> {
    let query = format!(
        "SELECT {COLUMNS}
         FROM incidents
         WHERE ($1::text IS NULL OR task_id = $1)
           AND (NOT $2 OR resolved_at IS NULL)
           AND (cardinality($4::text[]) = 0 OR task_id = ANY ($4))
         ORDER BY opened_at DESC, id DESC
         LIMIT $3"
    );
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(query))
        .bind(task.map(TaskId::as_str))
        .bind(only_open)
        .bind(LISTED)
        .bind(within)
        .fetch_all(executor)
        .await?;
    rows.into_iter().map(Incident::try_from).collect()
}
