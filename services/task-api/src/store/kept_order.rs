//! Table `kept_orders`.

use chrono::{DateTime, Utc};
use rowcast_domain::TaskId;
use rowcast_proto::rest::PurchaseTask;
use sqlx::postgres::PgPool;
use sqlx::types::Json;

/// An order that waits until it may be bought.
#[derive(Debug)]
pub(crate) struct KeptOrder {
    pub(crate) wanted: PurchaseTask,
    /// The buyer's Idempotency-Key.
    pub(crate) key: Option<String>,
    /// Of a task that is not there yet.
    pub(crate) resource_group: Option<String>,
}

/// Keeps an order; one that was kept before is given up, for nothing was bought for it.
pub(crate) async fn keep(
    pool: &PgPool,
    task: &TaskId,
    order: &KeptOrder,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO kept_orders (task_id, order_body, order_key, resource_group, created_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (task_id) DO UPDATE
         SET order_body = excluded.order_body, order_key = excluded.order_key, created_at = excluded.created_at",
    )
    .bind(task.as_str())
    .bind(Json(&order.wanted))
    .bind(&order.key)
    .bind(&order.resource_group)
    .bind(now)
    .execute(pool)
    .await?;
    Ok(())
}

pub(crate) async fn get(pool: &PgPool, task: &TaskId) -> Result<Option<KeptOrder>, sqlx::Error> {
    let row: Option<(Json<PurchaseTask>, Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT order_body, order_key, resource_group FROM kept_orders WHERE task_id = $1",
    )
    .bind(task.as_str())
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(wanted, key, resource_group)| KeptOrder {
        wanted: wanted.0,
        key,
        resource_group,
    }))
}

/// It is bought, or given up.
pub(crate) async fn forget(pool: &PgPool, task: &TaskId) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM kept_orders WHERE task_id = $1")
        .bind(task.as_str())
        .execute(pool)
        .await?;
    Ok(())
}

/// Forgets orders of tasks that are released, and those from before `since` of tasks that were never configured.
pub(crate) async fn forget_unneeded(
    pool: &PgPool,
    since: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM kept_orders o
         WHERE EXISTS (SELECT FROM tasks WHERE id = o.task_id AND state = 'released')
            OR (o.created_at < $1 AND NOT EXISTS (SELECT FROM tasks WHERE id = o.task_id))",
    )
    .bind(since)
    .execute(pool)
    .await?;
    Ok(())
}
