//! The group's position is moved while members are connected.

use std::time::{Duration, SystemTime};

use rowcast_client::{Changes as _, Delivery, Error, GroupCredentials, Subscription};
use rowcast_proto::stream::GENERATION;
use rowcast_proto::subject;

use crate::fixture::{Group, item, next};

/// Does what consumer-group does for a forced move: tells, cuts off, moves.
pub(crate) async fn move_to(group: &Group, sequence: u64, generation: u64) -> anyhow::Result<()> {
    let stream = group
        .owner
        .get_stream_no_info(&group.credentials.stream)
        .await?;
    let consumer = &group.credentials.consumer;
    let mut config = stream.consumer_info(consumer).await?.config;
    config
        .metadata
        .insert(GENERATION.to_owned(), generation.to_string());
    config.pause_until = Some((SystemTime::now() + Duration::from_secs(3)).into());
    stream.update_consumer(config).await?;
    cut_off(group).await?;
    stream.reset_consumer(consumer, Some(sequence)).await?;
    Ok(())
}

async fn cut_off(group: &Group) -> anyhow::Result<()> {
    let system = group.nats.client("sys").await?;
    let reply = system
        .request(subject::PING_CONNECTIONS, r#"{"auth":true}"#.into())
        .await?;
    let answer: serde_json::Value = serde_json::from_slice(&reply.payload)?;
    let server = answer["server"]["id"].as_str().unwrap_or_default();
    let name = format!("rowcast-client {}", group.credentials.group_id);
    let mut cut = 0;
    for connection in answer["data"]["connections"]
        .as_array()
        .into_iter()
        .flatten()
    {
        // The member's own name follows.
        let is_member = |text: &str| text.starts_with(&name);
        if connection["name"].as_str().is_some_and(is_member) {
            let body = serde_json::json!({ "cid": connection["cid"] }).to_string();
            system.request(subject::kick(server), body.into()).await?;
            cut += 1;
        }
    }
    assert_eq!(cut, 1, "{answer}");
    Ok(())
}

async fn expect(
    changes: &mut Subscription,
    ordinals: std::ops::RangeInclusive<u64>,
) -> anyhow::Result<()> {
    for ordinal in ordinals {
        let delivery = next(changes).await?;
        assert_eq!(delivery.position.ordinal, ordinal);
    }
    Ok(())
}

#[tokio::test]
async fn a_member_that_was_cut_off_gets_everything_again_in_order() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(400).await?;
    let mut changes = group.subscribe().await?;
    expect(&mut changes, 1..=49).await?;
    next(&mut changes).await?.ack().await?;
    expect(&mut changes, 51..=60).await?;
    let held = next(&mut changes).await?;

    move_to(&group, 1, 1).await?;
    let refused = held.ack().await;
    assert!(
        matches!(
            refused,
            Err(Error::PositionMoved | Error::NotAcknowledged(_))
        ),
        "{refused:?}"
    );
    expect(&mut changes, 1..=99).await?;
    let middle = next(&mut changes).await?;
    let late = held.ack().await;
    assert!(matches!(late, Err(Error::PositionMoved)), "{late:?}");
    assert_eq!(group.info().await?.ack_floor.stream_sequence, 0);
    middle.ack().await?;
    assert_eq!(group.info().await?.ack_floor.stream_sequence, 100);
    expect(&mut changes, 101..=399).await?;
    next(&mut changes).await?.ack().await?;
    // The server may ignore it until the change was sent again, which the member must take.
    let seen = async {
        loop {
            let info = group.info().await?;
            if (info.ack_floor.stream_sequence, info.num_ack_pending) == (400, 0) {
                return anyhow::Ok(());
            }
            let again = tokio::time::timeout(Duration::from_millis(200), next(&mut changes)).await;
            assert!(again.is_err(), "{again:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await?
}

#[tokio::test]
async fn a_member_goes_on_where_the_position_was_moved_forward() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(300).await?;
    let mut changes = group.subscribe().await?;
    expect(&mut changes, 1..=10).await?;
    move_to(&group, 291, 1).await?;
    // What had come before goes on until the member hears of it.
    let mut ordinal = next(&mut changes).await?.position.ordinal;
    let mut last = 10;
    while ordinal != 291 {
        assert_eq!(ordinal, last + 1);
        last = ordinal;
        ordinal = next(&mut changes).await?.position.ordinal;
    }
    expect(&mut changes, 292..=299).await?;
    next(&mut changes).await?.ack().await?;
    move_to(&group, 301, 2).await?;
    group.publish(1).await?;
    expect(&mut changes, 301..=301).await
}

#[tokio::test]
async fn a_member_that_was_only_cut_off_acknowledges_what_it_has() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(5).await?;
    let mut changes = group.subscribe().await?;
    expect(&mut changes, 1..=2).await?;
    let held = next(&mut changes).await?;
    cut_off(&group).await?;
    rowcast_testkit::eventually("it is acknowledged", Duration::from_secs(20), async || {
        held.ack().await.is_ok()
    })
    .await;
    assert_eq!(group.info().await?.ack_floor.stream_sequence, 3);
    Ok(())
}

#[tokio::test]
async fn what_was_stored_before_a_move_is_left_out_behind_it() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(10).await?;
    let mut changes = group.subscribe().await?.behind(None);
    let mut stored = None;
    for ordinal in 1..=10 {
        let delivery = item(&mut changes).await.unwrap()?;
        assert_eq!(delivery.position.ordinal, ordinal);
        stored = Some(delivery.position);
        delivery.ack().await?;
    }
    // Everything comes again, and only the store knows how far it is applied.
    move_to(&group, 1, 1).await?;
    let ended = item(&mut changes).await;
    assert!(ended.is_none(), "{ended:?}");
    assert!(item(&mut changes).await.is_none());

    let mut changes = group.subscribe().await?.behind(stored);
    group.publish(2).await?;
    for ordinal in 11..=12 {
        let delivery = item(&mut changes).await.unwrap()?;
        assert_eq!(delivery.position.ordinal, ordinal);
    }
    Ok(())
}

