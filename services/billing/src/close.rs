//! Hours that are over become usage lines.
//!
//! A task's hours are closed in order, each once: the line, the fact about it and the mark of how far
//! the task is closed are one transaction. What was missed while billing was down is made up for at
//! the next start.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_bus::{Bus, event_meta};
use rowcast_proto::message::{UsageLine, UsageMetered};
use rowcast_service::{BoxError, CancellationToken};
use sqlx::postgres::PgPool;

use crate::meter::{self, Hour};
use crate::{intake, outbox, price, store};

/// How often past hours are looked for.
const PERIOD: Duration = Duration::from_secs(60);

/// How soon to look again while the intake lags behind.
const PERIOD_BEHIND: Duration = Duration::from_secs(1);

/// How long after its end an hour is closed: task-api may have events of it that are not sent yet.
const GRACE: TimeDelta = TimeDelta::minutes(5);

/// How long taken events are remembered; much longer than the stream keeps them.
const MEMORY: TimeDelta = TimeDelta::days(30);

/// Closes hours until told to stop.
pub(crate) async fn run(bus: Bus, pool: PgPool, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        let wait = match close_if_caught_up(&bus, &pool).await {
            Ok(true) => PERIOD,
            Ok(false) => PERIOD_BEHIND,
            Err(error) => {
                tracing::warn!(error = %error, "hours not closed yet");
                PERIOD_BEHIND
            }
        };
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
    Ok(())
}

/// Closes nothing while there are events to take: after a downtime they say what past hours held.
async fn close_if_caught_up(bus: &Bus, pool: &PgPool) -> Result<bool, BoxError> {
    let now = Utc::now();
    if !intake::is_caught_up(bus).await? {
        return Ok(false);
    }
    close_hours(pool, Hour::containing(now - GRACE)).await?;
    store::seen_event::forget(pool, now - MEMORY).await?;
    Ok(true)
}

/// Closes every hour before `horizon`.
async fn close_hours(pool: &PgPool, horizon: Hour) -> Result<(), sqlx::Error> {
    for task_id in store::instance::tasks_to_close(pool, horizon.start()).await? {
        // One task's failure must not keep the others' hours open; it is tried again.
        if let Err(error) = close_task(pool, &task_id, horizon.start()).await {
            tracing::error!(task = task_id, error = %error, "hours of a task not closed");
        }
    }
    Ok(())
}

async fn close_task(
    pool: &PgPool,
    task_id: &str,
    horizon: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    store::lock_task(&mut transaction, task_id).await?;
    let Some(instance) = store::instance::of_task(&mut *transaction, task_id).await? else {
        return Ok(());
    };
    if instance.metered_until >= horizon {
        // Another copy was faster.
        return Ok(());
    }
    let from = instance.metered_until.max(instance.purchased_at);
    let intervals = store::interval::between(&mut *transaction, task_id, from, horizon).await?;
    let hour_micros = instance.hour_micros()?;
    for (hour, seconds) in meter::seconds_by_hour(&intervals, from, horizon) {
        let amount_micros = price::amount_micros(seconds, hour_micros);
        let hour = hour.start();
        store::usage::insert(&mut transaction, task_id, hour, seconds, amount_micros).await?;
        let metered = UsageMetered {
            meta: Some(event_meta()),
            line: Some(UsageLine {
                task_id: task_id.to_owned(),
                hour: Some(hour.into()),
                seconds,
                amount_micros,
                currency: instance.currency.clone(),
                closed: true,
            }),
        };
        outbox::append(&mut transaction, &metered).await?;
    }
    store::instance::set_metered_until(&mut transaction, task_id, horizon).await?;
    transaction.commit().await
}
