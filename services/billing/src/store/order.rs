//! Table `orders`.

use chrono::{DateTime, Utc};
use rowcast_proto::message as m;
use sqlx::postgres::{PgConnection, PgExecutor};

use super::instance::charge_type;
use super::{signed, unsigned};

/// One thing that was bought.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Order {
    id: String,
    pub(crate) task_id: String,
    pub(crate) renewal: bool,
    charge_type: String,
    months: i32,
    amount_micros: i64,
    currency: String,
    price_version: String,
    actor: String,
    ordered_at: DateTime<Utc>,
    period_from: Option<DateTime<Utc>>,
    period_until: Option<DateTime<Utc>>,
}

/// An order to be written.
#[derive(Debug)]
pub(crate) struct NewOrder<'a> {
    pub(crate) id: &'a str,
    pub(crate) order_key: &'a str,
    pub(crate) task_id: &'a str,
    pub(crate) renewal: bool,
    pub(crate) quote: &'a m::Quote,
    pub(crate) actor: &'a str,
    pub(crate) ordered_at: DateTime<Utc>,
    /// Begin and end of the months.
    pub(crate) period: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Order {
    /// For how many months.
    pub(crate) fn months(&self) -> Result<u32, sqlx::Error> {
        unsigned(self.months)
    }

    /// As the others see it.
    pub(crate) fn to_message(&self) -> Result<m::Order, sqlx::Error> {
        Ok(m::Order {
            id: self.id.clone(),
            task_id: self.task_id.clone(),
            renewal: self.renewal,
            charge_type: charge_type(&self.charge_type)?.into(),
            months: self.months()?,
            amount_micros: unsigned(self.amount_micros)?,
            currency: self.currency.clone(),
            price_version: self.price_version.clone(),
            actor: self.actor.clone(),
            ordered_at: Some(self.ordered_at.into()),
            period_from: self.period_from.map(Into::into),
            period_until: self.period_until.map(Into::into),
        })
    }
}

/// Writes an order; `false` where its key has one.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    order: &NewOrder<'_>,
) -> Result<bool, sqlx::Error> {
    let (period_from, period_until) = order.period.unzip();
    let inserted = sqlx::query(
        "INSERT INTO orders (id, order_key, task_id, renewal, charge_type, months, amount_micros,
                             currency, price_version, actor, ordered_at, period_from, period_until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (order_key) DO NOTHING",
    )
    .bind(order.id)
    .bind(order.order_key)
    .bind(order.task_id)
    .bind(order.renewal)
    .bind(super::instance::charge_type_name(order.quote.charge_type()))
    .bind(signed::<i32>(order.quote.months)?)
    .bind(signed::<i64>(order.quote.amount_micros)?)
    .bind(&order.quote.currency)
    .bind(&order.quote.price_version)
    .bind(order.actor)
    .bind(order.ordered_at)
    .bind(period_from)
    .bind(period_until)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The order with this key.
pub(crate) async fn with_key(
    executor: impl PgExecutor<'_>,
    order_key: &str,
) -> Result<Option<Order>, sqlx::Error> {
    sqlx::query_as("SELECT * FROM orders WHERE order_key = $1")
        .bind(order_key)
        .fetch_optional(executor)
        .await
}

/// The orders of a task, oldest first.
pub(crate) async fn of_task(
    executor: impl PgExecutor<'_>,
    task_id: &str,
) -> Result<Vec<Order>, sqlx::Error> {
    sqlx::query_as("SELECT * FROM orders WHERE task_id = $1 ORDER BY ordered_at, id")
        .bind(task_id)
        .fetch_all(executor)
        .await
}
