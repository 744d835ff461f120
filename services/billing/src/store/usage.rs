//! Table `usage`.

use chrono::{DateTime, Utc};
use rowcast_proto::message as m;
use sqlx::postgres::{PgConnection, PgExecutor};

use super::{signed, unsigned};

#[derive(Debug, sqlx::FromRow)]
struct Line {
    hour: DateTime<Utc>,
    seconds: i32,
    amount_micros: i64,
    currency: String,
}

/// Writes the line of a closed hour.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    task_id: &str,
    hour: DateTime<Utc>,
    seconds: u32,
    amount_micros: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO usage (task_id, hour, seconds, amount_micros) VALUES ($1, $2, $3, $4)",
    )
    .bind(task_id)
    .bind(hour)
    .bind(signed::<i32>(seconds)?)
    .bind(signed::<i64>(amount_micros)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// The newest `limit` closed hours of a task, oldest first.
pub(crate) async fn newest(
    executor: impl PgExecutor<'_>,
    task_id: &str,
    limit: i64,
) -> Result<Vec<m::UsageLine>, sqlx::Error> {
    let lines: Vec<Line> = sqlx::query_as(
        "SELECT usage.hour, usage.seconds, usage.amount_micros, instances.currency
         FROM usage
         JOIN instances USING (task_id)
         WHERE usage.task_id = $1
         ORDER BY usage.hour DESC
         LIMIT $2",
    )
    .bind(task_id)
    .bind(limit)
    .fetch_all(executor)
    .await?;
    lines
        .into_iter()
        .rev()
        .map(|line| {
            Ok(m::UsageLine {
                task_id: task_id.to_owned(),
                hour: Some(line.hour.into()),
                seconds: unsigned(line.seconds)?,
                amount_micros: unsigned(line.amount_micros)?,
                currency: line.currency,
                closed: true,
            })
        })
        .collect()
}
