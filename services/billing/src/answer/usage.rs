//! What a task has used, by hour.

use chrono::{DateTime, Utc};
use rowcast_proto::message::{RpcError, UsageLine, UsageReply, UsageRequest};
use sqlx::postgres::PgPool;

use super::{check_task_id, database};
use crate::{meter, price, store};

/// Closed hours in an answer, the newest: 62 days. Their JSON stays far below the largest NATS
/// message of 1 MB.
const MAX_LINES: i64 = 62 * 24;

pub(super) async fn answer(pool: PgPool, question: UsageRequest) -> Result<UsageReply, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    let lines = lines(&pool, task_id.as_str(), Utc::now())
        .await
        .map_err(database)?;
    Ok(UsageReply { lines })
}

/// Closed hours, then those still open as they stand at `now`.
async fn lines(
    pool: &PgPool,
    task_id: &str,
    now: DateTime<Utc>,
) -> Result<Vec<UsageLine>, sqlx::Error> {
    // One snapshot: an hour that is closed in between must not be missing, nor be there twice.
    let mut snapshot = pool
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let Some(instance) = store::instance::of_task(&mut *snapshot, task_id).await? else {
        return Ok(Vec::new());
    };
    let mut lines = store::usage::newest(&mut *snapshot, task_id, MAX_LINES).await?;
    let from = instance.metered_until.max(instance.purchased_at);
    let intervals = store::interval::between(&mut *snapshot, task_id, from, now).await?;
    snapshot.commit().await?;

    let hour_micros = instance.hour_micros()?;
    let open = meter::seconds_by_hour(&intervals, from, now);
    lines.extend(open.into_iter().map(|(hour, seconds)| UsageLine {
        task_id: task_id.to_owned(),
        hour: Some(hour.start().into()),
        seconds,
        amount_micros: price::amount_micros(seconds, hour_micros),
        currency: instance.currency.clone(),
        closed: false,
    }));
    Ok(lines)
}
