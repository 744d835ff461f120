//! How the members of a group share its changes is decided when it is made.

use rowcast_bus::async_nats::jetstream::consumer::AckPolicy;
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::message::{ErrorKind, GroupMode};
use rowcast_proto::rpc::{CreateGroup, DeleteGroup, GetGroupConnection};
use rowcast_testkit::eventually;

use crate::fixture::{LIMIT, Service, bodies, consumers, named, read};

#[tokio::test]
async fn a_keyed_group_reads_each_partition_by_a_consumer_of_its_own() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    for (partition, body) in [(Some(0), "a"), (Some(2), "b"), (None, "c"), (Some(2), "d")] {
        service.change_in(&task, partition, body).await?;
    }
    let member = service.group_of(&task, "orders", GroupMode::Keyed).await?;
    let connection = &member.connection;
    assert_eq!(connection.mode(), GroupMode::Keyed);
    assert_eq!(connection.consumer, "");
    let partitions: Vec<&str> = connection
        .consumers
        .iter()
        .map(|of| of.partition.as_str())
        .collect();
    assert_eq!(partitions, ["000", "001", "002", "tx"]);

    let client = member.connect().await?;
    for (partition, expected) in [
        ("000", vec!["a"]),
        ("002", vec!["b", "d"]),
        ("tx", vec!["c"]),
    ] {
        let name = format!("g_{}_{partition}", member.group.id);
        let consumer = member.consumer_named(&client, &name).await?;
        let messages = read(&consumer, expected.len()).await?;
        assert_eq!(bodies(&messages), expected);
        if partition == "002" {
            // One acknowledgement covers what came before it in the partition, and nothing else.
            messages[1]
                .double_ack()
                .await
                .map_err(|error| anyhow::anyhow!(error))?;
        }
    }
    let seen = service.seen(&member.group).await;
    assert_eq!((seen.pending, seen.in_flight), (0, 2));
    assert_eq!(seen.mode(), GroupMode::Keyed);
    Ok(())
}

#[tokio::test]
async fn a_shared_group_acknowledges_each_change_by_itself() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    for body in ["1", "2", "3"] {
        service.change(&task, body).await?;
    }
    let member = service.group_of(&task, "orders", GroupMode::Shared).await?;
    let client = member.connect().await?;
    let consumer = member.consumer(&client).await?;
    assert_eq!(
        consumer.cached_info().config.ack_policy,
        AckPolicy::Explicit
    );
    let messages = read(&consumer, 3).await?;
    messages[2]
        .double_ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    assert_eq!(service.seen(&member.group).await.in_flight, 2);
    Ok(())
}

#[tokio::test]
async fn a_mode_stays_and_takes_its_consumers_with_it() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let wish = m::CreateGroupRequest {
        request_key: "key 1".to_owned(),
        mode: GroupMode::Keyed.into(),
        ..service.wish(&task, "orders")
    };
    let group = service.ask::<CreateGroup>(&wish).await?;
    assert_eq!(service.ask::<CreateGroup>(&wish).await?.id, group.id);
    let another = m::CreateGroupRequest {
        mode: GroupMode::Shared.into(),
        ..wish.clone()
    };
    let refusal = service.refusal::<CreateGroup>(&another).await;
    assert_eq!(refusal.code, "request_key_used");

    let connection = service.ask::<GetGroupConnection>(&named(&group)).await?;
    service.ask::<DeleteGroup>(&named(&group)).await?;
    let stream = service
        .capture
        .jetstream()
        .get_stream(&connection.stream)
        .await?;
    assert_eq!(consumers(&connection).len(), 4);
    eventually("all its consumers are gone", LIMIT, async || {
        stream
            .get_info()
            .await
            .is_ok_and(|info| info.state.consumer_count == 0)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_keyed_group_needs_to_know_the_partitions() -> anyhow::Result<()> {
    let service = Service::start().await?;
    for partitions in [0, 257] {
        let wish = m::CreateGroupRequest {
            mode: GroupMode::Keyed.into(),
            partitions,
            ..service.wish(&TaskId::random(), "orders")
        };
        let refusal = service.refusal::<CreateGroup>(&wish).await;
        assert_eq!(
            (refusal.kind(), refusal.field.as_str()),
            (ErrorKind::Invalid, "partitions")
        );
    }
    Ok(())
}
