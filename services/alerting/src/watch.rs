//! Looks at tasks and their groups, and has judged what is seen.
//!
//! ```text
//! KV rowcast_tasks ────────┐
//! KV rowcast_task_status ──┼─▶ every 2 s: tasks ─▶ reading ─▶ judge: raise, tell again or resolve?
//! open incidents ──────────┘                                   ▲
//! rules of users, thresholds of tasks ─────────────────────────┘
//! ```
//!
//! How far tasks are behind, and since when something is above what a rule allows, is held in memory, so one
//! copy of alerting judges: the one that holds a lock of the database, and only by the connection that holds
//! it. The next one begins with what is open.

use std::time::Duration;

use chrono::Utc;
use futures::StreamExt as _;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::{Bus, provision};
use rowcast_proto::stream::{TASK_STATUS, TASKS};
use rowcast_service::{BoxError, CancellationToken};
use sqlx::{PgConnection, PgPool};
use tokio::time::MissedTickBehavior;

use crate::judge::Judge;
use crate::tasks::Tasks;

/// How often every task is judged.
const EVERY: Duration = Duration::from_secs(2);

/// How long to wait after a failure, or while another copy judges.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Judges until told to stop.
///
/// # Errors
/// None while the database and NATS can come back: those failures are retried.
pub(crate) async fn run(pool: PgPool, bus: Bus, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        let judging = stop.run_until_cancelled(Box::pin(until_failure(&pool, &bus)));
        if let Some(Err(error)) = judging.await {
            tracing::warn!(%error, "delays are not judged, trying again");
        }
        stop.run_until_cancelled(tokio::time::sleep(AGAIN_AFTER))
            .await;
    }
    Ok(())
}

/// Ends at once where another copy judges.
async fn until_failure(pool: &PgPool, bus: &Bus) -> Result<(), BoxError> {
    let mut connection = pool.acquire().await?;
    let is_ours: bool = sqlx::query_scalar(
        "SELECT pg_try_advisory_lock(hashtext(current_schema()), hashtext('delays'))",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !is_ours {
        return Ok(());
    }
    // Of the pool no longer: the lock ends with the connection, and only with it.
    let mut connection = connection.detach();
    let wishes = provision::bucket(bus, &TASKS).await?;
    let reports = provision::bucket(bus, &TASK_STATUS).await?;
    follow(&mut connection, &wishes, &reports).await
}

async fn follow(
    connection: &mut PgConnection,
    wishes: &kv::Store,
    reports: &kv::Store,
) -> Result<(), BoxError> {
    let mut tasks = Tasks::default();
    let mut judge = Judge::default();
    // Nothing is judged by half of the wishes: what is open would end.
    let mut is_complete = wishes.stream.cached_info().state.messages == 0;
    let mut wishes = wishes.watch_with_history(">").await?;
    let mut reports = reports.watch_with_history(">").await?;
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            wish = wishes.next() => {
                let entry = wish.ok_or("the watch of wishes has ended")??;
                is_complete |= entry.seen_current || entry.delta == 0;
                tasks.learn(&entry);
            }
            report = reports.next() => {
                tasks.hear(&report.ok_or("the watch of reports has ended")??);
            }
            _ = timer.tick(), if is_complete => judge.round(connection, &mut tasks, Utc::now()).await?,
        }
    }
}
