//! A group whose members get any change, each.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use rowcast_client::{Changes as _, Delivery, Error, Position};
use serde_json::json;
use tokio::time::Instant;

use crate::fixture::{ACK_WAIT, Group, next, ordinals};

#[tokio::test]
async fn members_get_different_changes_and_together_all_of_them() -> anyhow::Result<()> {
    let mut group = Group::shared().await?;
    let (mut one, mut two) = (group.subscribe().await?, group.subscribe().await?);
    let mut seen = BTreeSet::new();
    for number in (1..=400).step_by(2) {
        group.publish(2).await?;
        for _ in 0..2 {
            let delivery = tokio::select! {
                delivery = next(&mut one) => delivery?,
                delivery = next(&mut two) => delivery?,
            };
            delivery.ack().await?;
            assert!(seen.insert(delivery.position.ordinal), "{number} twice");
        }
    }
    assert_eq!(seen, (1..=400).collect());
    assert_eq!(group.info().await?.num_ack_pending, 0);
    Ok(())
}

#[tokio::test]
async fn an_acknowledgement_covers_one_change_and_what_is_left_goes_to_another()
-> anyhow::Result<()> {
    let mut group = Group::shared().await?;
    group.publish(3).await?;
    let mut changes = group.subscribe().await?;
    let (first, second, third) = (
        next(&mut changes).await?,
        next(&mut changes).await?,
        next(&mut changes).await?,
    );
    third.ack().await?;
    first.ack().await?;
    assert!(!third.covers(&second));
    assert_eq!(group.info().await?.num_ack_pending, 1);
    drop(changes);
    let mut changes = group.subscribe().await?;
    let again = next(&mut changes).await?;
    assert_eq!((again.position, again.redelivered), (second.position, true));
    Ok(())
}

/// What a member leaves comes to another one before the ack wait is over.
async fn is_left(closes: bool) -> anyhow::Result<()> {
    let mut group = Group::shared().await?;
    group.publish(200).await?;
    let mut leaving = group.subscribe().await?;
    let done = next(&mut leaving).await?;
    done.ack().await?;
    let held = next(&mut leaving).await?;
    // It was sent the next ones too.
    while group.info().await?.delivered.stream_sequence < 60 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut other = group.subscribe().await?;
    let left = Instant::now();
    if closes {
        leaving.close().await;
    } else {
        drop(leaving);
    }
    let mut seen = BTreeSet::from([done.position.ordinal]);
    while seen.len() < 200 {
        let delivery = next(&mut other).await?;
        delivery.ack().await?;
        seen.insert(delivery.position.ordinal);
    }
    assert!(left.elapsed() < ACK_WAIT * 3 / 4, "{:?}", left.elapsed());
    assert!(seen.contains(&held.position.ordinal));
    assert_eq!(group.info().await?.num_ack_pending, 0);
    Ok(())
}

#[tokio::test]
async fn what_a_member_has_when_it_is_dropped_comes_to_others_at_once() -> anyhow::Result<()> {
    is_left(false).await
}

#[tokio::test]
async fn what_a_member_has_when_it_closes_comes_to_others_at_once() -> anyhow::Result<()> {
    is_left(true).await
}

#[tokio::test]
async fn a_change_that_is_given_back_comes_again_when_it_was_asked_to() -> anyhow::Result<()> {
    let mut group = Group::shared().await?;
    group.publish(2).await?;
    let mut changes = group.subscribe().await?;
    let delay = Duration::from_secs(1);
    let begun = Instant::now();
    next(&mut changes).await?.nack(Some(delay)).await?;
    let second = next(&mut changes).await?;
    second.nack(None).await?;
    let at_once = next(&mut changes).await?;
    assert_eq!(at_once.position, second.position);
    at_once.ack().await?;
    assert!(begun.elapsed() < delay);
    assert_eq!(ordinals(&mut changes, 1).await?, [1]);
    assert!(begun.elapsed() >= delay && begun.elapsed() < ACK_WAIT);
    Ok(())
}

#[tokio::test]
async fn a_pack_is_done_when_all_of_it_is() -> anyhow::Result<()> {
    let mut group = Group::shared().await?;
    group.publish_pack(3).await?;
    let mut changes = group.subscribe().await?;
    let (first, second, third) = (
        next(&mut changes).await?,
        next(&mut changes).await?,
        next(&mut changes).await?,
    );
    for delivery in [&third, &first, &first] {
        delivery.ack().await?;
        assert_eq!(group.info().await?.num_ack_pending, 1);
    }
    second.ack().await?;
    assert_eq!(group.info().await?.num_ack_pending, 0);
    Ok(())
}

#[tokio::test]
async fn a_change_in_pieces_is_told_and_kept_and_the_others_go_on() -> anyhow::Result<()> {
    let mut group = Group::shared().await?;
    for piece in group.cut(2_000_000) {
        group.publish_raw(piece).await?;
    }
    group.publish(1).await?;
    let mut changes = group.subscribe().await?;
    match next(&mut changes).await {
        Err(error @ Error::InPieces { .. }) => {
            assert!(!error.is_final());
            let told = error.to_string();
            assert!(
                told.contains("0/10.1") && told.contains("shared group"),
                "{told}"
            );
        }
        other => panic!("no error: {other:?}"),
    }
    next(&mut changes).await?.ack().await?;
    // Its first piece stands for it.
    group.sent(1).await;
    assert_eq!(group.info().await?.ack_floor.stream_sequence, 0);
    Ok(())
}