#[tokio::test]
async fn what_was_stored_and_not_acknowledged_is_not_handed_out_twice() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(2).await?;
    let mut changes = group.subscribe().await?.behind(None);
    let first = item(&mut changes).await.unwrap()?;
    let second = item(&mut changes).await.unwrap()?;
    // After the ack wait both come again.
    let ended = item(&mut changes).await;
    assert!(ended.is_none(), "{ended:?}");
    drop((first, changes));

    let mut changes = group.subscribe().await?.behind(Some(second.position));
    group.publish(1).await?;
    let third = item(&mut changes).await.unwrap()?;
    assert_eq!(third.position.ordinal, 3);
    Ok(())
}

#[tokio::test]
async fn a_repeat_is_told_as_one_also_where_the_server_has_forgotten_it() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(3).await?;
    let mut changes = group.subscribe().await?;
    for _ in 1..=3 {
        assert!(!next(&mut changes).await?.redelivered);
    }
    forget(&group).await?;
    let last = expect_again(&mut changes).await?;
    // Nor does it know of the acknowledgement that it has confirmed.
    last.ack().await?;
    forget(&group).await?;
    expect_again(&mut changes).await?.ack().await?;
    group.publish(1).await?;
    let new = next(&mut changes).await?;
    assert_eq!((new.position.ordinal, new.redelivered), (4, false));
    Ok(())
}

/// As a server that was killed, it sends all of it as if for the first time.
async fn forget(group: &Group) -> anyhow::Result<()> {
    let GroupCredentials {
        stream, consumer, ..
    } = &group.credentials;
    let stream = group.owner.get_stream_no_info(stream).await?;
    stream.reset_consumer(consumer, Some(1)).await?;
    Ok(())
}

/// The first three, each as one that was sent before. Gives the last.
async fn expect_again(changes: &mut Subscription) -> anyhow::Result<Delivery> {
    for ordinal in 1..=2 {
        let again = next(changes).await?;
        assert_eq!((again.position.ordinal, again.redelivered), (ordinal, true));
    }
    let last = next(changes).await?;
    assert_eq!((last.position.ordinal, last.redelivered), (3, true));
    Ok(last)
}
