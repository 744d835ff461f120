//! What contacts are to be told, and have been.

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_domain::{ContactId, DeliveryId, IncidentId, ParseIdError, TaskId};
use sqlx::{PgConnection, PgPool};

/// How long another copy leaves one alone that a copy has taken: longer than it takes to tell it.
const TAKEN_FOR: TimeDelta = TimeDelta::seconds(30);

/// How long it is known that something was told.
const KEPT: TimeDelta = TimeDelta::days(14);

/// Something that a contact is to be told.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: DeliveryId,
    pub(crate) contact_id: ContactId,
    pub(crate) task_id: TaskId,
    pub(crate) body: String,
    pub(crate) created_at: DateTime<Utc>,
    /// This one included.
    pub(crate) attempts: u32,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    contact_id: String,
    task_id: String,
    body: String,
    created_at: DateTime<Utc>,
    attempts: i32,
}

impl TryFrom<Row> for Delivery {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let not_an_id = |error: ParseIdError| sqlx::Error::Decode(error.into());
        Ok(Self {
            id: row.id.try_into().map_err(not_an_id)?,
            contact_id: row.contact_id.try_into().map_err(not_an_id)?,
            task_id: row.task_id.try_into().map_err(not_an_id)?,
            body: row.body,
            created_at: row.created_at,
            attempts: row.attempts.unsigned_abs(),
        })
    }
}

/// An event of an incident, as contacts are told.
#[derive(Debug)]
pub(crate) struct Notice<'a> {
    pub(crate) incident: &'a IncidentId,
    pub(crate) task: &'a TaskId,
    pub(crate) event: &'a str,
    pub(crate) body: &'a str,
}

/// Those who were told that an incident has begun, or are to be.
///
/// # Errors
/// Those of the database.
pub(crate) async fn contacts_of(
    connection: &mut PgConnection,
    incident: &IncidentId,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT DISTINCT contact_id FROM deliveries WHERE incident_id = $1")
        .bind(incident.as_str())
        .fetch_all(connection)
        .await
}

/// Those of them who wait to be told something of it.
///
/// # Errors
/// Those of the database.
pub(crate) async fn waiting(
    connection: &mut PgConnection,
    incident: &IncidentId,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT DISTINCT contact_id FROM deliveries WHERE incident_id = $1 AND ended_at IS NULL",
    )
    .bind(incident.as_str())
    .fetch_all(connection)
    .await
}

/// Writes down that a contact is to be told. One that is no longer there is not.
///
/// # Errors
/// Those of the database.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    contact: &str,
    notice: &Notice<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO deliveries (id, contact_id, incident_id, task_id, event, body, created_at, due_at)
         SELECT $1, id, $3, $4, $5, $6, clock_timestamp(), clock_timestamp()
         FROM contacts
         WHERE id = $2
         ON CONFLICT (incident_id, contact_id, event) DO NOTHING",
    )
    .bind(DeliveryId::random().as_str())
    .bind(contact)
    .bind(notice.incident.as_str())
    .bind(notice.task.as_str())
    .bind(notice.event)
    .bind(notice.body)
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes one that is due. That an incident has ended is due once it was told, or given up, that it began.
///
/// # Errors
/// Those of the database.
pub(crate) async fn take_due(pool: &PgPool) -> Result<Option<Delivery>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "UPDATE deliveries
         SET attempts = attempts + 1, due_at = clock_timestamp() + $1
         WHERE id = (SELECT d.id
                     FROM deliveries AS d
                     WHERE d.ended_at IS NULL
                       AND d.due_at <= clock_timestamp()
                       AND NOT EXISTS (SELECT 1
                                       FROM deliveries AS before
                                       WHERE before.incident_id = d.incident_id
                                         AND before.contact_id = d.contact_id
                                         AND before.created_at < d.created_at
                                         AND before.ended_at IS NULL)
                     -- Who does not answer must not hold up the others.
                     ORDER BY d.attempts, d.due_at
                     LIMIT 1
                     FOR UPDATE SKIP LOCKED)
         RETURNING id, contact_id, task_id, body, created_at, attempts",
    )
    .bind(TAKEN_FOR)
    .fetch_optional(pool)
    .await?;
    row.map(Delivery::try_from).transpose()
}

/// It is told, or given up.
///
/// # Errors
/// Those of the database.
pub(crate) async fn end(
    pool: &PgPool,
    id: &DeliveryId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE deliveries SET ended_at = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(now)
        .execute(pool)
        .await?;
    Ok(())
}

/// It is to be tried again after so long, unless another copy has taken it since.
///
/// # Errors
/// Those of the database.
pub(crate) async fn put_off(
    pool: &PgPool,
    id: &DeliveryId,
    attempts: u32,
    wait: TimeDelta,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE deliveries
         SET due_at = clock_timestamp() + $3
         WHERE id = $1
           AND attempts = $2",
    )
    .bind(id.as_str())
    .bind(i32::try_from(attempts).unwrap_or(i32::MAX))
    .bind(wait)
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets what was told long ago. What tells of an incident that is open is kept: its end is told to the same.
///
/// # Errors
/// Those of the database.
pub(crate) async fn forget(pool: &PgPool, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM deliveries AS d
         USING incidents AS i
         WHERE i.id = d.incident_id
           -- What is repeated says no more than what was raised, which tells who knows of it.
           AND (i.resolved_at IS NOT NULL OR d.event LIKE 'repeated%')
           AND d.ended_at < $1",
    )
    .bind(now - KEPT)
    .execute(pool)
    .await?;
    Ok(())
}