#[tokio::test]
async fn a_change_in_order_cannot_be_given_back() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(2).await?;
    let mut changes = group.subscribe().await?;
    let (first, second) = (next(&mut changes).await?, next(&mut changes).await?);
    assert!(second.covers(&first));
    let refused = first.nack(None).await;
    assert!(matches!(refused, Err(Error::InOrder)), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn the_last_attempt_says_why() -> anyhow::Result<()> {
    let mut group = Group::shared().await?;
    group.allow_attempts(2).await?;
    let mut told = group.given_up().await?;
    group.publish(2).await?;
    let mut changes = group.subscribe().await?;
    let (first, second) = (next(&mut changes).await?, next(&mut changes).await?);
    first.nack_because(&"no such customer", None).await?;
    second.give_up(&"never\r\nwill").await?;
    let advisory = group.next_advisory(&mut told).await?;
    assert_eq!(
        (&advisory["stream_seq"], &advisory["reason"]),
        (&json!(2), &json!("never  will"))
    );
    let again = next(&mut changes).await?;
    assert_eq!(again.position, first.position);
    again.nack_because(&"no such customer", None).await?;
    let advisory = group.next_advisory(&mut told).await?;
    assert_eq!(advisory["reason"], "no such customer");
    assert_eq!(
        (&advisory["stream_seq"], &advisory["deliveries"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(group.info().await?.num_ack_pending, 0);
    Ok(())
}

#[tokio::test]
async fn a_dead_letter_that_is_redriven_comes_as_what_it_was() -> anyhow::Result<()> {
    let mut group = Group::shared().await?;
    let mut changes = group.subscribe().await?;
    // The member is there before the first redrive.
    group.publish(1).await?;
    let change = next(&mut changes).await?;
    change.ack().await?;
    assert!(!change.is_redriven);
    group.redrive(&change).await?;
    let again = next(&mut changes).await?;
    assert!(again.is_redriven && again.redelivered);
    assert_eq!(
        (again.position, again.stream_sequence, &again.subject),
        (change.position, change.stream_sequence, &change.subject)
    );
    assert_eq!(again.change, change.change);
    again.ack().await?;
    assert_eq!(group.redriven_info().await?.num_ack_pending, 0);
    Ok(())
}

/// The stream says that it asks for an order that is not there, and ends.
async fn is_refused(mut stream: impl Stream<Item = Result<Delivery, Error>> + Unpin) {
    match stream.next().await {
        Some(Err(error @ Error::NotOrdered { .. })) => {
            assert!(error.to_string().contains("0/10.1 does not"), "{error}");
        }
        other => panic!("not refused: {other:?}"),
    }
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn no_position_and_no_transaction_tells_what_came_before_in_a_shared_group()
-> anyhow::Result<()> {
    let mut group = Group::shared().await?;
    group.publish(1).await?;
    let stored: Position = "0/10.7".parse()?;
    for applied in [None, Some(stored)] {
        is_refused(group.subscribe().await?.behind(applied)).await;
        group.sent(1).await;
    }
    let position = move |_partition| std::future::ready(Ok::<_, Error>(Some(stored)));
    is_refused(group.subscribe().await?.behind_in(position)).await;
    let transactions = group.subscribe().await?.transactions();
    let mut transactions = transactions.map(|told| told.map(|one| one.ends));
    let told = transactions.next().await;
    assert!(
        matches!(told, Some(Err(Error::NotOrdered { .. }))),
        "{told:?}"
    );
    assert!(transactions.next().await.is_none());
    // It was not acknowledged.
    let mut changes = group.subscribe().await?;
    let change = next(&mut changes).await?;
    assert_eq!((change.position.ordinal, change.partition()), (1, None));
    Ok(())
}

#[tokio::test]
async fn a_change_that_is_being_worked_on_goes_to_nobody_else() -> anyhow::Result<()> {
    let mut group = Group::shared().await?;
    group.publish(1).await?;
    let mut slow = group.subscribe().await?;
    let change = next(&mut slow).await?;
    let mut other = group.subscribe().await?;
    let begun = Instant::now();
    while begun.elapsed() < 3 * ACK_WAIT {
        let again = async {
            tokio::select! {
                again = next(&mut slow) => again,
                again = next(&mut other) => again,
            }
        };
        let again = tokio::time::timeout(ACK_WAIT / 4, again).await;
        assert!(again.is_err(), "{again:?}");
        change.in_progress().await?;
    }
    change.ack().await?;
    let info = group.info().await?;
    assert_eq!(
        (info.delivered.consumer_sequence, info.num_ack_pending),
        (1, 0)
    );
    // Without a word it comes again.
    group.publish(1).await?;
    let silent = tokio::select! {
        change = next(&mut slow) => change?,
        change = next(&mut other) => change?,
    };
    let again = tokio::select! {
        change = next(&mut slow) => change?,
        change = next(&mut other) => change?,
    };
    assert_eq!((again.position, again.redelivered), (silent.position, true));
    Ok(())
}
