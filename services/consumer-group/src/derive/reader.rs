//! A task's stream, message by message: nothing is passed over unnoticed, and pieces are joined.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use futures::StreamExt as _;
use ring::digest;
use rowcast_bus::Bus;
use rowcast_bus::async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use rowcast_domain::{GroupId, Position, TaskId};
use rowcast_proto::change::{Operation, Part};
use rowcast_proto::stream::task_stream;
use rowcast_service::BoxError;

use super::change::{Stop, Unit};
use super::failure::Failure;
use super::message;

/// Messages, and bytes of them, that are under way to us at a time.
const READ_AHEAD: usize = 500;
const READ_AHEAD_BYTES: usize = 8 << 20;

/// The consumer of a worker that is gone stays for this long.
const GONE_AFTER: Duration = Duration::from_secs(30);

/// Largest change, in bytes of its message, that is read: it lies in memory several times while the policy is applied.
const LARGEST: u64 = 256 << 20;

/// Reads a task's stream from some message on.
pub(super) struct Reader {
    messages: pull::Stream,
    /// Sequence of the next message.
    next: u64,
    pieces: Option<Pieces>,
}

/// What has come of a large message.
struct Pieces {
    first: u64,
    id: Position,
    data: Vec<u8>,
}

impl Reader {
    pub(super) async fn open(
        data: &Bus,
        task: &TaskId,
        group: &GroupId,
        next: u64,
    ) -> Result<Self, BoxError> {
        let stream = data
            .jetstream()
            .get_stream_no_info(task_stream(task))
            .await?;
        let consumer = stream
            .create_consumer(pull::Config {
                description: Some(format!("makes the own stream of consumer group {group}")),
                deliver_policy: DeliverPolicy::ByStartSequence {
                    start_sequence: next,
                },
                // What is lost on the way shows as a hole.
                ack_policy: AckPolicy::None,
                inactive_threshold: GONE_AFTER,
                memory_storage: true,
                num_replicas: 1,
                ..pull::Config::default()
            })
            .await?;
        // One message of the largest size must have room.
        let largest = 2 * data.client().server_info().max_payload;
        let messages = consumer
            .stream()
            .max_messages_per_batch(READ_AHEAD)
            .max_bytes_per_batch(READ_AHEAD_BYTES.max(largest))
            .messages()
            .await?;
        Ok(Self {
            messages,
            next,
            pieces: None,
        })
    }

    /// The next message, whole. Cancel safe.
    ///
    /// # Errors
    /// Where it cannot be read, or is not the next one.
    pub(super) async fn next(&mut self) -> Result<Unit, Failure> {
        loop {
            let message = self.messages.next().await;
            let message = message.ok_or("the task's stream is read no more")?;
            let message = message.map_err(BoxError::from)?;
            let sequence = message.info()?.stream_sequence;
            if sequence != self.next {
                let sentence = format!(
                    "message {sequence} of the task's stream came where {} was awaited",
                    self.next
                );
                return Err(Failure::Retry(sentence.into()));
            }
            self.next += 1;
            let subject = message.subject.to_string();
            if let Some(unit) = self.take(sequence, subject, message.payload.clone())? {
                return Ok(unit);
            }
        }
    }

    /// `None` where more of it has to come.
    fn take(
        &mut self,
        sequence: u64,
        subject: String,
        payload: Bytes,
    ) -> Result<Option<Unit>, Failure> {
        let message = message::read(&payload).map_err(|error| {
            Stop(format!(
                "message {sequence} of the task's stream cannot be read: {error}"
            ))
        })?;
        let (id, op) = (message.id, message.op);
        if op != Operation::Part || message.part.is_none() {
            self.pieces = None;
            return Ok(Some(Unit {
                first: sequence,
                last: sequence,
                subject,
                message,
                payload,
            }));
        }
        let Some(part) = message.part else {
            return Ok(None);
        };
        let Some((first, whole)) = self.join(sequence, id, &part)? else {
            return Ok(None);
        };
        let broken = |what: &str| Stop(format!("the pieces of the change {id} {what}"));
        if HEXLOWER.encode(digest::digest(&digest::SHA256, &whole).as_ref()) != part.sha256 {
            return Err(broken("are not what they say").into());
        }
        let whole = Bytes::from(whole);
        let message = message::read(&whole).map_err(|_error| broken("are no change"))?;
        Ok(Some(Unit {
            first,
            last: sequence,
            subject,
            message,
            payload: whole,
        }))
    }

    /// Adds a piece; gives the whole with its last one. A piece that continues nothing is that of a change whose begin was
    /// removed, or that was begun anew behind it.
    fn join(
        &mut self,
        sequence: u64,
        id: Position,
        part: &Part,
    ) -> Result<Option<(u64, Vec<u8>)>, Stop> {
        if part.bytes > LARGEST {
            return Err(Stop(format!(
                "the change {id} has {} bytes, and a group with a policy or a format of its own takes {LARGEST}",
                part.bytes
            )));
        }
        if part.offset == 0 {
            self.pieces = Some(Pieces {
                first: sequence,
                id,
                data: Vec::new(),
            });
        }
        let continued = self.pieces.take();
        let continued =
            continued.filter(|one| one.id == id && one.data.len() as u64 == part.offset);
        let Some(mut pieces) = continued else {
            return Ok(None);
        };
        let data = BASE64.decode(part.data.as_bytes());
        let data =
            data.map_err(|_malformed| Stop(format!("a piece of the change {id} is no base64")))?;
        pieces.data.extend_from_slice(&data);
        if pieces.data.len() as u64 >= part.bytes {
            return Ok(Some((pieces.first, pieces.data)));
        }
        self.pieces = Some(pieces);
        Ok(None)
    }
}
