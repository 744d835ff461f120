//! Batches into a task's stream (NATS ADR-50), one after another, fenced: atomic ones, or ones that are
//! [ingested](IngestPublisher) message by message.
//!
//! All messages of an atomic batch are stored, or none; the acknowledgement comes after they are on disk
//! where the broker syncs always. The first message of each batch carries the sequence that the
//! stream must end with, which is known beforehand: a second writer is refused by the stream itself.
//!
//! The message that commits a batch is sent only once the batch before it is acknowledged. What is sent
//! earlier the stream keeps aside, so it is as fast as if all were sent at once, and it must be so: a
//! sequence is a number, not a name. Were a whole second batch under way behind one that is refused,
//! another writer could have brought the stream to just the end that the second one expects, and changes
//! would come twice.
//!
//! Any outcome but an acknowledgement leaves open what the stream holds. The publisher is of no use
//! then: the caller reads the stream's tail and opens a new one.

mod ingest;
mod link;
mod socket;
mod wire;

use std::collections::VecDeque;
use std::io::Write as _;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use self::link::{Link, Replies};
use self::wire::Reply;
use crate::connect::Bus;

pub use self::ingest::{IngestPublisher, More};
pub use self::wire::WireError;

/// Most messages in one batch (ADR-50).
pub const MAX_MESSAGES: usize = 1000;

/// Most bytes of headers that a batch adds to those of a message of its own, with what begins and ends them.
pub const HEADERS_MAX: usize = 256;

/// Most bytes that a message takes besides its subject, its payload and headers of its own, whether it is
/// stored with others or alone.
const FRAME_MAX: usize = 256;

/// An acknowledgement later than this counts as lost.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// `JetStream`'s error code for a fence that does not hold.
const WRONG_LAST_SEQUENCE: u64 = 10071;

/// Status of a reply where nobody listens on the subject (NATS ADR-4).
const NO_RESPONDERS: u16 = 503;

/// A message of a batch.
#[derive(Debug, Clone)]
pub struct BatchMessage {
    /// Where it goes.
    pub subject: Arc<str>,
    /// Its body.
    pub payload: Bytes,
    /// Headers of its own, as `\r\n<name>:<value>` each; empty for none.
    pub headers: Bytes,
}

/// Messages that are acknowledged: an atomic batch, or what was stored of one that is ingested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// Stream sequence of the last of them.
    pub last_sequence: u64,
    /// Their number.
    pub messages: usize,
}

/// A batch that is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The stream does not end where this writer left it: another writer, or lost messages.
    #[error(
        "the stream does not end with sequence {expected} as this writer left it: {description}"
    )]
    Fenced {
        /// What the batch expected.
        expected: u64,
        /// The server's words.
        description: String,
    },
    /// The stream refused the batch for another reason.
    #[error("the stream refused the batch: {description} (error {code})")]
    Refused {
        /// `JetStream`'s error code.
        code: u64,
        /// The server's words.
        description: String,
    },
    /// No stream takes the subject.
    #[error("no stream takes the batch")]
    NoStream,
    /// No acknowledgement came; the batch may be stored.
    #[error("no acknowledgement within {} s", ACK_TIMEOUT.as_secs())]
    Timeout,
    /// The acknowledgement does not fit the batch.
    #[error("an acknowledgement that fits no batch: {0}")]
    Unexpected(String),
    /// There is no connection any more.
    #[error("the batch cannot be sent")]
    Connection(#[from] WireError),
}

struct InFlight {
    expected: u64,
    messages: usize,
    /// The frame that commits the batch, until it is sent.
    commit: Vec<u8>,
    /// When its acknowledgement counts as lost; runs from the commit on.
    deadline: Instant,
}

/// Publishes batches into one stream, in order.
///
/// It has a connection of its own, made with the first batch and given up where nothing is sent for a
/// while. With a batch in flight a lost connection is an error; without one it is made anew.
pub struct BatchPublisher {
    link: Link,
    batches: u64,
    /// What the stream ends with once everything in flight is stored.
    next_expected: u64,
    in_flight: VecDeque<InFlight>,
    /// Acknowledged, and not told yet: the next commit is still to be written.
    acked: Option<Acked>,
    header: Vec<u8>,
}

impl BatchPublisher {
    /// A publisher for a stream that ends with `last_sequence`.
    #[must_use]
    pub fn new(bus: &Bus, last_sequence: u64) -> Self {
        Self {
            link: Link::new(bus, Replies::One),
            batches: 0,
            next_expected: last_sequence,
            in_flight: VecDeque::new(),
            acked: None,
            header: Vec::new(),
        }
    }

