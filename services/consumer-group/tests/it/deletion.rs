//! A deleted group leaves nothing behind.

use std::sync::Arc;

use rowcast_bus::async_nats::Event;
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::rpc::{DeleteGroup, GetGroup, GetGroupConnection};
use rowcast_testkit::eventually;
use tokio::sync::Notify;

use crate::fixture::{CUT, LIMIT, Service, bodies, connects, named, read};

#[tokio::test]
async fn the_connections_of_a_deleted_group_are_closed_and_no_other() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let (member, other) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let closed = Arc::new(Notify::new());
    let closing = Arc::clone(&closed);
    let _client = member
        .options()
        .event_callback(move |event| {
            let closing = Arc::clone(&closing);
            async move {
                if matches!(event, Event::Disconnected) {
                    closing.notify_one();
                }
            }
        })
        .connect(&member.connection.urls)
        .await?;
    let other_client = other.connect().await?;
    let connects_before = connects(&other_client);

    service.ask::<DeleteGroup>(&named(&member.group)).await?;
    tokio::time::timeout(CUT, closed.notified()).await?;
    assert!(!service.consumer_exists(&member.connection).await);

    service.change(&task, "1").await?;
    let changes = read(&other.consumer(&other_client).await?, 1).await?;
    assert_eq!(bodies(&changes), ["1"]);
    assert_eq!(connects(&other_client), connects_before);
    Ok(())
}

#[tokio::test]
async fn a_deleted_group_is_gone_and_told_of_once() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let question = named(&member.group);
    service.ask::<DeleteGroup>(&question).await?;
    service.ask::<DeleteGroup>(&question).await?;

    let facts = service.facts::<m::GroupDeleted>().await?;
    assert_eq!(facts.len(), 1);
    assert_eq!(facts[0].group_id, member.group.id);
    assert_eq!(facts[0].task_id, task.as_str());
    assert_eq!(
        service.refusal::<GetGroup>(&question).await.code,
        "group_not_found"
    );
    let refusal = service.refusal::<GetGroupConnection>(&question).await;
    assert_eq!(refusal.code, "group_not_found");
    Ok(())
}

#[tokio::test]
async fn the_reconciler_removes_what_a_deletion_left() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    // As if the process had died right after the deletion was stored.
    sqlx::query("UPDATE consumer_group.groups SET deleted_at = now() WHERE id = $1")
        .bind(&member.group.id)
        .execute(&service.pool)
        .await?;
    eventually("the consumer is removed", LIMIT, async || {
        !service.consumer_exists(&member.connection).await
    })
    .await;
    Ok(())
}
