//! Messages into a task's stream that are stored as they come (fast ingest, NATS ADR-50), fenced.
//!
//! Where the broker acknowledges before it syncs, an atomic batch costs more than it gives: the server
//! writes its messages twice. Here each is stored at once, and the server tells now and then how far it
//! is. Readers may see the first messages of a transaction before the last is sent.
//!
//! Nothing can be lost, doubled or reordered: each message carries the sequence that the stream must end
//! with, and the number that it has in its batch. Behind one that is missing or refused the server ends
//! the batch (gap mode `fail`) and refuses what follows by the batch's name, also where another writer
//! brings the stream to just the end that it expects. No batch begins before the last one's end is
//! acknowledged.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::Arc;

use serde::Deserialize;
use tokio::time::Instant;

use super::link::{Link, Replies};
use super::wire::Reply;
use super::{ACK_TIMEOUT, Acked, ApiError, BatchError, BatchMessage};
use crate::connect::Bus;

/// The server acknowledges at least when so many more are stored.
const ACK_EVERY: usize = 64;

/// What a message does (ADR-50).
#[derive(Debug, Clone, Copy)]
enum Operation {
    Start = 0,
    Append = 1,
    /// Is stored, and ends the batch.
    Commit = 2,
    /// Is not stored, and ends the batch before it.
    EndOfBatch = 3,
}

/// What comes behind the messages that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// Others, within seconds: the server gives a batch up where nothing comes for ten.
    Follows,
    /// Nothing for now: all that is sent is acknowledged soon.
    Nothing,
}

/// A batch that is not known to be stored to its end.
struct Batch {
    reply_prefix: String,
    id: String,
    /// What the stream ends with before it.
    base: u64,
    sent: usize,
    /// Told by the server.
    stored: usize,
    /// Told to the caller.
    acked: usize,
    /// Of the message that is being written.
    header: Vec<u8>,
    /// Of the last message.
    subject: Arc<str>,
    is_ended: bool,
    /// When the next acknowledgement counts as lost, where one is owed.
    deadline: Instant,
}

/// Publishes messages into one stream, in order.
///
/// It has a connection of its own, as [`BatchPublisher`](super::BatchPublisher) has. Of no use after an
/// error.
pub struct IngestPublisher {
    link: Link,
    batches: u64,
    /// What the stream ends with once everything sent is stored.
    next_expected: u64,
    batch: Option<Batch>,
}

impl IngestPublisher {
    /// A publisher for a stream that ends with `last_sequence`, and takes batches that are not atomic.
    #[must_use]
    pub fn new(bus: &Bus, last_sequence: u64) -> Self {
        Self {
            link: Link::new(bus, Replies::Below),
            batches: 0,
            next_expected: last_sequence,
            batch: None,
        }
    }

    /// Makes room for so many messages of so many bytes, subjects and payloads, that are given to the next
    /// [`send`](Self::send): the buffer grows to what they need and not past it.
    pub const fn make_room(&mut self, messages: usize, bytes: usize) {
        self.link.make_room(messages, bytes);
    }

    /// Bytes of the buffers that messages are sent from.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.link.memory()
    }

    /// Messages sent and not yet acknowledged.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.batch
            .as_ref()
            .map_or(0, |batch| batch.sent - batch.acked)
    }

    /// Whether a batch has begun and not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| !batch.is_ended)
    }

    /// Whether messages can be sent: not while the end of a batch is to be acknowledged.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.batch.as_ref().is_none_or(|batch| !batch.is_ended)
    }

    /// Sends messages without waiting for their acknowledgement, by [`acked`](Self::acked). Call it only
    /// when it [is ready](Self::is_ready).
    ///
    /// Not cancel safe: the publisher is of no use after messages that were sent in part.
    ///
    /// # Errors
    /// Where the connection does not take messages, or not in time.
    pub async fn send(
        &mut self,
        messages: impl ExactSizeIterator<Item = BatchMessage>,
        more: More,
    ) -> Result<(), BatchError> {
        let count = messages.len();
        if count == 0 && (more == More::Follows || !self.is_open()) {
            return Ok(());
        }
        let owed = self.batch.as_ref().is_some_and(Batch::is_owed);
        let mut batch = match self.batch.take() {
            Some(batch) => batch,
            None => self.begin(),
        };
        self.link
            .send(|output| {
                for (index, message) in messages.enumerate() {
                    let ends = more == More::Nothing && index + 1 == count;
                    batch.write(output, message, ends);
                }
                if count == 0 {
                    batch.end(output);
                }
            })
            .await?;
        batch.is_ended = more == More::Nothing;
        self.next_expected = batch.base + batch.sent as u64;
        if !owed {
            batch.deadline = Instant::now() + ACK_TIMEOUT;
        }
        self.batch = Some(batch);
        Ok(())
    }

    fn begin(&mut self) -> Batch {
        self.batches += 1;
        let id = self.link.batch_id(self.batches);
        Batch {
            reply_prefix: format!("{}.{id}.{ACK_EVERY}.fail", self.link.inbox()),
            id,
            base: self.next_expected,
            sent: 0,
            stored: 0,
            acked: 0,
            header: Vec::new(),
            subject: "".into(),
            is_ended: false,
            deadline: Instant::now(),
        }
    }

    /// Waits until more is acknowledged; for ever where nothing is sent.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// Where it does not come, or tells of a message that is not stored; what the stream holds is open
    /// then.
    pub async fn acked(&mut self) -> Result<Acked, BatchError> {
        loop {
            let Some(batch) = &mut self.batch else {
                self.link.idle().await;
                return std::future::pending().await;
            };
            let wire = self.link.wire().ok_or(BatchError::Timeout)?;
            let reply = if batch.is_owed() {
                let reply = tokio::time::timeout_at(batch.deadline, wire.reply()).await;
                reply.map_err(|_elapsed| BatchError::Timeout)??
            } else {
                wire.reply().await?
            };
            // From here on nothing waits: this call may be dropped.
            let stored = batch.stored(&reply)?;
            batch.stored = stored.messages;
            batch.deadline = Instant::now() + ACK_TIMEOUT;
            // The last message is told of with the end of its batch: whoever waits to send hears of it.
            let told = if stored.is_whole {
                stored.messages
            } else {
                stored.messages.min(batch.sent - 1)
            };
            let messages = told - batch.acked;
            batch.acked = told;
            let last_sequence = batch.base + told as u64;
            if stored.is_whole {
                self.batch = None;
            }
            if messages > 0 {
                return Ok(Acked {
                    last_sequence,
                    messages,
                });
            }
        }
    }
}