    /// Makes room for so many messages of so many bytes, subjects and payloads, that are given to the next
    /// [`send`](Self::send): the buffer grows to what they need and not past it.
    pub const fn make_room(&mut self, messages: usize, bytes: usize) {
        self.link.make_room(messages, bytes);
    }

    /// Bytes of the buffers that batches are sent from.
    #[must_use]
    pub fn memory(&self) -> usize {
        let commits = self.in_flight.iter().map(|batch| batch.commit.capacity());
        self.link.memory() + commits.sum::<usize>()
    }

    /// Batches sent and not yet acknowledged.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends a batch without waiting for its acknowledgement. At most [`MAX_MESSAGES`]. It is committed
    /// when those before it are acknowledged, by [`acked`](Self::acked).
    ///
    /// Not cancel safe: the publisher is of no use after a batch that was sent in part.
    ///
    /// # Errors
    /// Where the connection does not take messages, or not in time.
    pub async fn send(
        &mut self,
        batch: impl ExactSizeIterator<Item = BatchMessage>,
    ) -> Result<(), BatchError> {
        let messages = batch.len();
        if messages == 0 {
            return Ok(());
        }
        self.batches += 1;
        let frames = Frames {
            id: self.link.batch_id(self.batches),
            reply_to: self.link.inbox().to_owned(),
            expected: self.next_expected,
            header: &mut self.header,
        };
        let is_first = self.in_flight.is_empty();
        let mut commit = Vec::new();
        self.link
            .send(|output| {
                commit = frames.write(output, batch);
                if is_first {
                    output.append(&mut mem::take(&mut commit));
                }
            })
            .await?;
        self.in_flight.push_back(InFlight {
            expected: self.next_expected,
            messages,
            commit,
            deadline: Instant::now() + ACK_TIMEOUT,
        });
        self.next_expected += messages as u64;
        Ok(())
    }

    /// Waits for the acknowledgement of the oldest batch in flight; for ever where there is none.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// Where it does not come or is none; what the stream holds is open then.
    pub async fn acked(&mut self) -> Result<Acked, BatchError> {
        loop {
            if let Some(acked) = self.acked {
                if let Some(wire) = self.link.wire() {
                    wire.flush().await?;
                }
                self.acked = None;
                return Ok(acked);
            }
            let Some(oldest) = self.in_flight.front() else {
                self.link.idle().await;
                return std::future::pending().await;
            };
            let wire = self.link.wire().ok_or(BatchError::Timeout)?;
            let reply = tokio::time::timeout_at(oldest.deadline, wire.reply()).await;
            let reply = reply.map_err(|_elapsed| BatchError::Timeout)??;
            let acked = check(&reply, oldest)?;
            // From here on nothing waits until it is remembered: this call may be dropped.
            self.in_flight.pop_front();
            if let Some(next) = self.in_flight.front_mut() {
                wire.output().append(&mut mem::take(&mut next.commit));
                next.deadline = Instant::now() + ACK_TIMEOUT;
            }
            self.acked = Some(acked);
        }
    }
}

/// Bytes that so many messages take at most, whose subjects and payloads have so many.
const fn room(messages: usize, bytes: usize) -> usize {
    bytes + messages * FRAME_MAX
}

/// How the frames of a batch are written.
struct Frames<'a> {
    id: String,
    reply_to: String,
    /// What the stream ends with before the batch.
    expected: u64,
    header: &'a mut Vec<u8>,
}

