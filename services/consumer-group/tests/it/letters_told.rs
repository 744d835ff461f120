//! What the service puts away by itself is told for the audit log, few times however much it is.

use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_testkit::eventually;

use crate::dead_letters::{refuses, shared};
use crate::fixture::{LIMIT, Member, Service};

/// What is told of the group, once it is of so many letters.
pub(crate) async fn of(
    service: &Service,
    member: &Member,
    number: u64,
) -> anyhow::Result<Vec<m::DeadLettersPutAway>> {
    eventually("the letters are told", 2 * LIMIT, async || {
        let told = facts(service, member).await;
        told.is_ok_and(|told| told.iter().map(|fact| fact.number).sum::<u64>() >= number)
    })
    .await;
    facts(service, member).await
}

async fn facts(service: &Service, member: &Member) -> anyhow::Result<Vec<m::DeadLettersPutAway>> {
    let mut told = service.facts::<m::DeadLettersPutAway>().await?;
    told.retain(|fact| fact.group_id == member.group.id);
    Ok(told)
}

#[tokio::test]
async fn what_a_group_gives_up_within_some_seconds_is_told_together() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let member = shared(&service, &task, 1).await?;
    service.transactions(&task, 1..=10).await?;
    let client = member.connect().await?;
    assert_eq!(refuses(&member.consumer(&client).await?).await?, 20);
    let told = of(&service, &member, 20).await?;
    let numbers: Vec<u64> = told.iter().map(|fact| fact.number).collect();
    assert_eq!(numbers.iter().sum::<u64>(), 20, "{numbers:?}");
    assert!(numbers.len() <= 4, "{numbers:?}");
    let first_sequence = told.iter().map(|fact| fact.first_sequence).min();
    let last_sequence = told.iter().map(|fact| fact.last_sequence).max();
    assert_eq!((first_sequence, last_sequence), (Some(1), Some(20)));
    let first = &told[0];
    assert_eq!(first.cause(), m::DeadLetterCause::Exhausted);
    assert_eq!(
        (first.task_id.as_str(), first.group_name.as_str()),
        (member.group.task_id.as_str(), "orders")
    );
    assert!(first.first_at.is_some());
    Ok(())
}
