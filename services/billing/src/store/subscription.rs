//! Table `instances`, of those that are paid in advance: expiry, renewal, end.

use chrono::{DateTime, Utc};
use rowcast_proto::message as m;
use sqlx::postgres::{PgConnection, PgExecutor};

use super::instance::Instance;
use super::signed;

/// Reads the instance of a task and keeps it from being changed until the end of the transaction.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    task_id: &str,
) -> Result<Option<Instance>, sqlx::Error> {
    sqlx::query_as("SELECT * FROM instances WHERE task_id = $1 FOR UPDATE")
        .bind(task_id)
        .fetch_optional(connection)
        .await
}

/// Locks one whose months are over and that nobody knows of, or whose time to be renewed is over. One that renews itself
/// is due where its months ended before `renew_before`. Those that another copy, or a buyer, works on are left out.
pub(crate) async fn lock_due(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    renew_before: Option<DateTime<Utc>>,
) -> Result<Option<Instance>, sqlx::Error> {
    sqlx::query_as(
        "SELECT *
         FROM instances
         WHERE expires_at <= $1
           AND ended_at IS NULL
           AND lapsed_at IS NULL
           AND (release_at IS NULL OR release_at <= $1)
           AND (release_at IS NOT NULL OR NOT auto_renew OR expires_at <= $2)
         ORDER BY expires_at
         LIMIT 1
         FOR UPDATE SKIP LOCKED",
    )
    .bind(now)
    .bind(renew_before)
    .fetch_optional(connection)
    .await
}

/// Notes that the months are over, and when the instance ends.
pub(crate) async fn set_expired(
    connection: &mut PgConnection,
    task_id: &str,
    release_at: DateTime<Utc>,
) -> Result<Instance, sqlx::Error> {
    sqlx::query_as(
        "UPDATE instances
         SET release_at = $2, version = version + 1
         WHERE task_id = $1
         RETURNING *",
    )
    .bind(task_id)
    .bind(release_at)
    .fetch_one(connection)
    .await
}

/// Notes that the instance was not renewed in time.
pub(crate) async fn set_lapsed(
    connection: &mut PgConnection,
    task_id: &str,
    at: DateTime<Utc>,
) -> Result<Instance, sqlx::Error> {
    sqlx::query_as(
        "UPDATE instances
         SET lapsed_at = $2, version = version + 1
         WHERE task_id = $1
         RETURNING *",
    )
    .bind(task_id)
    .bind(at)
    .fetch_one(connection)
    .await
}

/// Notes further months, at the price of now.
pub(crate) async fn set_renewed(
    connection: &mut PgConnection,
    task_id: &str,
    expires_at: DateTime<Utc>,
    quote: &m::Quote,
) -> Result<Instance, sqlx::Error> {
    sqlx::query_as(
        "UPDATE instances
         SET expires_at = $2, release_at = NULL, month_micros = $3, price_version = $4,
             version = version + 1
         WHERE task_id = $1
         RETURNING *",
    )
    .bind(task_id)
    .bind(expires_at)
    .bind(signed::<i64>(quote.month_micros)?)
    .bind(&quote.price_version)
    .fetch_one(connection)
    .await
}

/// Notes whether the instance is to be renewed by itself.
pub(crate) async fn set_auto_renew(
    executor: impl PgExecutor<'_>,
    task_id: &str,
    auto_renew: bool,
) -> Result<Instance, sqlx::Error> {
    sqlx::query_as("UPDATE instances SET auto_renew = $2 WHERE task_id = $1 RETURNING *")
        .bind(task_id)
        .bind(auto_renew)
        .fetch_one(executor)
        .await
}
