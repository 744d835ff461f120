//! Table `instances`.

use chrono::{DateTime, Utc};
use rowcast_proto::message as m;
use sqlx::postgres::{PgConnection, PgExecutor};

use super::{signed, unsigned};

/// What is bought for a task.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) task_id: String,
    pub(crate) order_key: String,
    hour_micros: i64,
    pub(crate) currency: String,
    pub(crate) price_version: String,
    pub(crate) purchased_at: DateTime<Utc>,
    /// Start of the first hour that is not closed yet.
    pub(crate) metered_until: DateTime<Utc>,
}

/// A purchase to be written.
#[derive(Debug)]
pub(crate) struct Purchase<'a> {
    pub(crate) id: &'a str,
    pub(crate) task_id: &'a str,
    pub(crate) order_key: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) quote: &'a m::Quote,
    pub(crate) purchased_at: DateTime<Utc>,
    pub(crate) metered_until: DateTime<Utc>,
}

impl Instance {
    /// Price of one hour in millionths.
    pub(crate) fn hour_micros(&self) -> Result<u64, sqlx::Error> {
        unsigned(self.hour_micros)
    }

    /// As the others see it.
    pub(crate) fn to_message(&self) -> Result<m::Instance, sqlx::Error> {
        Ok(m::Instance {
            id: self.id.clone(),
            task_id: self.task_id.clone(),
            charge_type: m::ChargeType::PayAsYouGo.into(),
            hour_micros: self.hour_micros()?,
            currency: self.currency.clone(),
            price_version: self.price_version.clone(),
            purchased_at: Some(self.purchased_at.into()),
        })
    }
}

/// Writes a purchase; `None` where the task or the order key has one.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    purchase: &Purchase<'_>,
) -> Result<Option<Instance>, sqlx::Error> {
    sqlx::query_as(
        "INSERT INTO instances (id, task_id, order_key, actor, hour_micros, currency, price_version,
                                purchased_at, metered_until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT DO NOTHING
         RETURNING id, task_id, order_key, hour_micros, currency, price_version, purchased_at,
                   metered_until",
    )
    .bind(purchase.id)
    .bind(purchase.task_id)
    .bind(purchase.order_key)
    .bind(purchase.actor)
    .bind(signed::<i64>(purchase.quote.hour_micros)?)
    .bind(&purchase.quote.currency)
    .bind(&purchase.quote.price_version)
    .bind(purchase.purchased_at)
    .bind(purchase.metered_until)
    .fetch_optional(connection)
    .await
}

/// The instance of a task.
pub(crate) async fn of_task(
    executor: impl PgExecutor<'_>,
    task_id: &str,
) -> Result<Option<Instance>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, task_id, order_key, hour_micros, currency, price_version, purchased_at,
                metered_until
         FROM instances
         WHERE task_id = $1",
    )
    .bind(task_id)
    .fetch_optional(executor)
    .await
}

/// Tasks with hours before `horizon` that are not closed.
pub(crate) async fn tasks_to_close(
    executor: impl PgExecutor<'_>,
    horizon: DateTime<Utc>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT task_id
         FROM instances
         WHERE metered_until < $1
           AND (ended_at IS NULL OR metered_until <= ended_at)
         ORDER BY task_id",
    )
    .bind(horizon)
    .fetch_all(executor)
    .await
}

/// Notes that every hour before `until` is closed.
pub(crate) async fn set_metered_until(
    connection: &mut PgConnection,
    task_id: &str,
    until: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE instances SET metered_until = $2 WHERE task_id = $1")
        .bind(task_id)
        .bind(until)
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes that the task is released; of several times the first stands.
pub(crate) async fn end(
    connection: &mut PgConnection,
    task_id: &str,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE instances SET ended_at = least(ended_at, $2) WHERE task_id = $1")
        .bind(task_id)
        .bind(at)
        .execute(connection)
        .await?;
    Ok(())
}
