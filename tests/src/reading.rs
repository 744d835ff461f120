//! What a member of a group is told.

use anyhow::Context as _;
use futures::StreamExt as _;
use rowcast_client::{Change, Operation, Subscription};

use crate::PATIENCE;

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
        let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
        let delivery = next
            .with_context(|| format!("no further change after {changes:?}"))?
            .context("the subscription ended")??;
        delivery.ack().await?;
        let change = delivery.change;
        if matches!(change.op, Operation::Schema | Operation::Heartbeat) {
            continue;
        }
        let last = is_last(&change);
        changes.push(change);
        if last {
            return Ok(changes);
        }
    }
}

/// Whether this change inserts the row of `shop.counter` with this number.
#[must_use]
pub fn is_count(change: &Change, number: i64) -> bool {
    let row = change.after.as_ref();
    change.table.as_deref() == Some("counter")
        && row.is_some_and(|row| row.get("n").and_then(serde_json::Value::as_i64) == Some(number))
}
