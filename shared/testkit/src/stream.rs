//! What a task's stream holds, read past all consumer groups.

use anyhow::Context as _;
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures::StreamExt as _;
use rowcast_domain::TaskId;
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::stream::task_stream;

/// A stored message.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its subject.
    pub subject: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// Its body, as it is stored.
    pub payload: Vec<u8>,
    /// Its body, read.
    pub change: Change,
}

/// Number of messages in a task's stream, 0 where there is none. `data` is a user of account DATA.
///
/// # Errors
/// Where the server does not answer.
pub async fn stream_length(data: &async_nats::Client, task: &TaskId) -> anyhow::Result<u64> {
    let context = jetstream::new(data.clone());
    match context.get_stream(task_stream(task)).await {
        Ok(stream) => Ok(stream.cached_info().state.messages),
        Err(_missing) => Ok(0),
    }
}

/// Reads everything that a task's stream holds.
///
/// # Errors
/// Where the stream is missing, or a message is no change.
pub async fn read_stream(data: &async_nats::Client, task: &TaskId) -> anyhow::Result<Vec<Stored>> {
    let stream = jetstream::new(data.clone())
        .get_stream(task_stream(task))
        .await?;
    let length = usize::try_from(stream.cached_info().state.messages)?;
    let consumer = stream
        .create_consumer(pull::Config {
            ack_policy: AckPolicy::None,
            ..pull::Config::default()
        })
        .await?;
    let mut stored = Vec::with_capacity(length);
    let mut messages = consumer.messages().await?;
    while stored.len() < length {
        let message = messages
            .next()
            .await
            .context("the stream's reader has ended")??;
        let sequence = message
            .info()
            .map_err(anyhow::Error::from_boxed)?
            .stream_sequence;
        let change = serde_json::from_slice(&message.payload)
            .with_context(|| String::from_utf8_lossy(&message.payload).into_owned())?;
        stored.push(Stored {
            subject: message.subject.to_string(),
            sequence,
            payload: message.payload.to_vec(),
            change,
        });
    }
    Ok(stored)
}

/// The changes of rows, after a check that nothing is twice in the stream and nothing out of order.
///
/// # Panics
/// Where a position is not behind the one before it.
#[must_use]
pub fn rows_in_order(stored: &[Stored]) -> Vec<&Change> {
    let mut last = None;
    for message in stored {
        let position = message.change.id;
        let told_again = message.change.op == Operation::Schema && last == Some(position);
        assert!(
            last.is_none_or(|last| last < position) || told_again,
            "sequence {}: {position} comes after {last:?}",
            message.sequence
        );
        last = Some(position);
    }
    stored
        .iter()
        .map(|message| &message.change)
        .filter(|change| {
            matches!(
                change.op,
                Operation::Insert | Operation::Update | Operation::Delete | Operation::Truncate
            )
        })
        .collect()
}
