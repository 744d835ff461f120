//! Instances that are paid in advance: bought, expired, renewed, ended.

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};
use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::message as m;
use rowcast_proto::rpc::{
    GetInstance, GetQuote, GetUsage, ListInstances, PurchaseInstance, RenewInstance, UpdateInstance,
};
use rowcast_testkit::eventually;

use crate::fixture::{Billing, LIMIT, order};

/// Months in the order of the calendar, whatever the day.
fn month_number(at: DateTime<Utc>) -> i64 {
    i64::from(at.year()) * 12 + i64::from(at.month0())
}

fn subscription(task: &TaskId, months: u32) -> m::PurchaseRequest {
    m::PurchaseRequest {
        charge_type: m::ChargeType::Subscription.into(),
        months,
        ..order(task, &format!("order of {task}"))
    }
}

fn renewal(task: &TaskId, months: u32, key: &str) -> m::RenewRequest {
    m::RenewRequest {
        task_id: task.to_string(),
        months,
        order_key: key.to_owned(),
        actor: "user:ada".to_owned(),
    }
}

fn time(at: Option<m::Timestamp>) -> DateTime<Utc> {
    at.and_then(|at| at.try_into().ok()).unwrap_or_default()
}

async fn found(billing: &Billing, task: &TaskId) -> anyhow::Result<m::InstanceReply> {
    let question = m::InstanceRequest {
        task_id: task.to_string(),
    };
    Ok(billing.ask::<GetInstance>(&question).await?)
}

async fn reaches(billing: &Billing, task: &TaskId, state: m::InstanceState) -> m::Instance {
    let what = format!("the instance is {state:?}");
    eventually(&what, LIMIT, async || {
        let reply = found(billing, task).await.unwrap_or_default();
        reply
            .instance
            .is_some_and(|instance| instance.state() == state)
    })
    .await;
    let reply = found(billing, task).await.unwrap_or_default();
    reply.instance.unwrap_or_default()
}

/// Moves a time of an instance back, as if the test had begun before.
async fn set_back(
    billing: &Billing,
    task: &TaskId,
    column: &str,
    by: TimeDelta,
) -> anyhow::Result<()> {
    let moved = format!("UPDATE billing.instances SET {column} = $2 WHERE task_id = $1");
    sqlx::query(sqlx::AssertSqlSafe(moved))
        .bind(task.as_str())
        .bind(Utc::now() - by)
        .execute(&billing.pool)
        .await?;
    Ok(())
}

/// The states that billing has told of a task, with their versions.
async fn told(billing: &Billing, task: &TaskId) -> anyhow::Result<Vec<(m::InstanceState, u64)>> {
    let facts = billing.facts::<m::InstanceStateChanged>().await?;
    let instances = facts.into_iter().filter_map(|fact| fact.instance);
    let ours = instances.filter(|instance| instance.task_id == task.as_str());
    Ok(ours
        .map(|instance| (instance.state(), instance.version))
        .collect())
}

