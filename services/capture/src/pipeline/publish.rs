//! Stage 5: messages to the stream, in atomic batches or one by one, acknowledged in order.

pub(crate) mod batch;
pub(crate) mod tail;
pub(crate) mod writer;

use std::collections::VecDeque;

use bytes::Bytes;
use rowcast_bus::batch::{BatchError, BatchMessage, BatchPublisher, IngestPublisher, More};
use rowcast_bus::{Bus, trace_context};
use rowcast_domain::{Position, TaskId};
use rowcast_proto::message::TraceContext;
use tracing::Span;

use self::batch::Queue;
use self::writer::{Storing, Writer};
use super::encode::Outbound;
use crate::metrics;

/// Full batches sent before the first is acknowledged: enough to keep the broker busy.
const FULL_IN_FLIGHT: usize = 4;

/// Batches that are not full are sent only while fewer are in flight: meanwhile the next one fills,
/// and a disk that is slow to sync gets larger batches by itself.
const PARTIAL_IN_FLIGHT: usize = 2;

/// Messages sent one by one before the first is acknowledged.
const MESSAGES_IN_FLIGHT: usize = 4096;

/// Messages that are acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acked {
    /// Their number.
    pub(crate) messages: u64,
    /// Up to where the stream is whole: position of the last message, or, where that is a piece in the
    /// middle of a row, what lies before the row.
    pub(crate) position: Position,
    /// Stream sequence of the last message.
    pub(crate) sequence: u64,
    /// Bytes of their payloads.
    pub(crate) bytes: u64,
}

/// Publishes the messages of one task. Of no use after an error: open a new one behind the tail.
pub(crate) struct Publisher {
    writer: Writer,
    queue: Queue,
    /// What is in flight, oldest first.
    in_flight: VecDeque<InFlight>,
    /// The request that started the task, until the first batch is sent.
    started_by: Option<TraceContext>,
    /// Something is sent in part.
    sending: bool,
    task: TaskId,
}

impl Drop for Publisher {
    /// Whatever ends a session, an error, a lost lease or a stop: what it leaves open is told.
    fn drop(&mut self) {
        if self.sending || !self.in_flight.is_empty() {
            metrics::unknown_outcome();
            tracing::warn!(
                task = %self.task,
                unacknowledged = self.in_flight.len() + usize::from(self.sending),
                "outcome unknown: the stream's tail must tell what it holds"
            );
        }
    }
}

/// A batch in flight, or a message.
struct InFlight {
    messages: usize,
    /// Of their payloads.
    bytes: u64,
    /// Up to where the stream is whole with it.
    position: Position,
    /// Closes with the acknowledgement.
    span: Span,
}

impl InFlight {
    /// These messages, acknowledged together.
    fn whole(batch: &[Outbound]) -> Option<Self> {
        batch.last().map(|last| Self {
            messages: batch.len(),
            bytes: batch
                .iter()
                .map(|message| message.payload.len() as u64)
                .sum(),
            position: last.whole_up_to(),
            span: Span::none(),
        })
    }

    /// Each of these messages.
    fn each(batch: &[Outbound]) -> Vec<Self> {
        batch.chunks(1).filter_map(Self::whole).collect()
    }
}

impl Publisher {
    /// Opens a publisher for a stream that ends with `last_sequence`. The span of the first batch
    /// belongs to the trace of `started_by`.
    pub(crate) fn open(
        bus: &Bus,
        task: &TaskId,
        last_sequence: u64,
        storing: Storing,
        started_by: TraceContext,
    ) -> Self {
        Self {
            writer: Writer::new(bus, last_sequence, storing),
            queue: Queue::default(),
            in_flight: VecDeque::new(),
            started_by: Some(started_by),
            sending: false,
            task: task.clone(),
        }
    }

    /// Batches or messages that are not acknowledged yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether more may be queued.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    /// Bytes of what waits to be sent. Nothing is kept of what is sent.
    pub(crate) const fn memory(&self) -> usize {
        self.queue.bytes()
    }

    /// Queues a message.
    pub(crate) fn push(&mut self, message: Outbound) {
        self.queue.push(message);
    }

    /// What is queued so far ends with a whole transaction.
    pub(crate) fn end_transaction(&mut self) {
        self.queue.end_transaction();
    }