/// How much of a batch is stored.
struct StoredPart {
    messages: usize,
    /// The batch has ended, and with it what the server knows of it.
    is_whole: bool,
}

/// A reply, of any kind: how far the server is, a gap, a refused message, the end.
#[derive(Deserialize)]
struct Told {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    error: Option<ApiError>,
    /// Of the message in the batch where there is a kind, in the stream otherwise.
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    batch: Option<String>,
    #[serde(default)]
    count: Option<usize>,
}

impl Batch {
    /// Whether the server has to acknowledge something without being sent more.
    const fn is_owed(&self) -> bool {
        self.is_ended || self.sent - self.stored >= ACK_EVERY
    }

    /// Writes the next message; `ends` where the batch ends with it.
    fn write(&mut self, output: &mut Vec<u8>, message: BatchMessage, ends: bool) {
        let expected = self.base + self.sent as u64;
        self.header.clear();
        // Writing to a Vec cannot fail.
        write!(
            self.header,
            "NATS/1.0\r\nNats-Expected-Last-Sequence:{expected}"
        )
        .unwrap_or_default();
        self.header.extend_from_slice(&message.headers);
        self.header.extend_from_slice(b"\r\n\r\n");
        self.sent += 1;
        let operation = match (ends, self.sent) {
            (true, _) => Operation::Commit,
            (false, 1) => Operation::Start,
            (false, _) => Operation::Append,
        };
        let head = self.header.len();
        let total = head + message.payload.len();
        write!(
            output,
            "HPUB {} {} {head} {total}\r\n",
            message.subject,
            self.reply_to(self.sent, operation)
        )
        .unwrap_or_default();
        output.extend_from_slice(&self.header);
        output.extend_from_slice(&message.payload);
        output.extend_from_slice(b"\r\n");
        self.subject = message.subject;
    }

    /// Writes that the batch has ended with the last message.
    fn end(&self, output: &mut Vec<u8>) {
        let subject = &self.subject;
        let reply_to = self.reply_to(self.sent + 1, Operation::EndOfBatch);
        write!(output, "PUB {subject} {reply_to} 0\r\n\r\n").unwrap_or_default();
    }

    /// The reply subject tells what a message is (ADR-50):
    /// `<inbox>.<batch>.<acknowledge every>.<gap mode>.<number>.<operation>.$FI`.
    fn reply_to(&self, number: usize, operation: Operation) -> impl Display {
        std::fmt::from_fn(move |out| {
            write!(
                out,
                "{}.{number}.{}.$FI",
                self.reply_prefix, operation as u8
            )
        })
    }

    /// Reads a reply.
    fn stored(&self, reply: &Reply) -> Result<StoredPart, BatchError> {
        let told: Told = reply.read()?;
        if let Some(error) = told.error {
            // Without a kind it answers the first message, and counts in the stream.
            let before = told.kind.map_or(0, |_kind| told.seq.saturating_sub(1));
            return Err(error.refusal(self.base + before));
        }
        let number = match told.kind.as_deref() {
            Some("ack") => usize::try_from(told.seq).ok(),
            None if told.batch.as_ref() == Some(&self.id) => told.count,
            Some(_) | None => None,
        };
        let messages = number
            .filter(|number| (self.stored..=self.sent).contains(number))
            .ok_or_else(|| reply.unexpected())?;
        let is_whole = told.kind.is_none();
        let is_right = !is_whole
            || self.is_ended && messages == self.sent && told.seq == self.base + self.sent as u64;
        if is_right {
            Ok(StoredPart { messages, is_whole })
        } else {
            Err(reply.unexpected())
        }
    }
}