#[tokio::test]
async fn months_are_paid_at_once_and_their_hours_cost_nothing() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    let task = TaskId::random();
    let quote = billing
        .ask::<GetQuote>(&m::QuoteRequest {
            charge_type: m::ChargeType::Subscription.into(),
            months: 3,
        })
        .await?;
    let wanted = subscription(&task, 3);
    let bought = billing.ask::<PurchaseInstance>(&wanted).await?;
    assert_eq!(billing.ask::<PurchaseInstance>(&wanted).await?, bought);
    assert_eq!(
        (bought.hour_micros, bought.month_micros),
        (0, quote.month_micros)
    );
    let (from, until) = (time(bought.purchased_at), time(bought.expires_at));
    assert_eq!(month_number(until) - month_number(from), 3);
    assert_eq!(
        until.num_seconds_from_midnight(),
        from.num_seconds_from_midnight()
    );

    let orders = found(&billing, &task).await?.orders;
    let [paid] = &orders[..] else {
        panic!("{orders:?}");
    };
    assert_eq!(paid.amount_micros, quote.amount_micros);
    assert_eq!(quote.amount_micros, 3 * quote.month_micros);
    assert_eq!(
        (paid.months, paid.renewal, paid.actor.as_str()),
        (3, false, "user:test")
    );
    assert_eq!(
        (paid.period_from, paid.period_until),
        (bought.purchased_at, bought.expires_at)
    );

    billing.tell(&task, TaskState::Running, Utc::now()).await?;
    let question = m::UsageRequest {
        task_id: task.to_string(),
    };
    eventually("the time is recorded", LIMIT, async || {
        let usage = billing.ask::<GetUsage>(&question).await;
        usage.is_ok_and(|usage| usage.lines.iter().any(|line| line.seconds >= 1))
    })
    .await;
    let usage = billing.ask::<GetUsage>(&question).await?;
    assert!(
        usage.lines.iter().all(|line| line.amount_micros == 0),
        "{usage:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_expires_is_told_and_a_renewal_goes_on_where_it_ended() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    let task = TaskId::random();
    billing
        .ask::<PurchaseInstance>(&subscription(&task, 1))
        .await?;
    set_back(&billing, &task, "expires_at", TimeDelta::days(2)).await?;
    let expired = reaches(&billing, &task, m::InstanceState::Expired).await;
    let grace = time(expired.release_at) - Utc::now();
    assert!(
        grace > TimeDelta::days(6) && grace <= TimeDelta::days(7),
        "{grace}"
    );

    // The same order renews once, also where it is asked for twice at the same time.
    let wanted = renewal(&task, 2, "renewal-1");
    let (first, second) = tokio::join!(
        billing.ask::<RenewInstance>(&wanted),
        billing.ask::<RenewInstance>(&wanted),
    );
    let (first, second) = (first?, second?);
    assert_eq!(first, second);
    assert_eq!(first.state(), m::InstanceState::Active);
    let (ended, until) = (time(expired.expires_at), time(first.expires_at));
    assert_eq!(month_number(until) - month_number(ended), 2);
    let orders = found(&billing, &task).await?.orders;
    let periods: Vec<_> = orders
        .iter()
        .map(|order| (order.renewal, order.months))
        .collect();
    assert_eq!(periods, [(false, 1), (true, 2)]);
    assert_eq!(orders[1].period_from, expired.expires_at);

    let expected = [
        (m::InstanceState::Expired, 2),
        (m::InstanceState::Active, 3),
    ];
    assert_eq!(told(&billing, &task).await?, expected);
    Ok(())
}

#[tokio::test]
async fn what_renews_itself_is_paid_month_by_month() -> anyhow::Result<()> {
    let mut billing = Billing::start().await?;
    let task = TaskId::random();
    let released = TaskId::random();
    for task in [&task, &released] {
        let wanted = m::PurchaseRequest {
            auto_renew: true,
            ..subscription(task, 1)
        };
        billing.ask::<PurchaseInstance>(&wanted).await?;
    }
    // Billing is down when both expire, one of them for more than a month; the other's task is released.
    billing.kill().await?;
    set_back(&billing, &task, "expires_at", TimeDelta::days(40)).await?;
    set_back(&billing, &released, "expires_at", TimeDelta::days(40)).await?;
    billing
        .tell(&released, TaskState::Released, Utc::now())
        .await?;
    billing.resume().await?;

    eventually("two months are paid", LIMIT, async || {
        found(&billing, &task)
            .await
            .is_ok_and(|reply| reply.orders.len() == 3)
    })
    .await;
    let reply = found(&billing, &task).await?;
    let instance = reply.instance.unwrap_or_default();
    assert_eq!(instance.state(), m::InstanceState::Active);
    assert!(time(instance.expires_at) > Utc::now());
    for (earlier, later) in reply.orders[1..].iter().zip(&reply.orders[2..]) {
        assert_eq!(earlier.period_until, later.period_from);
        assert_eq!(later.actor, "service:billing");
    }
    let reply = found(&billing, &released).await?;
    assert_eq!(reply.orders.len(), 1, "a released task was renewed");
    let instance = reply.instance.unwrap_or_default();
    assert_eq!(instance.state(), m::InstanceState::Ended);

    // Without the wish it is not.
    let without = m::UpdateInstanceRequest {
        task_id: task.to_string(),
        auto_renew: Some(false),
        actor: "user:ada".to_owned(),
    };
    assert!(!billing.ask::<UpdateInstance>(&without).await?.auto_renew);
    set_back(&billing, &task, "expires_at", TimeDelta::seconds(1)).await?;
    reaches(&billing, &task, m::InstanceState::Expired).await;
    let again = m::UpdateInstanceRequest {
        auto_renew: Some(true),
        ..without
    };
    let refusal = billing.refusal::<UpdateInstance>(&again).await;
    assert_eq!(refusal.code, "instance_expired");
    Ok(())
}

