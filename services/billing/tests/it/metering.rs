//! From changes of state to usage lines.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::message as m;
use rowcast_proto::rpc::GetUsage;
use rowcast_testkit::eventually;

use crate::fixture::{Billing, LIMIT};

/// The start of an hour five hours back: well past what is still open.
fn past_hour() -> anyhow::Result<DateTime<Utc>> {
    Ok(Utc::now().duration_trunc(TimeDelta::hours(1))? - TimeDelta::hours(5))
}

/// Moves a purchase back, as if the test had begun then.
async fn backdate(billing: &Billing, task: &TaskId, to: DateTime<Utc>) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE billing.instances SET purchased_at = $2, metered_until = $2 WHERE task_id = $1",
    )
    .bind(task.as_str())
    .bind(to)
    .execute(&billing.pool)
    .await?;
    Ok(())
}

async fn usage(billing: &Billing, task: &TaskId) -> anyhow::Result<Vec<m::UsageLine>> {
    let question = m::UsageRequest {
        task_id: task.to_string(),
    };
    Ok(billing.ask::<GetUsage>(&question).await?.lines)
}

fn seconds(lines: &[m::UsageLine]) -> Vec<u32> {
    lines.iter().map(|line| line.seconds).collect()
}

#[tokio::test]
async fn hours_missed_while_down_are_closed_after_the_events_of_that_time() -> anyhow::Result<()> {
    let mut billing = Billing::start().await?;
    let task = TaskId::random();
    billing.purchase(&task).await?;
    billing.kill().await?;
    let hour = past_hour()?;
    backdate(&billing, &task, hour).await?;

    // Running from minute 10 of the first hour to minute 20 of the third; told in the wrong order,
    // and the end of it twice.
    let minute = |minutes| hour + TimeDelta::minutes(minutes);
    let suspended = billing
        .tell(&task, TaskState::Suspended, minute(140))
        .await?;
    billing.tell(&task, TaskState::Running, minute(11)).await?;
    billing.tell(&task, TaskState::Starting, minute(10)).await?;
    billing.send(&suspended, "-again").await?;
    billing.resume().await?;

    eventually("three hours are closed", LIMIT, async || {
        usage(&billing, &task).await.is_ok_and(|lines| {
            seconds(&lines) == [3000, 3600, 1200] && lines.iter().all(|line| line.closed)
        })
    })
    .await;
    let lines = usage(&billing, &task).await?;
    let amounts: Vec<_> = lines.iter().map(|line| line.amount_micros).collect();
    assert_eq!(amounts, [100_000, 120_000, 40_000]);

    // A third start closes nothing twice, and every line was told once.
    billing.kill().await?;
    billing.resume().await?;
    let told = billing.facts::<m::UsageMetered>().await?;
    let told: Vec<_> = told.into_iter().filter_map(|fact| fact.line).collect();
    assert_eq!(told, lines);
    Ok(())
}

#[tokio::test]
async fn the_open_hour_grows_until_the_task_is_released() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    let task = TaskId::random();
    billing.purchase(&task).await?;
    billing.tell(&task, TaskState::Running, Utc::now()).await?;
    eventually("the open hour has two seconds", LIMIT, async || {
        usage(&billing, &task)
            .await
            .is_ok_and(|lines| seconds(&lines).iter().sum::<u32>() >= 2)
    })
    .await;
    assert!(
        usage(&billing, &task)
            .await?
            .iter()
            .all(|line| !line.closed)
    );

    billing.tell(&task, TaskState::Released, Utc::now()).await?;
    eventually("the release is taken", LIMIT, async || {
        sqlx::query_scalar::<_, bool>(
            "SELECT ended_at IS NOT NULL FROM billing.instances WHERE task_id = $1",
        )
        .bind(task.as_str())
        .fetch_one(&billing.pool)
        .await
        .unwrap_or(false)
    })
    .await;
    let open: i64 =
        sqlx::query_scalar("SELECT count(*) FROM billing.intervals WHERE ended_at IS NULL")
            .fetch_one(&billing.pool)
            .await?;
    assert_eq!(open, 0);
    Ok(())
}

#[tokio::test]
async fn time_before_the_purchase_is_free() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    let task = TaskId::random();
    let hour = past_hour()?;
    billing.tell(&task, TaskState::Running, hour).await?;
    eventually("the event is taken", LIMIT, async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM billing.intervals")
            .fetch_one(&billing.pool)
            .await
            .is_ok_and(|count| count == 1)
    })
    .await;
    let bought = Utc::now();
    billing.purchase(&task).await?;
    let lines = usage(&billing, &task).await?;
    let total: u32 = seconds(&lines).iter().sum();
    let most = (Utc::now() - bought).num_seconds() + 1;
    assert!(
        i64::from(total) <= most,
        "{total} s billed, {most} s passed"
    );
    Ok(())
}
