//! What a member of a group is told.

use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use rowcast_client::{Change, Delivery, Error, Operation, Subscription};

use crate::PATIENCE;

/// Between two attempts to acknowledge a change.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads and acknowledges up to the change that `is_last`, and gives everything but shapes and
/// heartbeats, in the order told.
///
/// # Errors
/// Where the next change does not come in time, or the group is not let in.
pub async fn read_until(
    subscription: &mut Subscription,
    is_last: impl Fn(&Change) -> bool,
) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    loop {
        let delivery = next(subscription, &changes).await?;
        delivery.ack().await?;
        if add(&mut changes, delivery.change, &is_last) {
            return Ok(changes);
        }
    }
}

/// As [`read_until`], for where acknowledgements may be lost: a change counts once its own is stored.
///
/// # Errors
/// As there; where an acknowledgement is refused for good, or none is stored in time.
pub async fn read_on_until(
    subscription: &mut Subscription,
    is_last: impl Fn(&Change) -> bool,
) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    loop {
        let delivery = next(subscription, &changes).await?;
        let acknowledged = tokio::time::timeout(PATIENCE, is_acknowledged(&delivery)).await;
        // Otherwise it comes again.
        if acknowledged.context("no acknowledgement is stored")??
            && add(&mut changes, delivery.change, &is_last)
        {
            return Ok(changes);
        }
    }
}

/// Tries until it is known; `false` where it went to another member.
async fn is_acknowledged(delivery: &Delivery) -> Result<bool, Error> {
    loop {
        match delivery.ack().await {
            Ok(()) => return Ok(true),
            Err(Error::NotAcknowledged(_)) => tokio::time::sleep(PAUSE).await,
            Err(error) if error.is_final() => return Err(error),
            Err(_) => return Ok(false),
        }
    }
}

async fn next(subscription: &mut Subscription, before: &[Change]) -> anyhow::Result<Delivery> {
    let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
    let next = next.with_context(|| format!("no further change after {before:?}"))?;
    Ok(next.context("the subscription ended")??)
}

/// Whether it was the last one.
fn add(changes: &mut Vec<Change>, change: Change, is_last: impl Fn(&Change) -> bool) -> bool {
    if matches!(change.op, Operation::Schema | Operation::Heartbeat) {
        return false;
    }
    let last = is_last(&change);
    changes.push(change);
    last
}

/// Whether this change inserts the row of `shop.counter` with this number.
#[must_use]
pub fn is_count(change: &Change, number: i64) -> bool {
    let row = change.after.as_ref();
    change.table.as_deref() == Some("counter")
        && row.is_some_and(|row| row.get("n").and_then(serde_json::Value::as_i64) == Some(number))
}
