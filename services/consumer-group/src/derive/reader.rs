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
use tokio::time::Instant;

use super::change::{Stop, Unit};
use super::failure::Failure;
use super::large::{self, LARGE, Room, Taken, Waiting};
use super::message::{self, Message};
use crate::held::{self, TaskStream};

/// Messages, and bytes of them, that are under way to us at a time.
const READ_AHEAD: usize = 500;
const READ_AHEAD_BYTES: usize = 8 << 20;

/// The consumer of a worker that is gone stays for this long.
const GONE_AFTER: Duration = Duration::from_secs(30);

/// Largest change, in bytes of its message, that is read: it lies in memory several times while the policy is applied.
const LARGEST: u64 = 256 << 20;

/// Pieces that lie in memory wait this long for the next one.
const NEXT_PIECE_WITHIN: Duration = Duration::from_secs(10);

/// Reads a task's stream from some message on.
pub(super) struct Reader {
    stream: TaskStream,
    messages: pull::Stream,
    room: Room,
    /// Sequence of the next message.
    next: u64,
    /// Came, and was not taken yet.
    held: Option<Came>,
    /// Waits for memory for it.
    waiting: Option<Waiting>,
    /// Memory for it.
    taken: Option<Taken>,
    pieces: Option<Pieces>,
    came_at: Instant,
}

/// A message as it came.
struct Came {
    sequence: u64,
    subject: String,
    payload: Bytes,
    message: Message,
}

/// What has come of a large message.
struct Pieces {
    first: u64,
    id: Position,
    data: Vec<u8>,
    /// Memory for the whole.
    taken: Option<Taken>,
}

/// What the stream tells next.
pub(super) enum Read {
    /// A message, whole.
    Unit(Box<Unit>),
    /// Messages are no longer there.
    Lost(Box<Lost>),
}

/// Messages that were removed before they were read.
pub(super) struct Lost {
    pub(super) first: u64,
    pub(super) last: u64,
    /// The first one behind them, which comes next.
    pub(super) next: Message,
}

