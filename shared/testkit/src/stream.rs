//! What a stream of changes holds, read past all consumer groups.

use anyhow::Context as _;
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use data_encoding::{BASE64, HEXLOWER};
use futures::StreamExt as _;
use prost::Message as _;
use ring::digest;
use rowcast_domain::{Position, TaskId};
use rowcast_proto::change::{Change, Operation, Part, is_json, protobuf};
use rowcast_proto::stream::task_stream;

/// Bytes asked for at a time: the server closes a connection that has 64 MB to come, and what was under
/// way would not come again.
const BATCH_BYTES: usize = 8 << 20;

/// A stored message. One in pieces is joined.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its subject.
    pub subject: String,
    /// Its sequence in the stream; that of the last piece.
    pub sequence: u64,
    /// Its body, as it is stored, or joined.
    pub payload: Vec<u8>,
    /// Its body, read.
    pub change: Change,
    /// Number of messages that it is stored in, without pieces that were begun anew.
    pub pieces: usize,
}

/// A message of which more pieces must come.
struct Begun {
    subject: String,
    position: Position,
    part: Part,
    data: Vec<u8>,
    pieces: usize,
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

/// Reads everything that a task's stream holds. Pieces at its end that are not all there yet are left
/// out.
///
/// # Errors
/// Where the stream is missing, a message is no change, or pieces do not follow each other or do not
/// give what they say.
pub async fn read_stream(data: &async_nats::Client, task: &TaskId) -> anyhow::Result<Vec<Stored>> {
    read_stream_named(data, &task_stream(task)).await
}

/// As [`read_stream`], of the stream with this name, as that of a group's own.
///
/// # Errors
/// Those of [`read_stream`].
pub async fn read_stream_named(
    data: &async_nats::Client,
    name: &str,
) -> anyhow::Result<Vec<Stored>> {
    let stream = jetstream::new(data.clone()).get_stream(name).await?;
    let length = usize::try_from(stream.cached_info().state.messages)?;
    let consumer = stream
        .create_consumer(pull::Config {
            ack_policy: AckPolicy::None,
            ..pull::Config::default()
        })
        .await?;
    let mut stored = Vec::new();
    let mut begun = None;
    let mut messages = consumer
        .stream()
        .max_messages_per_batch(500)
        .max_bytes_per_batch(BATCH_BYTES)
        .messages()
        .await?;
    for _ in 0..length {
        let message = messages
            .next()
            .await
            .context("the stream's reader has ended")??;
        let sequence = message
            .info()
            .map_err(anyhow::Error::from_boxed)?
            .stream_sequence;
        let change: Change = read(&message.payload)?;
        let subject = message.subject.to_string();
        if change.op == Operation::Pack {
            stored.extend(unpacked(change, &message.payload, sequence, &subject)?);
            continue;
        }
        stored.extend(match change.part {
            None => {
                // A writer that gave up begins anew behind what lies between.
                begun = None;
                let payload = message.payload.to_vec();
                Some(Stored {
                    subject,
                    sequence,
                    payload,
                    change,
                    pieces: 1,
                })
            }
            Some(part) => {
                let end = join(&mut begun, change.id, &part, subject)
                    .with_context(|| format!("sequence {sequence}"))?;
                end.map(|whole| whole.stored(sequence)).transpose()?
            }
        });
    }
    Ok(stored)
}

/// The changes of a pack, each with its own body.
fn unpacked(
    pack: Change,
    payload: &[u8],
    sequence: u64,
    subject: &str,
) -> anyhow::Result<Vec<Stored>> {
    #[derive(serde::Deserialize)]
    struct Bodies {
        pack: Vec<Box<serde_json::value::RawValue>>,
    }
    let bodies: Vec<Vec<u8>> = if is_json(payload) {
        let bodies: Bodies = serde_json::from_slice(payload)?;
        let bodies = bodies.pack.iter();
        bodies.map(|body| body.get().as_bytes().to_vec()).collect()
    } else {
        let bodies = protobuf::Change::decode(payload)?.pack;
        bodies.iter().map(prost::Message::encode_to_vec).collect()
    };
    let last = pack.pack.last().map(|last| last.id);
    anyhow::ensure!(
        last == Some(pack.id),
        "{} does not end with its last change",
        pack.id
    );
    let stored = pack
        .pack
        .into_iter()
        .zip(bodies)
        .map(|(change, payload)| Stored {
            subject: subject.to_owned(),
            sequence,
            payload,
            change,
            pieces: 1,
        });
    Ok(stored.collect())
}

fn read(payload: &[u8]) -> anyhow::Result<Change> {
    Change::read(payload).with_context(|| {
        String::from_utf8_lossy(payload.get(..500).unwrap_or(payload)).into_owned()
    })
}

/// Adds a piece, and gives the message that ends with it.
fn join(
    begun: &mut Option<Begun>,
    position: Position,
    part: &Part,
    subject: String,
) -> anyhow::Result<Option<Begun>> {
    let piece = BASE64.decode(part.data.as_bytes())?;
    let mut whole = if part.offset == 0 {
        Begun {
            subject,
            position,
            part: part.clone(),
            data: Vec::new(),
            pieces: 0,
        }
    } else {
        let whole = begun.take().context("a piece without a beginning")?;
        let (first, offset) = (&whole.part, whole.data.len() as u64);
        anyhow::ensure!(
            (
                whole.position,
                &whole.subject,
                first.op,
                first.bytes,
                &first.sha256,
                offset
            ) == (
                position,
                &subject,
                part.op,
                part.bytes,
                &part.sha256,
                part.offset
            ),
            "the piece of {position} at byte {} follows byte {offset} of {}",
            part.offset,
            whole.position
        );
        whole
    };
    whole.data.extend_from_slice(&piece);
    whole.pieces += 1;
    if whole.data.len() as u64 >= part.bytes {
        return Ok(Some(whole));
    }
    *begun = Some(whole);
    Ok(None)
}

impl Begun {
    fn stored(self, sequence: u64) -> anyhow::Result<Stored> {
        let sum = HEXLOWER.encode(digest::digest(&digest::SHA256, &self.data).as_ref());
        let right = self.data.len() as u64 == self.part.bytes && sum == self.part.sha256;
        anyhow::ensure!(right, "the pieces of {} do not add up", self.position);
        let change = read(&self.data)?;
        let same = (change.id, change.op) == (self.position, self.part.op);
        anyhow::ensure!(same, "the pieces of {} are {}", self.position, change.id);
        Ok(Stored {
            subject: self.subject,
            sequence,
            payload: self.data,
            change,
            pieces: self.pieces,
        })
    }
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
            "sequence {}: {:?} at {position} comes after {last:?}",
            message.sequence,
            message.change.op
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