#[tokio::test]
async fn what_nobody_renews_ends_once_and_for_good() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    // Another copy looks for the same instances.
    let _second = billing.new_copy()?;
    let tasks: Vec<TaskId> = (0..10).map(|_| TaskId::random()).collect();
    for task in &tasks {
        billing
            .ask::<PurchaseInstance>(&subscription(task, 1))
            .await?;
        set_back(&billing, task, "expires_at", TimeDelta::days(9)).await?;
    }
    for task in &tasks {
        reaches(&billing, task, m::InstanceState::Expired).await;
        set_back(&billing, task, "release_at", TimeDelta::seconds(1)).await?;
    }
    for task in &tasks {
        reaches(&billing, task, m::InstanceState::Ended).await;
        let expected = [(m::InstanceState::Expired, 2), (m::InstanceState::Ended, 3)];
        assert_eq!(told(&billing, task).await?, expected);
    }
    let refusal = billing
        .refusal::<RenewInstance>(&renewal(&tasks[0], 1, "late"))
        .await;
    assert_eq!(refusal.kind(), m::ErrorKind::Conflict);
    assert_eq!(refusal.code, "instance_ended");
    Ok(())
}

#[tokio::test]
async fn a_bad_order_of_months_is_told_which_field_to_repair() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    let task = TaskId::random();
    for (field, question) in [
        ("months", subscription(&task, 10)),
        (
            "months",
            m::PurchaseRequest {
                months: 1,
                ..order(&task, "o")
            },
        ),
        (
            "auto_renew",
            m::PurchaseRequest {
                auto_renew: true,
                ..order(&task, "o")
            },
        ),
    ] {
        let refusal = billing.refusal::<PurchaseInstance>(&question).await;
        assert_eq!(
            (refusal.kind(), refusal.field.as_str()),
            (m::ErrorKind::Invalid, field)
        );
        assert_ne!(refusal.repair, "");
    }
    let refused = async |question: m::RenewRequest| {
        let refusal = billing.refusal::<RenewInstance>(&question).await;
        (refusal.code, refusal.field)
    };
    let none = refused(renewal(&task, 1, "r")).await;
    assert_eq!(none, ("instance_missing".to_owned(), "task_id".to_owned()));
    billing.purchase(&task).await?;
    let hourly = refused(renewal(&task, 1, "r")).await;
    assert_eq!(hourly.0, "not_a_subscription");
    let too_long = refused(renewal(&task, 61, "r")).await;
    assert_eq!(
        too_long,
        ("months_not_sold".to_owned(), "months".to_owned())
    );

    let other = TaskId::random();
    billing
        .ask::<PurchaseInstance>(&subscription(&other, 1))
        .await?;
    billing
        .ask::<RenewInstance>(&renewal(&other, 1, "r"))
        .await?;
    let another_length = refused(renewal(&other, 2, "r")).await;
    assert_eq!(another_length.0, "order_key_used");
    let third = TaskId::random();
    billing
        .ask::<PurchaseInstance>(&subscription(&third, 1))
        .await?;
    let another_task = refused(renewal(&third, 1, "r")).await;
    assert_eq!(another_task.0, "order_key_used");
    // What would be over before it begins is not sold.
    set_back(&billing, &third, "expires_at", TimeDelta::days(70)).await?;
    reaches(&billing, &third, m::InstanceState::Expired).await;
    let useless = refused(renewal(&third, 1, "s")).await;
    assert_eq!(
        useless,
        ("months_without_use".to_owned(), "months".to_owned())
    );
    Ok(())
}

#[tokio::test]
async fn many_instances_come_by_one_question() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    let (hourly, monthly, without) = (TaskId::random(), TaskId::random(), TaskId::random());
    billing.purchase(&hourly).await?;
    billing
        .ask::<PurchaseInstance>(&subscription(&monthly, 12))
        .await?;
    let question = m::ListInstancesRequest {
        task_ids: [&hourly, &monthly, &without]
            .map(ToString::to_string)
            .into(),
    };
    let instances = billing.ask::<ListInstances>(&question).await?.instances;
    let mut expected = vec![
        (hourly.to_string(), m::ChargeType::PayAsYouGo),
        (monthly.to_string(), m::ChargeType::Subscription),
    ];
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    let listed: Vec<_> = instances
        .iter()
        .map(|instance| (instance.task_id.clone(), instance.charge_type()))
        .collect();
    assert_eq!(listed, expected);

    let refusal = billing
        .refusal::<ListInstances>(&m::ListInstancesRequest {
            task_ids: vec![hourly.to_string(); 201],
        })
        .await;
    assert_eq!(refusal.field, "task_ids");
    Ok(())
}
