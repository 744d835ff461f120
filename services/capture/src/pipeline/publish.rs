//! Stage 5: messages to the stream, in atomic batches or one by one, acknowledged in order.

pub(crate) mod batch;
pub(crate) mod tail;
pub(crate) mod writer;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use rowcast_bus::batch::{BatchError, BatchMessage, BatchPublisher, IngestPublisher, More};
use rowcast_bus::{Bus, trace_context};
use rowcast_domain::{Position, TaskId};
use rowcast_proto::message::TraceContext;
use tokio::time::Instant;
use tracing::Span;

use self::batch::{Queue, Size};
use self::writer::{Storing, Writer};
use super::encode::Outbound;
use crate::metrics;

/// Full batches sent before the first is acknowledged: enough to keep the broker busy.
const FULL_IN_FLIGHT: usize = 4;

/// Bytes sent before the first is acknowledged, and beyond them one batch.
const BYTES_IN_FLIGHT: usize = Size::Large.bytes();

/// Batches that are not full, or not as large as they may be, are sent only while fewer are in flight:
/// meanwhile the next one fills, and a disk that is slow to sync gets larger batches by itself.
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
    /// In which writes it was sent.
    writes: VecDeque<Write>,
    /// Of the next batches.
    size: Size,
    /// Since when nothing is in flight, where nothing is.
    quiet_since: Instant,
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
                unacknowledged = self.in_flight.len(),
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
        })
    }
}

/// What was sent at once: a batch, or messages that are stored one by one.
struct Write {
    /// Those that are not acknowledged.
    messages: usize,
    /// Of their subjects and payloads, all of them.
    bytes: usize,
    began: Instant,
    /// Closes with the acknowledgement of the last.
    _span: Span,
}

/// A write that is acknowledged to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written {
    bytes: usize,
    took: Duration,
}

/// Counts messages as acknowledged, and tells the last of the writes that are so to their end.
fn acknowledge(writes: &mut VecDeque<Write>, mut messages: usize) -> Option<Written> {
    let mut written = None;
    while let Some(oldest) = writes.front_mut() {
        if oldest.messages > messages {
            oldest.messages -= messages;
            break;
        }
        messages -= oldest.messages;
        written = Some(Written {
            bytes: oldest.bytes,
            took: oldest.began.elapsed(),
        });
        writes.pop_front();
    }
    written
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
            writes: VecDeque::new(),
            size: Size::Small,
            quiet_since: Instant::now(),
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
        self.queue.has_room(self.size)
    }

    /// Bytes of what waits to be sent, and of the buffers that it is sent from.
    pub(crate) fn memory(&self) -> usize {
        self.queue.bytes() + self.writer.memory()
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
        if self.size == Size::Large && self.in_flight.is_empty() {
            self.size = self.size.after_rest(self.quiet_since.elapsed());
        }
        loop {
            let (batch, more) = match &self.writer {
                Writer::Batches(_) => (
                    full_batch(&self.in_flight, self.size, &mut self.queue),
                    More::Nothing,
                ),
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
                Writer::Batches(batches) => partial_batch(batches, self.size, &mut self.queue),
                Writer::Messages(ingest) => rest(ingest, &mut self.queue),
            };
            match batch {
                Some(batch) => self.send(batch, More::Nothing).await?,
                None => return Ok(()),
            }
        }
    }

    async fn send(&mut self, batch: Vec<Outbound>, more: More) -> Result<(), BatchError> {
        let position = batch.last().map(Outbound::whole_up_to);
        let span = position.map(|position| self.span(batch.len(), position));
        let bytes: usize = batch.iter().map(batch::size).sum();
        self.writer.make_room(batch.len(), bytes);
        self.writes.extend(span.map(|span| Write {
            messages: batch.len(),
            bytes,
            began: Instant::now(),
            _span: span,
        }));
        match &self.writer {
            Writer::Batches(_) => self.in_flight.extend(InFlight::whole(&batch)),
            Writer::Messages(_) => {
                let each = batch.chunks(1).filter_map(InFlight::whole);
                self.in_flight.extend(each);
            }
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
        let written = acknowledge(&mut self.writes, acked.messages);
        if let (Writer::Batches(_), Some(Written { bytes, took })) = (&self.writer, written) {
            self.size = self.size.after(bytes, took);
        }
        if self.in_flight.is_empty() {
            self.quiet_since = Instant::now();
        }
        Ok(Acked {
            messages: acked.messages as u64,
            position,
            sequence: acked.last_sequence,
            bytes,
        })
    }
}

