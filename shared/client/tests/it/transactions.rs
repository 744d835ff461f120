//! Transactions as units, and what was applied before.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use rowcast_client::{Changes as _, Error, Position, Transaction};

use crate::fixture::Group;
use crate::moved::move_to;

const LIMIT: Duration = Duration::from_secs(40);

/// A message of the transaction that commits at `0/<lsn>0`.
fn message(lsn: u64, ordinal: u64, op: &str) -> String {
    format!(
        r#"{{"id":"0/{lsn}0.{ordinal}","op":"{op}","database":"shop","schema":"public","table":"orders",
            "lsn":"0/{lsn}0","ordinal":{ordinal},"xid":{lsn},
            "committed_at":"2026-11-23T05:33:10.123456Z"}}"#
    )
}

impl Group {
    /// Publishes a transaction of so many rows, with its markers.
    async fn transaction(&self, lsn: u64, rows: u64) -> anyhow::Result<()> {
        self.publish_raw(message(lsn, 0, "begin")).await?;
        for ordinal in 1..=rows {
            self.publish_raw(message(lsn, ordinal, "insert")).await?;
        }
        self.publish_raw(message(lsn, rows + 1, "commit")).await
    }
}

async fn next<T>(stream: &mut (impl Stream<Item = Result<T, Error>> + Unpin)) -> Result<T, Error> {
    let next = tokio::time::timeout(LIMIT, stream.next()).await;
    match next {
        Ok(Some(item)) => item,
        Ok(None) => panic!("the stream has ended"),
        Err(_elapsed) => panic!("nothing within {LIMIT:?}"),
    }
}

fn ordinals(transaction: &Transaction) -> Vec<u64> {
    let changes = transaction.changes().iter();
    changes.map(|change| change.position.ordinal).collect()
}

#[tokio::test]
async fn transactions_come_whole_and_large_ones_in_parts() -> anyhow::Result<()> {
    let group = Group::start().await?;
    group.transaction(1, 3).await?;
    group.publish_raw(message(2, 0, "heartbeat")).await?;
    group.transaction(3, 0).await?;
    let mut transactions = group.subscribe().await?.transactions();
    let first = next(&mut transactions).await?;
    assert_eq!((first.xid, ordinals(&first)), (Some(1), vec![1, 2, 3]));
    assert!(first.begins && first.ends);
    assert_eq!(first.position().to_string(), "0/10.4");
    first.ack().await?;
    let empty = next(&mut transactions).await?;
    assert!(empty.changes().is_empty() && empty.begins && empty.ends);
    empty.ack().await?;
    assert_eq!(group.info().await?.num_ack_pending, 0);

    drop(transactions);
    let group = Group::with_in_flight(2000).await?;
    group.transaction(4, 1500).await?;
    let mut transactions = group.subscribe().await?.transactions();
    let mut all = Vec::new();
    for number in 1..=3 {
        let part = next(&mut transactions).await?;
        assert_eq!((part.begins, part.ends), (number == 1, number == 3));
        all.extend(ordinals(&part));
        part.ack().await?;
    }
    assert_eq!(all, (1..=1500).collect::<Vec<_>>());
    assert_eq!(group.info().await?.num_ack_pending, 0);
    Ok(())
}

#[tokio::test]
async fn a_gap_in_the_middle_of_a_transaction_and_its_shapes_are_told() -> anyhow::Result<()> {
    let group = Group::start().await?;
    group.publish_raw(message(1, 0, "begin")).await?;
    group.publish_raw(message(1, 0, "schema")).await?;
    group.publish_raw(message(1, 1, "insert")).await?;
    group.publish_raw(message(1, 1, "schema")).await?;
    group.publish_raw(message(1, 2, "insert")).await?;
    group.publish_raw(message(3, 0, "gap")).await?;
    let mut transactions = group.subscribe().await?.transactions();
    let begun = next(&mut transactions).await?;
    assert_eq!(ordinals(&begun), [0, 1, 1, 2]);
    assert!(begun.begins && !begun.ends);
    let gap = next(&mut transactions).await?;
    assert_eq!((gap.changes().len(), gap.ends), (1, true));
    gap.ack().await?;
    assert_eq!(group.info().await?.num_ack_pending, 0);
    Ok(())
}

