//! A stream and its consumer are removed and made anew under a member, as where its task is reset and started again.

use std::time::Duration;

use rowcast_client::Error;

use crate::fixture::{Group, next, ordinals};

/// The member reads what is told anew, of which place and position are those of what it has acknowledged.
async fn reads_on(mut group: Group, missing: Duration) -> anyhow::Result<()> {
    group.publish(3).await?;
    let mut changes = group.subscribe().await?;
    for _ in 0..2 {
        next(&mut changes).await?.ack().await?;
    }
    let held = next(&mut changes).await?;
    group.remove().await?;
    if !missing.is_zero() {
        let none = tokio::time::timeout(missing, next(&mut changes)).await;
        assert!(none.is_err(), "{none:?}");
        let refused = held.ack().await;
        assert!(matches!(refused, Err(Error::PositionMoved)), "{refused:?}");
    }
    group.make().await?;
    group.publish(4).await?;
    assert_eq!(ordinals(&mut changes, 3).await?, [1, 2, 3]);
    let refused = held.ack().await;
    assert!(matches!(refused, Err(Error::PositionMoved)), "{refused:?}");
    assert_eq!(group.info().await?.ack_floor.stream_sequence, 0);
    let last = next(&mut changes).await?;
    assert_eq!(last.position.ordinal, 4);
    last.ack().await?;
    Ok(())
}

#[tokio::test]
async fn a_member_in_order_reads_on_once_its_consumer_is_there_again() -> anyhow::Result<()> {
    reads_on(Group::start().await?, Duration::from_secs(2)).await
}

#[tokio::test]
async fn a_member_in_order_sees_that_its_consumer_is_another_one() -> anyhow::Result<()> {
    reads_on(Group::start().await?, Duration::ZERO).await
}

#[tokio::test]
async fn a_member_of_a_shared_group_reads_on_once_its_consumer_is_there_again() -> anyhow::Result<()>
{
    reads_on(Group::shared().await?, Duration::from_secs(2)).await
}

#[tokio::test]
async fn a_member_of_a_shared_group_sees_that_its_consumer_is_another_one() -> anyhow::Result<()> {
    reads_on(Group::shared().await?, Duration::ZERO).await
}