fn full_batch(
    in_flight: &VecDeque<InFlight>,
    size: Size,
    queue: &mut Queue,
) -> Option<Vec<Outbound>> {
    // Beside others it would wait at the broker, where it does not grow.
    let worth_it = if in_flight.len() < PARTIAL_IN_FLIGHT {
        Size::Small
    } else {
        size
    };
    if !queue.is_full(worth_it) || in_flight.len() >= FULL_IN_FLIGHT {
        return None;
    }
    let bytes: u64 = in_flight.iter().map(|batch| batch.bytes).sum();
    if bytes < BYTES_IN_FLIGHT as u64 {
        queue.take_full(size)
    } else {
        None
    }
}

fn partial_batch(batches: &BatchPublisher, size: Size, queue: &mut Queue) -> Option<Vec<Outbound>> {
    if batches.in_flight() >= PARTIAL_IN_FLIGHT {
        None
    } else if !queue.is_short() {
        queue.take_transactions(size)
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

#[cfg(test)]
mod tests {
    use rowcast_domain::Lsn;
    use rowcast_proto::subject::Op;

    use super::*;
    use crate::pipeline::encode::Payload;

    fn message(bytes: usize) -> Outbound {
        Outbound {
            subject: "".into(),
            payload: Payload::Whole(Bytes::from(vec![0; bytes])),
            position: Position::new(Lsn::new(1), 1),
            op: Op::Insert,
        }
    }

    fn queue(messages: usize, bytes: usize) -> Queue {
        let mut queue = Queue::default();
        for _ in 0..messages {
            queue.push(message(bytes));
        }
        queue
    }

    /// How many messages of 60 kB leave, of so many that wait behind batches of so many bytes.
    fn leave(waiting: usize, size: Size, in_flight: &[usize]) -> usize {
        let in_flight = in_flight.iter().map(|bytes| message(*bytes));
        let in_flight: VecDeque<InFlight> = in_flight
            .filter_map(|message| InFlight::whole(&[message]))
            .collect();
        let batch = full_batch(&in_flight, size, &mut queue(waiting, 60_000));
        batch.map_or(0, |batch| batch.len())
    }

    #[test]
    fn a_batch_grows_while_the_broker_has_others() {
        assert_eq!(leave(14, Size::Large, &[]), 0);
        assert_eq!(leave(15, Size::Large, &[900_000]), 15);
        assert_eq!(leave(15, Size::Large, &[900_000; 2]), 0, "it waits anyway");
        assert_eq!(leave(70, Size::Large, &[900_000; 2]), 58);
        assert_eq!(leave(70, Size::Large, &[3_480_000]), 58);
        assert_eq!(leave(70, Size::Large, &[3_480_000; 2]), 0, "it has enough");
        assert_eq!(leave(15, Size::Small, &[900_000; 3]), 15);
        assert_eq!(leave(15, Size::Small, &[900_000; 4]), 0);
        let full = [message(1)];
        let in_flight: VecDeque<InFlight> = (0..3).filter_map(|_| InFlight::whole(&full)).collect();
        let batch = full_batch(&in_flight, Size::Large, &mut queue(1200, 10));
        assert_eq!(batch.map(|batch| batch.len()), Some(1000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_takes_until_its_last_message_is_acknowledged() {
        let write = |messages| Write {
            messages,
            bytes: 10 * messages,
            began: Instant::now(),
            _span: Span::none(),
        };
        let mut writes = VecDeque::from([write(256), write(100)]);
        let second = Duration::from_secs(1);
        tokio::time::advance(second).await;
        assert_eq!(acknowledge(&mut writes, 64), None);
        let first = Written {
            bytes: 2560,
            took: second,
        };
        assert_eq!(acknowledge(&mut writes, 200), Some(first));
        assert_eq!(writes.iter().map(|write| write.messages).sum::<usize>(), 92);
        tokio::time::advance(second).await;
        let last = Written {
            bytes: 1000,
            took: 2 * second,
        };
        assert_eq!(acknowledge(&mut writes, 92), Some(last));
        assert!(writes.is_empty());
    }
}
