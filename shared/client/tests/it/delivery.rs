//! What comes, in which order, and what comes again.

use std::time::Duration;

use rowcast_client::{Error, TypedRows as _};
use serde::Deserialize;

use crate::fixture::{Group, next, ordinals};

#[derive(Debug, PartialEq, Deserialize)]
struct Order {
    id: u64,
}

#[tokio::test]
async fn changes_come_typed_and_in_order() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(600).await?;
    let mut changes = group.subscribe().await?;
    for number in 1..=600 {
        let delivery = next(&mut changes).await?;
        assert_eq!(delivery.stream_sequence, number);
        assert_eq!(
            delivery.change.after_as::<Order>()?,
            Some(Order { id: number })
        );
        assert!(!delivery.redelivered);
    }
    Ok(())
}

#[tokio::test]
async fn an_acknowledgement_covers_what_came_before() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(3).await?;
    let mut changes = group.subscribe().await?;
    assert_eq!(ordinals(&mut changes, 2).await?, [1, 2]);
    next(&mut changes).await?.ack().await?;
    drop(changes);
    group.publish(1).await?;
    let mut changes = group.subscribe().await?;
    assert_eq!(ordinals(&mut changes, 1).await?, [4]);
    Ok(())
}

#[tokio::test]
async fn what_a_crashed_member_held_comes_before_what_is_new() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(4).await?;
    let mut changes = group.subscribe().await?;
    next(&mut changes).await?.ack().await?;
    assert_eq!(ordinals(&mut changes, 3).await?, [2, 3, 4]);
    drop(changes);

    // At once, while the server still waits for acknowledgements of 2, 3 and 4.
    let mut changes = group.subscribe().await?;
    group.publish(2).await?;
    assert_eq!(ordinals(&mut changes, 5).await?, [2, 3, 4, 5, 6]);
    Ok(())
}

#[tokio::test]
async fn what_a_crashed_member_held_comes_although_changes_never_pause() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(4).await?;
    let mut changes = group.subscribe().await?;
    next(&mut changes).await?.ack().await?;
    assert_eq!(ordinals(&mut changes, 3).await?, [2, 3, 4]);
    drop(changes);

    let mut changes = group.subscribe().await?;
    let writing = async {
        loop {
            group.publish(1).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        ended = writing => ended,
        read = ordinals(&mut changes, 5) => {
            assert_eq!(read?, [2, 3, 4, 5, 6]);
            Ok(())
        }
    }
}

#[tokio::test]
async fn a_message_that_is_no_change_keeps_its_bytes_and_stops_nothing() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish_raw("{}".to_owned()).await?;
    group.publish(1).await?;
    let mut changes = group.subscribe().await?;
    match next(&mut changes).await {
        Err(Error::Malformed(bad)) => {
            assert_eq!(bad.payload.as_ref(), b"{}");
            assert_eq!(bad.stream_sequence, 1);
        }
        other => panic!("not malformed: {other:?}"),
    }
    assert_eq!(ordinals(&mut changes, 1).await?, [1]);
    Ok(())
}
