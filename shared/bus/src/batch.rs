//! Atomic batches into a task's stream (NATS ADR-50), one after another, fenced.
//!
//! All messages of a batch are stored, or none; the acknowledgement comes after they are on disk
//! where the broker syncs always. The first message of each batch carries the sequence that the
//! stream must end with, which is known beforehand: a batch that fails makes all later ones fail, and
//! a second writer is refused by the stream itself.
//!
//! Any outcome but an acknowledgement leaves open what the stream holds. The publisher is of no use
//! then: the caller reads the stream's tail and opens a new one.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use tokio::time::Instant;

use crate::connect::Bus;

/// Most messages in one batch (ADR-50).
pub const MAX_MESSAGES: usize = 1000;

/// An acknowledgement later than this counts as lost.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a publisher that waits looks at the connection.
const LOOK_EVERY: Duration = Duration::from_millis(100);

const BATCH_ID: HeaderName = HeaderName::from_static("Nats-Batch-Id");
const BATCH_SEQUENCE: HeaderName = HeaderName::from_static("Nats-Batch-Sequence");
const BATCH_COMMIT: HeaderName = HeaderName::from_static("Nats-Batch-Commit");
const EXPECTED_LAST_SEQUENCE: HeaderName = HeaderName::from_static("Nats-Expected-Last-Sequence");

/// `JetStream`'s error code for a fence that does not hold.
const WRONG_LAST_SEQUENCE: u64 = 10071;

/// A message of a batch.
#[derive(Debug, Clone)]
pub struct BatchMessage {
    /// Where it goes.
    pub subject: Subject,
    /// Its headers, without those of the batch.
    pub headers: HeaderMap,
    /// Its body.
    pub payload: Bytes,
}

/// An acknowledged batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// Stream sequence of its last message.
    pub last_sequence: u64,
    /// Number of its messages.
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
    /// The connection broke, and with it the way of the acknowledgements; the batch may be stored.
    #[error("the connection was lost before the acknowledgement")]
    Lost,
    /// The acknowledgement does not fit the batch.
    #[error("an acknowledgement that fits no batch: {0}")]
    Unexpected(String),
    /// The connection does not take messages.
    #[error("the batch cannot be sent")]
    Send(#[from] async_nats::client::PublishError),
    /// The connection does not take subscriptions.
    #[error("acknowledgements cannot be subscribed to")]
    Subscribe(#[from] async_nats::client::SubscribeError),
    /// The client is closed.
    #[error("the connection is closed")]
    Closed,
}

struct InFlight {
    expected: u64,
    messages: usize,
    deadline: Instant,
}

/// Publishes batches into one stream, in order.
pub struct BatchPublisher {
    client: Client,
    acks: Subscriber,
    inbox: Subject,
    id_prefix: String,
    batches: u64,
    /// What the stream ends with once everything in flight is stored.
    next_expected: u64,
    in_flight: VecDeque<InFlight>,
    /// How often the client had connected when this publisher was opened.
    connects: u64,
}

impl BatchPublisher {
    /// Opens a publisher for a stream that ends with `last_sequence`.
    ///
    /// # Errors
    /// Where acknowledgements cannot be subscribed to.
    pub async fn open(bus: &Bus, last_sequence: u64) -> Result<Self, BatchError> {
        let client = bus.client().clone();
        let connects = connects(&client);
        let inbox = Subject::from(client.new_inbox());
        let acks = client.subscribe(inbox.clone()).await?;
        let id_prefix = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        Ok(Self {
            client,
            acks,
            inbox,
            id_prefix,
            batches: 0,
            next_expected: last_sequence,
            in_flight: VecDeque::new(),
            connects,
        })
    }

    /// Batches sent and not yet acknowledged.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends a batch without waiting for its acknowledgement. At most [`MAX_MESSAGES`].
    ///
    /// Not cancel safe: a batch sent in part is abandoned by the stream and all later ones fail.
    ///
    /// # Errors
    /// Where the connection does not take messages, or not in time.
    pub async fn send(&mut self, batch: Vec<BatchMessage>) -> Result<(), BatchError> {
        if batch.is_empty() {
            return Ok(());
        }
        // While the connection is down the client queues, and then waits.
        tokio::time::timeout(ACK_TIMEOUT, self.send_all(batch))
            .await
            .map_err(|_elapsed| BatchError::Timeout)?
    }

    async fn send_all(&mut self, batch: Vec<BatchMessage>) -> Result<(), BatchError> {
        let messages = batch.len();
        self.batches += 1;
        let id = HeaderValue::from(format!("{}{:x}", self.id_prefix, self.batches));
        for (index, message) in batch.into_iter().enumerate() {
            let BatchMessage {
                subject,
                mut headers,
                payload,
            } = message;
            headers.insert(BATCH_ID, id.clone());
            headers.insert(BATCH_SEQUENCE, HeaderValue::from(index + 1));
            if index == 0 {
                headers.insert(
                    EXPECTED_LAST_SEQUENCE,
                    HeaderValue::from(self.next_expected),
                );
            }
            if index + 1 == messages {
                headers.insert(BATCH_COMMIT, "1");
                self.client
                    .publish_with_reply_and_headers(subject, self.inbox.clone(), headers, payload)
                    .await?;
            } else {
                self.client
                    .publish_with_headers(subject, headers, payload)
                    .await?;
            }
        }
        self.in_flight.push_back(InFlight {
            expected: self.next_expected,
            messages,
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
        let Some(oldest) = self.in_flight.front() else {
            return std::future::pending().await;
        };
        let reply = loop {
            let look_at = oldest.deadline.min(Instant::now() + LOOK_EVERY);
            match tokio::time::timeout_at(look_at, self.acks.next()).await {
                Ok(reply) => break reply.ok_or(BatchError::Closed)?,
                Err(_elapsed) if connects(&self.client) != self.connects => {
                    return Err(BatchError::Lost);
                }
                Err(_elapsed) if Instant::now() >= oldest.deadline => {
                    return Err(BatchError::Timeout);
                }
                Err(_elapsed) => {}
            }
        };
        let acked = check(&reply, oldest)?;
        self.in_flight.pop_front();
        Ok(acked)
    }
}

/// How often the client has connected. It connects anew by itself, but acknowledgements that were under way
/// do not come again.
fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

#[derive(Deserialize)]
struct Reply {
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

fn check(reply: &Message, batch: &InFlight) -> Result<Acked, BatchError> {
    if reply.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(BatchError::NoStream);
    }
    let unexpected =
        || BatchError::Unexpected(String::from_utf8_lossy(&reply.payload).into_owned());
    let answer: Reply =
        serde_json::from_slice(&reply.payload).map_err(|_malformed| unexpected())?;
    if let Some(ApiError {
        err_code,
        description,
    }) = answer.error
    {
        return Err(if err_code == WRONG_LAST_SEQUENCE {
            BatchError::Fenced {
                expected: batch.expected,
                description,
            }
        } else {
            BatchError::Refused {
                code: err_code,
                description,
            }
        });
    }
    let last_sequence = batch.expected + batch.messages as u64;
    if answer.seq != last_sequence || answer.count.is_some_and(|count| count != batch.messages) {
        return Err(unexpected());
    }
    Ok(Acked {
        last_sequence,
        messages: batch.messages,
    })
}
