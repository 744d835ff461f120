//! Stage 5: messages to the stream, in atomic batches, acknowledged in order.

pub(crate) mod batch;
pub(crate) mod tail;

use std::collections::VecDeque;

use rowcast_bus::batch::{BatchError, BatchMessage, BatchPublisher};
use rowcast_bus::{Bus, trace_context};
use rowcast_domain::{Position, TaskId};
use rowcast_proto::message::TraceContext;
use tracing::Span;

use self::batch::Queue;
use super::encode::Outbound;
use crate::metrics;

/// Full batches sent before the first is acknowledged: enough to keep the broker busy.
const FULL_IN_FLIGHT: usize = 4;

/// Batches that are not full are sent only while fewer are in flight: meanwhile the next one fills,
/// and a disk that is slow to sync gets larger batches by itself.
const PARTIAL_IN_FLIGHT: usize = 2;

/// An acknowledged batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acked {
    /// Number of its messages.
    pub(crate) messages: u64,
    /// Up to where the stream is whole: position of its last message, or, where that is a piece in the
    /// middle of a row, what lies before the row.
    pub(crate) position: Position,
    /// Stream sequence of its last message.
    pub(crate) sequence: u64,
}

/// Publishes the messages of one task. Of no use after an error: open a new one behind the tail.
pub(crate) struct Publisher {
    batches: BatchPublisher,
    queue: Queue,
    /// What is in flight, oldest first.
    in_flight: VecDeque<InFlight>,
    /// The request that started the task, until the first batch is sent.
    started_by: Option<TraceContext>,
    /// A batch is sent in part.
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
                batches = self.in_flight.len() + usize::from(self.sending),
                "outcome unknown: the stream's tail must tell what it holds"
            );
        }
    }
}

/// A batch in flight.
struct InFlight {
    /// Up to where the stream is whole with it.
    position: Position,
    /// Closes with the acknowledgement.
    _span: Span,
}

impl Publisher {
    /// Opens a publisher for a stream that ends with `last_sequence`. The span of the first batch
    /// belongs to the trace of `started_by`.
    pub(crate) fn open(
        bus: &Bus,
        task: &TaskId,
        last_sequence: u64,
        started_by: TraceContext,
    ) -> Self {
        Self {
            batches: BatchPublisher::new(bus, last_sequence),
            queue: Queue::default(),
            in_flight: VecDeque::new(),
            started_by: Some(started_by),
            sending: false,
            task: task.clone(),
        }
    }

    /// Batches that are not acknowledged yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether more may be queued.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.has_room()
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
        while self.batches.in_flight() < FULL_IN_FLIGHT {
            let Some(batch) = self.queue.take_full() else {
                break;
            };
            self.send(batch).await?;
        }
        Ok(())
    }

    /// Sends whole transactions that are queued, because the source has nothing more to give: call it
    /// again after each acknowledgement.
    pub(crate) async fn flush(&mut self) -> Result<(), BatchError> {
        self.send_full().await?;
        while self.batches.in_flight() < PARTIAL_IN_FLIGHT {
            let batch = if !self.queue.is_short() {
                self.queue.take_transactions()
            } else if self.batches.in_flight() == 0 {
                self.queue.take_first()
            } else {
                // By the time of the acknowledgement there may be enough for a batch.
                None
            };
            let Some(batch) = batch else { break };
            self.send(batch).await?;
        }
        Ok(())
    }

    async fn send(&mut self, batch: Vec<Outbound>) -> Result<(), BatchError> {
        let Some(position) = batch.last().map(Outbound::whole_up_to) else {
            return Ok(());
        };
        let span = self.span(batch.len(), position);
        let messages = batch.into_iter().map(|message| BatchMessage {
            subject: message.subject,
            payload: message.payload.render(),
        });
        self.sending = true;
        self.batches.send(messages).await?;
        self.sending = false;
        self.in_flight.push_back(InFlight {
            position,
            _span: span,
        });
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

    /// Waits for the oldest batch in flight; for ever where there is none. Cancel safe.
    pub(crate) async fn acked(&mut self) -> Result<Acked, BatchError> {
        let acked = self.batches.acked().await?;
        let position = self
            .in_flight
            .pop_front()
            .map(|batch| batch.position)
            .unwrap_or_default();
        Ok(Acked {
            messages: acked.messages as u64,
            position,
            sequence: acked.last_sequence,
        })
    }
}
