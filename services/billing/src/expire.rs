//! Subscriptions whose months are over.
//!
//! ```text
//! expires_at is past ─▶ renews by itself? ─▶ order, further months, fact
//!                              │ no
//!                              ▼
//!                    expired, fact ─▶ not renewed within the days of grace ─▶ ended, fact
//! ```
//!
//! Each step is one transaction with the instance's row locked; what another copy works on is skipped.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_bus::Bus;
use rowcast_service::{BoxError, CancellationToken};
use sqlx::postgres::{PgConnection, PgPool};

use crate::intake;
use crate::renew::{Renewal, Renewed, renew, tell};
use crate::store::instance::Instance;
use crate::store::subscription;

/// How often expired subscriptions are looked for.
const PERIOD: Duration = Duration::from_secs(5);

/// How long after the end of its months a subscription is renewed by itself: task-api may have events of a release before
/// that which are not sent yet.
const SETTLING: TimeDelta = TimeDelta::minutes(5);

const ACTOR: &str = "service:billing";

/// Looks until told to stop. `grace` is how long an expired subscription can be renewed.
pub(crate) async fn run(
    bus: Bus,
    pool: PgPool,
    grace: TimeDelta,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        if let Some(Err(error)) = stop.run_until_cancelled(look(&bus, &pool, grace)).await {
            tracing::warn!(error = %error, "expired subscriptions not looked at");
        }
        stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await;
    }
    Ok(())
}

/// Renews nothing while there are events to take, nor right after the end of the months: a task that was released
/// is not renewed.
async fn look(bus: &Bus, pool: &PgPool, grace: TimeDelta) -> Result<(), BoxError> {
    let renews = intake::is_caught_up(bus).await?;
    while judge_one(pool, grace, renews).await? {}
    Ok(())
}

/// Takes one step with one instance; `false` where none is due.
async fn judge_one(pool: &PgPool, grace: TimeDelta, renews: bool) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let now = Utc::now();
    let renew_before = renews.then(|| now - SETTLING);
    let Some(due) = subscription::lock_due(&mut transaction, now, renew_before).await? else {
        return Ok(false);
    };
    if due.release_at.is_some() {
        let ended = subscription::set_lapsed(&mut transaction, &due.task_id, now).await?;
        tell(&mut transaction, &ended, ACTOR).await?;
        tracing::info!(task = due.task_id, "subscription ended without a renewal");
    } else if !(due.auto_renew && renew_itself(&mut transaction, &due, now).await?) {
        let release_at = now + grace;
        let expired = subscription::set_expired(&mut transaction, &due.task_id, release_at).await?;
        tell(&mut transaction, &expired, ACTOR).await?;
        tracing::info!(task = due.task_id, %release_at, "subscription expired");
    }
    transaction.commit().await?;
    Ok(true)
}

/// Renews for as many months as were bought. After a downtime months may be paid that are over by now: the
/// task ran in them.
async fn renew_itself(
    connection: &mut PgConnection,
    due: &Instance,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let Some(months) = due.months()? else {
        return Ok(false);
    };
    let renewal = Renewal {
        months,
        // The version is another one after each renewal.
        order_key: &format!("auto/{}/{}", due.task_id, due.version()),
        actor: ACTOR,
        may_be_past: true,
    };
    match renew(connection, due, &renewal, now).await? {
        Renewed::Instance(_renewed) => Ok(true),
        refused @ (Renewed::PaidByTheHour | Renewed::OrderKeyUsed | Renewed::EndsAt(_)) => {
            tracing::error!(
                task = due.task_id,
                ?refused,
                "subscription not renewed by itself"
            );
            Ok(false)
        }
    }
}
