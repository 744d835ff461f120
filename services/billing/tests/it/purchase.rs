//! Buying.

use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::rpc::{GetInstance, GetQuote, GetUsage, PurchaseInstance};

use crate::fixture::{Billing, order};

#[tokio::test]
async fn the_same_order_buys_once_and_tells_once() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    let task = TaskId::random();
    let question = order(&task, "order-1");
    let (first, second) = tokio::join!(
        billing.ask::<PurchaseInstance>(&question),
        billing.ask::<PurchaseInstance>(&question),
    );
    let (first, second) = (first?, second?);
    assert_eq!(first, second);

    let quote = billing
        .ask::<GetQuote>(&m::QuoteRequest {
            charge_type: m::ChargeType::PayAsYouGo.into(),
            ..m::QuoteRequest::default()
        })
        .await?;
    assert_eq!(first.hour_micros, quote.hour_micros);
    assert_eq!(first.currency, quote.currency);

    let found = billing
        .ask::<GetInstance>(&m::InstanceRequest {
            task_id: task.to_string(),
        })
        .await?;
    assert_eq!(found.instance.as_ref(), Some(&first));

    let facts = billing.facts::<m::InstancePurchased>().await?;
    let told: Vec<_> = facts.into_iter().map(|fact| fact.instance).collect();
    assert_eq!(told, [Some(first)]);
    Ok(())
}

#[tokio::test]
async fn a_second_purchase_is_a_conflict() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    let task = TaskId::random();
    billing
        .ask::<PurchaseInstance>(&order(&task, "order-1"))
        .await?;

    let refusal = billing
        .refusal::<PurchaseInstance>(&order(&task, "order-2"))
        .await;
    assert_eq!(refusal.kind(), m::ErrorKind::Conflict);
    assert_eq!(refusal.code, "already_purchased");

    let refusal = billing
        .refusal::<PurchaseInstance>(&order(&TaskId::random(), "order-1"))
        .await;
    assert_eq!(refusal.code, "order_key_used");
    assert_eq!(refusal.field, "order_key");
    Ok(())
}

#[tokio::test]
async fn a_bad_order_is_told_which_field_to_repair() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    let good = order(&TaskId::random(), "order-1");
    let bad = [
        (
            "task_id",
            m::PurchaseRequest {
                task_id: "x".to_owned(),
                ..good.clone()
            },
        ),
        (
            "charge_type",
            m::PurchaseRequest {
                charge_type: 0,
                ..good.clone()
            },
        ),
        (
            "order_key",
            m::PurchaseRequest {
                order_key: String::new(),
                ..good.clone()
            },
        ),
    ];
    for (field, question) in bad {
        let refusal = billing.refusal::<PurchaseInstance>(&question).await;
        assert_eq!(refusal.kind(), m::ErrorKind::Invalid, "{field}");
        assert_eq!(refusal.field, field);
        assert_ne!(refusal.repair, "", "{field}");
    }
    Ok(())
}

#[tokio::test]
async fn a_task_without_an_instance_has_no_usage() -> anyhow::Result<()> {
    let billing = Billing::start().await?;
    let task_id = TaskId::random().to_string();
    let found = billing
        .ask::<GetInstance>(&m::InstanceRequest {
            task_id: task_id.clone(),
        })
        .await?;
    assert_eq!(found.instance, None);
    let usage = billing
        .ask::<GetUsage>(&m::UsageRequest { task_id })
        .await?;
    assert!(usage.lines.is_empty());
    Ok(())
}
