//! Changes that are larger than a message.

use rowcast_client::{Delivery, Error, Operation};

use crate::fixture::{ACK_WAIT, Group, next, ordinals};

const LARGE: usize = 5_000_000;

fn is_whole(delivery: &Delivery, ordinal: u64) {
    assert_eq!(delivery.position.ordinal, ordinal);
    assert_eq!(delivery.change.op, Operation::Insert);
    assert_eq!(delivery.change.part, None);
    let row = delivery.change.after.as_ref();
    let text = row.and_then(|row| row.get("text")?.as_str());
    assert_eq!(text.map(str::len), Some(LARGE));
}

#[tokio::test]
async fn a_large_change_arrives_whole_among_others_with_little_in_flight() -> anyhow::Result<()> {
    let mut group = Group::with_in_flight(8).await?;
    for _ in 0..3 {
        group.publish(1).await?;
        let pieces = group.cut(LARGE);
        assert_eq!(pieces.len(), 7);
        for piece in pieces {
            group.publish_raw(piece).await?;
        }
    }
    group.publish(1).await?;
    let mut changes = group.subscribe().await?;
    for ordinal in [1, 3, 5] {
        let small = next(&mut changes).await?;
        assert_eq!(small.position.ordinal, ordinal);
        small.ack().await?;
        let large = next(&mut changes).await?;
        is_whole(&large, ordinal + 1);
        // Of its last piece: one acknowledgement covers all of them.
        assert_eq!(large.stream_sequence, 8 * (ordinal + 1) / 2);
        large.ack().await?;
        assert_eq!(
            group.info().await?.ack_floor.stream_sequence,
            large.stream_sequence
        );
    }
    assert_eq!(ordinals(&mut changes, 1).await?, [7]);
    Ok(())
}

#[tokio::test]
async fn a_member_that_is_killed_between_pieces_leaves_them_to_the_next() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    let pieces = group.cut(LARGE);
    let (first, rest) = pieces.split_at(3);
    let mut changes = group.subscribe().await?;
    for piece in first {
        group.publish_raw(piece.clone()).await?;
    }
    tokio::select! {
        early = next(&mut changes) => panic!("not whole: {early:?}"),
        () = group.sent(3) => {}
    }
    drop(changes);

    for piece in rest {
        group.publish_raw(piece.clone()).await?;
    }
    group.publish(1).await?;
    let mut changes = group.subscribe().await?;
    is_whole(&next(&mut changes).await?, 1);
    assert_eq!(ordinals(&mut changes, 1).await?, [2]);
    Ok(())
}

#[tokio::test]
async fn a_member_whose_connection_breaks_between_pieces_joins_them_once() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(1).await?;
    let pieces = group.cut(LARGE);
    let (first, rest) = pieces.split_at(3);
    for piece in first {
        group.publish_raw(piece.clone()).await?;
    }
    let mut changes = group.subscribe().await?;
    // Not acknowledged: it comes again in the middle of the pieces.
    assert_eq!(ordinals(&mut changes, 1).await?, [1]);
    let early = tokio::time::timeout(ACK_WAIT / 2, next(&mut changes)).await;
    assert!(early.is_err(), "{early:?}");
    group.nats.kill().await?;
    group.nats.restart().await?;
    for piece in rest {
        group.publish_raw(piece.clone()).await?;
    }
    group.publish(1).await?;
    let mut delivery = next(&mut changes).await?;
    while delivery.position.ordinal == 1 {
        delivery = next(&mut changes).await?;
    }
    is_whole(&delivery, 2);
    delivery.ack().await?;
    assert_eq!(ordinals(&mut changes, 1).await?, [3]);
    Ok(())
}

#[tokio::test]
async fn pieces_that_come_slowly_are_not_sent_again() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    let pieces = group.cut(LARGE);
    let mut changes = group.subscribe().await?;
    let slowly = async {
        for piece in pieces {
            group.publish_raw(piece).await?;
            // The whole takes longer than a message may stay unacknowledged.
            tokio::time::sleep(ACK_WAIT / 4).await;
        }
        anyhow::Ok(())
    };
    let (published, delivery) = tokio::join!(slowly, next(&mut changes));
    published?;
    let delivery = delivery?;
    is_whole(&delivery, 1);
    let info = group.info().await?;
    assert_eq!(
        info.delivered.consumer_sequence,
        info.delivered.stream_sequence
    );
    assert_eq!(info.num_redelivered, 0);
    Ok(())
}

#[tokio::test]
async fn what_was_joined_and_not_acknowledged_comes_again_whole() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    for piece in group.cut(LARGE) {
        group.publish_raw(piece).await?;
    }
    let mut changes = group.subscribe().await?;
    is_whole(&next(&mut changes).await?, 1);
    let again = next(&mut changes).await?;
    is_whole(&again, 1);
    assert!(again.redelivered);
    again.ack().await?;
    group.publish(1).await?;
    assert_eq!(ordinals(&mut changes, 1).await?, [2]);
    Ok(())
}

#[tokio::test]
async fn pieces_that_are_not_their_change_are_named_and_stop_nothing() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    let mut pieces = group.cut(1_000_000);
    pieces[1] = pieces[1].replacen(r#""data":"eHh4"#, r#""data":"eXl5"#, 1);
    for piece in pieces {
        group.publish_raw(piece).await?;
    }
    group.publish(1).await?;
    let mut changes = group.subscribe().await?;
    match next(&mut changes).await {
        Err(Error::Malformed(bad)) => {
            assert!(bad.to_string().contains("0/10.1 have the SHA-256"), "{bad}");
            assert_eq!(bad.stream_sequence, 2);
        }
        other => panic!("not malformed: {other:?}"),
    }
    assert_eq!(ordinals(&mut changes, 1).await?, [2]);
    Ok(())
}

#[tokio::test]
async fn a_change_with_more_pieces_than_may_be_in_flight_ends_the_subscription()
-> anyhow::Result<()> {
    let mut group = Group::with_in_flight(4).await?;
    for piece in group.cut(LARGE) {
        group.publish_raw(piece).await?;
    }
    let mut changes = group.subscribe().await?;
    match next(&mut changes).await {
        Err(error @ Error::TooManyPieces { .. }) => {
            let told = error.to_string();
            assert!(told.contains("7 pieces") && told.contains("is 4"), "{told}");
        }
        other => panic!("no error: {other:?}"),
    }
    Ok(())
}