    /// Sends the batches that are full.
    pub(crate) async fn send_full(&mut self) -> Result<(), BatchError> {
        loop {
            let (batch, more) = match &self.writer {
                Writer::Batches(batches) => (full_batch(batches, &mut self.queue), More::Nothing),
                Writer::Messages(ingest) => (full_write(ingest, &mut self.queue), More::Follows),
            };
            match batch {
                Some(batch) => self.send(batch, more).await?,
                None => return Ok(()),
            }
        }
    }

    /// Sends whole transactions that are queued, because the source has nothing more to give: call it
    /// again after each acknowledgement. Messages that are stored one by one do not wait for the end of
    /// their transaction.
    pub(crate) async fn flush(&mut self) -> Result<(), BatchError> {
        self.send_full().await?;
        loop {
            let batch = match &self.writer {
                Writer::Batches(batches) => partial_batch(batches, &mut self.queue),
                Writer::Messages(ingest) => rest(ingest, &mut self.queue),
            };
            match batch {
                Some(batch) => self.send(batch, More::Nothing).await?,
                None => return Ok(()),
            }
        }
    }

    async fn send(&mut self, batch: Vec<Outbound>, more: More) -> Result<(), BatchError> {
        let mut under_way = match &self.writer {
            Writer::Batches(_) => InFlight::whole(&batch).into_iter().collect(),
            Writer::Messages(_) => InFlight::each(&batch),
        };
        if let Some(last) = under_way.last_mut() {
            last.span = self.span(batch.len(), last.position);
        }
        let messages = batch.into_iter().map(|message| BatchMessage {
            subject: message.subject,
            payload: message.payload.render(),
            headers: Bytes::new(),
        });
        self.sending = true;
        match &mut self.writer {
            Writer::Batches(batches) => batches.send(messages).await?,
            Writer::Messages(ingest) => ingest.send(messages, more).await?,
        }
        self.sending = false;
        self.in_flight.extend(under_way);
        Ok(())
    }

    /// One span a batch, never one a change. Only the first is told of by default: it ends the trace
    /// that began with the request to start the task.
    fn span(&mut self, messages: usize, last: Position) -> Span {
        let Some(trace) = self.started_by.take() else {
            return tracing::debug_span!("publish batch", messages, last = %last);
        };
        let span = tracing::info_span!(
            "publish first batch",
            otel.kind = "producer",
            messaging.system = "nats",
            messages,
            last = %last,
        );
        trace_context::continue_from(&span, &trace);
        span
    }

    /// Waits until more is acknowledged; for ever where nothing is in flight. Cancel safe.
    pub(crate) async fn acked(&mut self) -> Result<Acked, BatchError> {
        let acked = self.writer.acked().await?;
        let (mut messages, mut bytes, mut position) = (0, 0, Position::default());
        while messages < acked.messages
            && let Some(stored) = self.in_flight.pop_front()
        {
            messages += stored.messages;
            bytes += stored.bytes;
            position = stored.position;
        }
        Ok(Acked {
            messages: acked.messages as u64,
            position,
            sequence: acked.last_sequence,
            bytes,
        })
    }
}

fn full_batch(batches: &BatchPublisher, queue: &mut Queue) -> Option<Vec<Outbound>> {
    if batches.in_flight() < FULL_IN_FLIGHT {
        queue.take_full()
    } else {
        None
    }
}

fn partial_batch(batches: &BatchPublisher, queue: &mut Queue) -> Option<Vec<Outbound>> {
    if batches.in_flight() >= PARTIAL_IN_FLIGHT {
        None
    } else if !queue.is_short() {
        queue.take_transactions()
    } else if batches.in_flight() == 0 {
        queue.take_first()
    } else {
        // By the time of the acknowledgement there may be enough for a batch.
        None
    }
}

fn full_write(ingest: &IngestPublisher, queue: &mut Queue) -> Option<Vec<Outbound>> {
    (may_write(ingest) && queue.is_worth_a_write()).then(|| queue.take_some())
}

/// What ends a batch, with or without messages.
fn rest(ingest: &IngestPublisher, queue: &mut Queue) -> Option<Vec<Outbound>> {
    let has_rest = ingest.is_open() || !queue.is_empty();
    (may_write(ingest) && has_rest).then(|| queue.take_some())
}

fn may_write(ingest: &IngestPublisher) -> bool {
    ingest.is_ready() && ingest.in_flight() < MESSAGES_IN_FLIGHT
}