impl Reader {
    pub(super) async fn open(
        data: &Bus,
        task: &TaskId,
        group: &GroupId,
        next: u64,
        room: Room,
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
            stream,
            messages,
            room,
            next,
            held: None,
            waiting: None,
            taken: None,
            pieces: None,
            came_at: Instant::now(),
        })
    }

    /// Sequence of the message that is awaited.
    pub(super) const fn awaits(&self) -> u64 {
        self.next
    }

    /// Whether the next message came, and waits for memory.
    pub(super) const fn waits_for_room(&self) -> bool {
        self.held.is_some()
    }

    /// Whether pieces take memory, and nothing more comes of them: others may need it.
    pub(super) fn is_stuck_in_pieces(&self) -> bool {
        self.pieces.is_some() && self.held.is_none() && self.came_at.elapsed() > NEXT_PIECE_WITHIN
    }

    /// Whether the stream holds the message that is awaited, or one behind it.
    pub(super) async fn has_next(&mut self) -> Result<bool, BoxError> {
        Ok(held::at_or_after(&self.stream, self.next).await?.is_some())
    }

    /// What comes next. Cancel safe.
    ///
    /// # Errors
    /// Where it cannot be read, or was lost on its way.
    pub(super) async fn next(&mut self) -> Result<Read, Failure> {
        loop {
            if self.held.is_none() {
                let came = self.messages.next().await;
                self.came_at = Instant::now();
                let came = came.ok_or("the task's stream is read no more")?;
                let came = came.map_err(BoxError::from)?;
                self.held = Some(read(
                    came.info()?.stream_sequence,
                    came.subject.to_string(),
                    came.payload.clone(),
                )?);
            }
            if let Some(lost) = self.lost().await? {
                return Ok(Read::Lost(Box::new(lost)));
            }
            self.wait_for_room().await;
            let Some(came) = self.held.take() else {
                continue;
            };
            self.next += 1;
            if let Some(unit) = self.take(came)? {
                return Ok(Read::Unit(Box::new(unit)));
            }
        }
    }

    /// What is missing before the message that has come: told once.
    async fn lost(&mut self) -> Result<Option<Lost>, Failure> {
        let Some(came) = self.held.as_ref().filter(|came| came.sequence != self.next) else {
            return Ok(None);
        };
        let (first, sequence) = (self.next, came.sequence);
        // What the stream still has was lost on its way to us, or was sent before: it is read again.
        let there = held::at_or_after(&self.stream, first).await?;
        if sequence < first || there.is_some_and(|there| there.sequence < sequence) {
            let sentence =
                format!("message {sequence} of the task's stream came where {first} was awaited");
            return Err(Failure::Retry(sentence.into()));
        }
        let mut next = message::bare(&came.message, came.message.op);
        let in_pieces = came.message.part.as_ref();
        // A pack has the position of its last row, and nothing of it was told: what is missing stands before its first one, which
        // pieces do not tell.
        next.id = match came.message.pack.first() {
            Some(row) => row.id,
            None if in_pieces.is_some_and(|part| part.op == Operation::Pack) => {
                Position::new(next.lsn, 1)
            }
            None => next.id,
        };
        next.ordinal = next.id.ordinal;
        self.next = sequence;
        self.pieces = None;
        Ok(Some(Lost {
            first,
            last: sequence - 1,
            next,
        }))
    }

    /// Until there is memory for a large change. Cancel safe: its place in the row is kept.
    async fn wait_for_room(&mut self) {
        let Some(came) = self.held.as_ref().filter(|_came| self.taken.is_none()) else {
            return;
        };
        let part = came.message.part.as_ref();
        let bytes = match part {
            Some(part) if part.offset > 0 => return,
            Some(part) => usize::try_from(part.bytes.min(LARGEST)).unwrap_or(usize::MAX),
            None => came.payload.len(),
        };
        if bytes < LARGE {
            return;
        }
        // Those of a change that is begun anew.
        self.pieces = None;
        let room = &self.room;
        let waiting = self.waiting.get_or_insert_with(|| room.take(bytes));
        self.taken = Some(waiting.await);
        self.waiting = None;
    }

    /// `None` where more of it has to come.
    fn take(&mut self, came: Came) -> Result<Option<Unit>, Failure> {
        let Came {
            sequence,
            subject,
            payload,
            message,
        } = came;
        let taken = self.taken.take();
        let id = message.id;
        let part = match message.part {
            Some(ref part) if message.op == Operation::Part => part,
            Some(_) | None => {
                self.pieces = None;
                return Ok(Some(Unit {
                    first: sequence,
                    last: sequence,
                    subject,
                    message,
                    payload,
                    taken,
                }));
            }
        };
        let Some(pieces) = self.join(sequence, id, part, taken)? else {
            return Ok(None);
        };
        let Pieces {
            first, data, taken, ..
        } = pieces;
        let broken = |what: &str| Stop(format!("the pieces of the change {id} {what}"));
        let whole = Bytes::from(data);
        let message = large::work(whole.len(), || {
            if HEXLOWER.encode(digest::digest(&digest::SHA256, &whole).as_ref()) != part.sha256 {
                return Err(broken("are not what they say"));
            }
            message::read(&whole).map_err(|_error| broken("are no change"))
        })?;
        Ok(Some(Unit {
            first,
            last: sequence,
            subject,
            message,
            payload: whole,
            taken,
        }))
    }

    /// Adds a piece; gives all of them with the last one. A piece that continues nothing is that of a change whose begin
    /// was removed, or that was begun anew behind it.
    fn join(
        &mut self,
        sequence: u64,
        id: Position,
        part: &Part,
        taken: Option<Taken>,
    ) -> Result<Option<Pieces>, Stop> {
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
                // All of it at once: growing would take twice of it.
                data: Vec::with_capacity(usize::try_from(part.bytes).unwrap_or_default()),
                taken,
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
            return Ok(Some(pieces));
        }
        self.pieces = Some(pieces);
        Ok(None)
    }
}

fn read(sequence: u64, subject: String, payload: Bytes) -> Result<Came, Stop> {
    let message = large::work(payload.len(), || message::read(&payload));
    let message = message.map_err(|error| {
        Stop(format!(
            "message {sequence} of the task's stream cannot be read: {error}"
        ))
    })?;
    Ok(Came {
        sequence,
        subject,
        payload,
        message,
    })
}
