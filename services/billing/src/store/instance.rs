//! Table `instances`.

use chrono::{DateTime, Utc};
use rowcast_domain::Months;
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
    /// When the task was released.
    ended_at: Option<DateTime<Utc>>,
    charge_type: String,
    months: i32,
    month_micros: i64,
    pub(crate) auto_renew: bool,
    /// When the months of a subscription are over.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// While it is expired: when it ends, unless it is renewed.
    pub(crate) release_at: Option<DateTime<Utc>>,
    /// When it ended because it was not renewed in time.
    lapsed_at: Option<DateTime<Utc>>,
    version: i64,
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
    /// When the months of a subscription are over.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) auto_renew: bool,
}

/// The stored name of a charge type.
pub(super) const fn charge_type_name(charge_type: m::ChargeType) -> &'static str {
    match charge_type {
        m::ChargeType::Subscription => "subscription",
        // Nothing of an unknown type is sold.
        m::ChargeType::PayAsYouGo | m::ChargeType::Unspecified => "pay_as_you_go",
    }
}

/// The charge type with this stored name.
pub(super) fn charge_type(name: &str) -> Result<m::ChargeType, sqlx::Error> {
    match name {
        "pay_as_you_go" => Ok(m::ChargeType::PayAsYouGo),
        "subscription" => Ok(m::ChargeType::Subscription),
        other => Err(sqlx::Error::Decode(format!("charge type {other:?}").into())),
    }
}

impl Instance {
    /// Price of one hour in millionths.
    pub(crate) fn hour_micros(&self) -> Result<u64, sqlx::Error> {
        unsigned(self.hour_micros)
    }

    /// For how many months it was bought; `None` where it is paid by the hour.
    pub(crate) fn months(&self) -> Result<Option<Months>, sqlx::Error> {
        if self.months == 0 {
            return Ok(None);
        }
        Months::of_renewal(unsigned(self.months)?)
            .map(Some)
            .map_err(|error| sqlx::Error::Decode(error.into()))
    }

    /// Counts the changes of its state.
    pub(crate) const fn version(&self) -> i64 {
        self.version
    }

    /// Whether it lets its task run.
    pub(crate) const fn state(&self) -> m::InstanceState {
        if self.ended_at.is_some() || self.lapsed_at.is_some() {
            m::InstanceState::Ended
        } else if self.release_at.is_some() {
            m::InstanceState::Expired
        } else {
            m::InstanceState::Active
        }
    }

    /// As the others see it.
    pub(crate) fn to_message(&self) -> Result<m::Instance, sqlx::Error> {
        Ok(m::Instance {
            id: self.id.clone(),
            task_id: self.task_id.clone(),
            charge_type: charge_type(&self.charge_type)?.into(),
            hour_micros: self.hour_micros()?,
            currency: self.currency.clone(),
            price_version: self.price_version.clone(),
            purchased_at: Some(self.purchased_at.into()),
            expires_at: self.expires_at.map(Into::into),
            auto_renew: self.auto_renew,
            months: unsigned(self.months)?,
            month_micros: unsigned(self.month_micros)?,
            state: self.state().into(),
            version: unsigned(self.version)?,
            release_at: self.release_at.map(Into::into),
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
                                purchased_at, metered_until, charge_type, months, month_micros,
                                auto_renew, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT DO NOTHING
         RETURNING *",
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
    .bind(charge_type_name(purchase.quote.charge_type()))
    .bind(signed::<i32>(purchase.quote.months)?)
    .bind(signed::<i64>(purchase.quote.month_micros)?)
    .bind(purchase.auto_renew)
    .bind(purchase.expires_at)
    .fetch_optional(connection)
    .await
}

/// The instance of a task.
pub(crate) async fn of_task(
    executor: impl PgExecutor<'_>,
    task_id: &str,
) -> Result<Option<Instance>, sqlx::Error> {
    sqlx::query_as("SELECT * FROM instances WHERE task_id = $1")
        .bind(task_id)
        .fetch_optional(executor)
        .await
}

/// The instances of several tasks, by task id.
pub(crate) async fn of_tasks(
    executor: impl PgExecutor<'_>,
    task_ids: &[String],
) -> Result<Vec<Instance>, sqlx::Error> {
    sqlx::query_as("SELECT * FROM instances WHERE task_id = ANY ($1) ORDER BY task_id")
        .bind(task_ids)
        .fetch_all(executor)
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