#[tokio::test]
async fn what_comes_again_in_the_middle_of_a_transaction_is_in_it_once() -> anyhow::Result<()> {
    let group = Group::start().await?;
    group.publish_raw(message(1, 0, "begin")).await?;
    group.publish_raw(message(1, 1, "insert")).await?;
    let mut transactions = group.subscribe().await?.transactions();
    // Longer than the ack wait: what was taken comes again.
    let waited = tokio::time::timeout(Duration::from_secs(5), transactions.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    group.publish_raw(message(1, 2, "insert")).await?;
    group.publish_raw(message(1, 3, "commit")).await?;
    assert_eq!(ordinals(&next(&mut transactions).await?), [1, 2]);
    Ok(())
}

#[tokio::test]
async fn what_comes_again_while_a_transaction_is_collected_ends_no_stream_behind_a_position()
-> anyhow::Result<()> {
    let group = Group::start().await?;
    group.transaction(1, 1).await?;
    group.publish_raw(message(2, 0, "heartbeat")).await?;
    let mut transactions = group.subscribe().await?.behind(None).transactions();
    let first = next(&mut transactions).await?;
    assert_eq!(ordinals(&first), [1]);
    first.ack().await?;
    group.publish_raw(message(3, 0, "begin")).await?;
    group.publish_raw(message(3, 1, "insert")).await?;
    // Longer than the ack wait, twice.
    let waited = tokio::time::timeout(Duration::from_secs(8), transactions.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    group.publish_raw(message(3, 2, "insert")).await?;
    group.publish_raw(message(3, 3, "commit")).await?;
    let second = next(&mut transactions).await?;
    assert_eq!(ordinals(&second), [1, 2]);
    assert!(second.begins && second.ends);
    // What the caller has seen ends it, as ever.
    let ended = tokio::time::timeout(LIMIT, transactions.next()).await?;
    assert!(ended.is_none(), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_acknowledges_nothing_that_the_caller_has() -> anyhow::Result<()> {
    let group = Group::start().await?;
    group.transaction(1, 1).await?;
    group.publish_raw(message(2, 0, "heartbeat")).await?;
    let mut transactions = group.subscribe().await?.transactions();
    let held = next(&mut transactions).await?;
    // The heartbeat comes, within the ack wait.
    let waited = tokio::time::timeout(Duration::from_secs(1), transactions.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    let info = group.info().await?;
    assert_eq!(info.ack_floor.stream_sequence, 0);
    assert_eq!(info.delivered.stream_sequence, 4);

    held.ack().await?;
    assert_eq!(group.info().await?.ack_floor.stream_sequence, 3);
    // It comes again, and there is nothing any more that it would acknowledge with it.
    let settled = async {
        while group.info().await?.num_ack_pending > 0 {
            let none = tokio::time::timeout(Duration::from_millis(200), transactions.next()).await;
            assert!(none.is_err(), "{none:?}");
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LIMIT, settled).await?
}

#[tokio::test]
async fn a_task_without_markers_is_told_so() -> anyhow::Result<()> {
    let group = Group::start().await?;
    group.publish_raw(message(1, 1, "insert")).await?;
    group.publish_raw(message(2, 1, "insert")).await?;
    let mut transactions = group.subscribe().await?.transactions();
    let error = next(&mut transactions).await.unwrap_err();
    assert!(matches!(error, Error::NoMarkers { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn what_was_applied_before_is_acknowledged_and_left_out() -> anyhow::Result<()> {
    let group = Group::start().await?;
    group.transaction(1, 3).await?;
    let applied: Position = "0/10.2".parse()?;
    let mut changes = group.subscribe().await?.behind(Some(applied));
    let delivery = next(&mut changes).await?;
    assert_eq!(delivery.position.ordinal, 3);
    // The begin and two rows.
    assert_eq!(group.info().await?.ack_floor.stream_sequence, 3);
    let mut all = group.subscribe().await?.behind(None);
    drop(changes);
    assert_eq!(next(&mut all).await?.position.ordinal, 3);
    Ok(())
}

#[tokio::test]
async fn what_is_left_out_is_acknowledged_where_nothing_new_follows() -> anyhow::Result<()> {
    // More than are acknowledged together, and than are in flight.
    let group = Group::with_in_flight(300).await?;
    group.transaction(1, 698).await?;
    let mut changes = group.subscribe().await?.behind(Some("0/10.699".parse()?));
    let reads = async {
        while group.info().await?.ack_floor.stream_sequence < 700 {
            let none = tokio::time::timeout(Duration::from_millis(200), changes.next()).await;
            assert!(none.is_err(), "{none:?}");
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LIMIT, reads).await??;
    group.transaction(2, 1).await?;
    assert_eq!(next(&mut changes).await?.position.to_string(), "0/20.0");
    Ok(())
}

#[tokio::test]
async fn what_was_collected_before_a_move_takes_nothing_from_what_comes_after_it()
-> anyhow::Result<()> {
    let group = Group::start().await?;
    group.transaction(1, 3).await?;
    group.publish_raw(message(2, 0, "begin")).await?;
    group.publish_raw(message(2, 1, "insert")).await?;
    let mut transactions = group.subscribe().await?.transactions();
    let first = next(&mut transactions).await?;
    assert_eq!(ordinals(&first), [1, 2, 3]);
    first.ack().await?;
    // The begin and the row of the second one are collected.
    let waited = tokio::time::timeout(Duration::from_secs(1), transactions.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    assert_eq!(group.info().await?.num_ack_pending, 2);
    // To the second row of the first one, which is no begin of anything.
    move_to(&group, 3, 1).await?;
    let rest = next(&mut transactions).await?;
    assert_eq!((rest.xid, ordinals(&rest)), (Some(1), vec![2, 3]));
    assert!(!rest.begins && rest.ends);
    rest.ack().await?;
    group.publish_raw(message(2, 2, "commit")).await?;
    let second = next(&mut transactions).await?;
    assert_eq!((second.xid, ordinals(&second)), (Some(2), vec![1]));
    assert!(second.begins && second.ends);
    Ok(())
}

#[tokio::test]
async fn a_marker_that_is_missing_is_told_and_the_next_transaction_is_whole() -> anyhow::Result<()>
{
    let group = Group::start().await?;
    group.publish_raw(message(1, 0, "begin")).await?;
    group.publish_raw(message(1, 1, "insert")).await?;
    group.transaction(2, 2).await?;
    let mut transactions = group.subscribe().await?.transactions();
    let error = next(&mut transactions).await.unwrap_err();
    assert!(matches!(error, Error::NoMarkers { .. }), "{error}");
    let second = next(&mut transactions).await?;
    assert_eq!((second.xid, ordinals(&second)), (Some(2), vec![1, 2]));
    assert!(second.begins && second.ends);
    Ok(())
}