impl Frames<'_> {
    /// Writes the frames of a batch (ADR-50), each `HPUB <subject> [reply] <header> <total>`, and gives
    /// the last one. One message alone needs no batch.
    fn write(
        self,
        output: &mut Vec<u8>,
        batch: impl ExactSizeIterator<Item = BatchMessage>,
    ) -> Vec<u8> {
        let Self {
            id,
            reply_to,
            expected,
            header,
        } = self;
        let mut commit = Vec::new();
        let messages = batch.len();
        for (index, message) in batch.enumerate() {
            let BatchMessage {
                subject,
                payload,
                headers,
            } = message;
            header.clear();
            header.extend_from_slice(b"NATS/1.0");
            let last = index + 1 == messages;
            // Writing to a Vec cannot fail.
            if messages > 1 {
                write!(
                    header,
                    "\r\nNats-Batch-Id:{id}\r\nNats-Batch-Sequence:{}",
                    index + 1
                )
                .unwrap_or_default();
            }
            if index == 0 {
                write!(header, "\r\nNats-Expected-Last-Sequence:{expected}").unwrap_or_default();
            }
            if messages > 1 && last {
                header.extend_from_slice(b"\r\nNats-Batch-Commit:1");
            }
            header.extend_from_slice(&headers);
            header.extend_from_slice(b"\r\n\r\n");
            let (head, total) = (header.len(), header.len() + payload.len());
            let output = if last { &mut commit } else { &mut *output };
            if last {
                write!(output, "HPUB {subject} {reply_to} {head} {total}\r\n").unwrap_or_default();
            } else {
                write!(output, "HPUB {subject} {head} {total}\r\n").unwrap_or_default();
            }
            output.extend_from_slice(header);
            output.extend_from_slice(&payload);
            output.extend_from_slice(b"\r\n");
        }
        commit
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<ApiError>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    count: Option<usize>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl ApiError {
    /// What it means for a message that expected the stream to end with this sequence.
    fn refusal(self, expected: u64) -> BatchError {
        let Self {
            err_code: code,
            description,
        } = self;
        if code == WRONG_LAST_SEQUENCE {
            BatchError::Fenced {
                expected,
                description,
            }
        } else {
            BatchError::Refused { code, description }
        }
    }
}

impl Reply {
    /// Reads what the stream says.
    fn read<T: DeserializeOwned>(&self) -> Result<T, BatchError> {
        if self.status == Some(NO_RESPONDERS) {
            return Err(BatchError::NoStream);
        }
        serde_json::from_slice(&self.payload).map_err(|_malformed| self.unexpected())
    }

    fn unexpected(&self) -> BatchError {
        BatchError::Unexpected(String::from_utf8_lossy(&self.payload).into_owned())
    }
}

fn check(reply: &Reply, batch: &InFlight) -> Result<Acked, BatchError> {
    let answer: Answer = reply.read()?;
    if let Some(error) = answer.error {
        return Err(error.refusal(batch.expected));
    }
    let last_sequence = batch.expected + batch.messages as u64;
    if answer.seq != last_sequence || answer.count.is_some_and(|count| count != batch.messages) {
        return Err(reply.unexpected());
    }
    Ok(Acked {
        last_sequence,
        messages: batch.messages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_framed_without_an_allocation_for_a_message() {
        let message = BatchMessage {
            subject: Arc::from("rowcast.t00000000001a.0.public.orders.insert"),
            payload: Bytes::from(vec![b'x'; 400]),
            headers: Bytes::new(),
        };
        let (mut output, mut header) = (Vec::new(), Vec::new());
        let mut write = |batch: Vec<BatchMessage>| {
            let frames = Frames {
                id: String::new(),
                reply_to: String::new(),
                expected: 7,
                header: &mut header,
            };
            output.clear();
            let mut commit = frames.write(&mut output, batch.into_iter());
            output.append(&mut commit);
        };
        let mut batches = vec![vec![message; MAX_MESSAGES]; 2].into_iter();
        batches.next().into_iter().for_each(&mut write);
        let batch = batches.next().unwrap();
        let measured = allocation_counter::measure(|| write(batch));
        // What the frame that commits it grows by.
        assert!(measured.count_total < 20, "{measured:?}");
    }

    #[test]
    fn the_longest_headers_of_a_batch_are_no_longer_than_told() {
        let message = BatchMessage {
            subject: Arc::from("a"),
            payload: Bytes::new(),
            headers: Bytes::new(),
        };
        // As a link names batches: what a client's inboxes end with, of 22 characters, and a number.
        let id = format!("{}{:x}", "X".repeat(22), u64::MAX);
        for messages in [1, 2, MAX_MESSAGES] {
            let mut header = Vec::new();
            let frames = Frames {
                id: id.clone(),
                reply_to: format!("_INBOX.{}", "X".repeat(22)),
                expected: u64::MAX,
                header: &mut header,
            };
            let mut output = Vec::with_capacity(room(messages, messages));
            let made = output.capacity();
            let batch = vec![message.clone(); messages];
            let mut commit = frames.write(&mut output, batch.into_iter());
            output.append(&mut commit);
            assert_eq!(output.capacity(), made, "more was needed than told");
            let text = String::from_utf8(output).unwrap();
            // `HPUB <subject> [reply] <header> <total>`: without a body both numbers are the same.
            let sizes = text.lines().filter(|line| line.starts_with("HPUB "));
            let sizes = sizes.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>());
            let longest = sizes.map(Result::unwrap).max().unwrap();
            assert!(longest > 0 && longest <= HEADERS_MAX, "{longest} bytes");
        }
    }
}
