//! Changes that come several in a message.

use rowcast_client::Subscription;

use crate::fixture::{Group, next, ordinals};

impl Group {
    /// Publishes the next `count` changes in one message.
    pub(crate) async fn publish_pack(&mut self, count: u64) -> anyhow::Result<()> {
        let rows: Vec<String> = (0..count).map(|_row| self.row()).collect();
        let last = self.published();
        self.publish_raw(format!(
            r#"{{"id":"0/10.{last}","op":"pack","database":"shop","lsn":"0/10","ordinal":{last},
                "committed_at":"2026-11-23T05:33:10.123456Z","pack":[{}]}}"#,
            rows.join(",")
        ))
        .await
    }
}

async fn acknowledge(changes: &mut Subscription, ordinal: u64) -> anyhow::Result<()> {
    loop {
        let delivery = next(changes).await?;
        if delivery.position.ordinal == ordinal {
            return Ok(delivery.ack().await?);
        }
    }
}

#[tokio::test]
async fn packed_changes_come_one_by_one_among_others() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(1).await?;
    group.publish_pack(100).await?;
    group.publish(1).await?;
    group.publish_pack(2).await?;
    let mut changes = group.subscribe().await?;
    for ordinal in 1..=104 {
        let delivery = next(&mut changes).await?;
        assert_eq!(delivery.position.ordinal, ordinal);
        assert!(delivery.change.pack.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_pack_that_is_acknowledged_in_its_middle_comes_again_to_the_next_member()
-> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(2).await?;
    group.publish_pack(5).await?;
    let mut changes = group.subscribe().await?;
    // The fifth of all is the third of the pack: the server learns of what lies before the pack.
    acknowledge(&mut changes, 5).await?;
    assert_eq!(group.info().await?.ack_floor.stream_sequence, 2);
    drop(changes);
    let mut changes = group.subscribe().await?;
    assert_eq!(ordinals(&mut changes, 4).await?, [3, 4, 5, 6]);
    acknowledge(&mut changes, 7).await?;
    assert_eq!(group.info().await?.ack_floor.stream_sequence, 3);
    Ok(())
}

#[tokio::test]
async fn a_member_that_reconnects_goes_on_in_the_middle_of_a_pack() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish_pack(5).await?;
    group.publish(1).await?;
    let mut changes = group.subscribe().await?;
    acknowledge(&mut changes, 3).await?;
    assert_eq!(ordinals(&mut changes, 3).await?, [4, 5, 6]);
    group.nats.kill().await?;
    group.nats.restart().await?;
    // What was not acknowledged comes again, and nothing else.
    assert_eq!(ordinals(&mut changes, 3).await?, [4, 5, 6]);
    Ok(())
}
