//! What is to be published into a group's own stream, in batches, and what the stream was made of once they are stored.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rowcast_bus::batch::{BatchError, BatchMessage, BatchPublisher, MAX_MESSAGES};
use rowcast_proto::derived::{MADE_OF, Made};

use super::large::Taken;
use super::render::Rendered;
use crate::store::derivation::Mark;

/// Bytes of bodies in a batch.
const BATCH_BYTES: usize = 900_000;

/// Bytes of bodies that may wait.
const QUEUE_BYTES: usize = 16 << 20;

/// Batches on their way at a time: full ones beside another, what has come so far only alone.
const FULL_IN_FLIGHT: usize = 2;

/// A message that waits.
struct Waiting {
    message: BatchMessage,
    /// Up to where the stream is made with it; only of the last that is made of a message.
    mark: Option<Mark>,
    /// Memory for a large change, free again once the last message that is made of it is sent.
    _taken: Option<Taken>,
}

/// The queue into one stream.
pub(super) struct Outbox {
    publisher: BatchPublisher,
    queue: VecDeque<Waiting>,
    bytes: usize,
    /// Of each batch on its way the last mark.
    in_flight: VecDeque<Option<Mark>>,
    /// Up to where the stream is made once all that waits is stored.
    last: Mark,
    /// Up to where it is made.
    stored: Mark,
}

impl Outbox {
    /// For a stream that is made up to there.
    pub(super) fn new(publisher: BatchPublisher, mark: Mark) -> Self {
        Self {
            publisher,
            queue: VecDeque::new(),
            bytes: 0,
            in_flight: VecDeque::new(),
            last: mark.clone(),
            stored: mark,
        }
    }

    /// Up to where the stream is made for sure.
    pub(super) const fn stored(&self) -> &Mark {
        &self.stored
    }

    /// Up to where it is made once all that waits is stored.
    pub(super) const fn last(&self) -> &Mark {
        &self.last
    }

    /// Whether more may be queued.
    pub(super) const fn has_room(&self) -> bool {
        self.bytes < QUEUE_BYTES
    }

    /// Queues what was made of a message, but for the first `stored` of it, which the stream has. `made` is of the last of
    /// it; those before say what was known before the message, for it is taken once more where one of them ends the
    /// stream. `mark` is what is true behind it; of its own sequence this counts.
    pub(super) fn push(
        &mut self,
        rendered: Vec<Rendered>,
        stored: usize,
        (before, made): (Made, Made),
        mark: Mark,
        mut taken: Option<Taken>,
    ) {
        let of = rendered.len();
        let mut mark = Mark {
            own_sequence: self.last.own_sequence + of as u64,
            ..mark
        };
        let mut whole = self.last.position;
        for (number, rendered) in rendered.into_iter().enumerate() {
            let is_last = number + 1 == of;
            let made = Made {
                number: number as u64 + 1,
                of: of as u64,
                before: whole,
                pieces: rendered.pieces,
                ..if is_last { made } else { before }
            };
            if rendered.pieces == 0 {
                whole = rendered.id;
            }
            if number < stored {
                continue;
            }
            let message = message(rendered, made);
            self.bytes += message.payload.len();
            self.queue.push_back(Waiting {
                message,
                mark: is_last.then(|| mark.clone()),
                _taken: if is_last { taken.take() } else { None },
            });
        }
        std::mem::swap(&mut self.last, &mut mark);
        self.settle();
    }

    /// Queues what stands before all that is made of a message and is none of it. Where it ends the stream, that message is
    /// taken as if nothing of it were stored.
    pub(super) fn push_before(&mut self, rendered: Vec<Rendered>, made: Made) {
        let made = Made {
            number: 1,
            of: 2,
            before: self.last.position,
            pieces: 0,
            ..made
        };
        for rendered in rendered {
            let message = message(rendered, made);
            self.bytes += message.payload.len();
            self.last.own_sequence += 1;
            self.queue.push_back(Waiting {
                message,
                mark: None,
                _taken: None,
            });
        }
    }

    /// The stream ends with this sequence: what it holds behind the mark is of what will not be made again.
    pub(super) const fn pass_over(&mut self, end: u64) {
        self.last.own_sequence = end;
    }

    /// Waits until all of it is stored.
    ///
    /// # Errors
    /// Where it is not known to be.
    pub(super) async fn drain(&mut self) -> Result<(), BatchError> {
        loop {
            self.send().await?;
            if self.is_empty() {
                return Ok(());
            }
            self.acked().await?;
        }
    }

    /// Whether nothing waits, nor is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_empty()
    }

    /// Sends what may be sent now.
    ///
    /// # Errors
    /// Where the connection is lost: what the stream holds is open then.
    pub(super) async fn send(&mut self) -> Result<(), BatchError> {
        loop {
            let in_flight = self.publisher.in_flight();
            let is_full = self.queue.len() >= MAX_MESSAGES || self.bytes >= BATCH_BYTES;
            let may = in_flight == 0 || (is_full && in_flight < FULL_IN_FLIGHT);
            if self.queue.is_empty() || !may {
                return Ok(());
            }
            let (mut batch, mut bytes, mut mark) = (Vec::new(), 0, None);
            while batch.len() < MAX_MESSAGES
                && let Some(waiting) = self.queue.pop_front_if(|next| {
                    bytes == 0 || bytes + next.message.payload.len() <= BATCH_BYTES
                })
            {
                bytes += waiting.message.payload.len();
                mark = waiting.mark.or(mark);
                batch.push(waiting.message);
            }
            self.bytes -= bytes;
            self.publisher.send(batch.into_iter()).await?;
            self.in_flight.push_back(mark);
        }
    }

    /// Waits until a batch is stored; for ever where none is on its way. Cancel safe.
    ///
    /// # Errors
    /// Where it is not known to be.
    pub(super) async fn acked(&mut self) -> Result<(), BatchError> {
        self.publisher.acked().await?;
        if let Some(Some(mark)) = self.in_flight.pop_front() {
            self.stored = mark;
        }
        self.settle();
        Ok(())
    }

    /// Where nothing waits, what was left out since the last message counts as well.
    fn settle(&mut self) {
        if self.is_empty() {
            self.stored = self.last.clone();
        }
    }
}

/// As it is stored, with what it was made of.
fn message(rendered: Rendered, made: Made) -> BatchMessage {
    let Rendered {
        subject,
        payload,
        headers,
        ..
    } = rendered;
    BatchMessage {
        subject: Arc::from(subject),
        payload,
        headers: Bytes::from(format!("\r\n{MADE_OF}:{made}{headers}")),
    }
}
