//! Moves of the group's position, told by the consumer's metadata, and consumers that were made anew, told by when.
//!
//! What was received before a move names messages that are sent anew, or never again: to acknowledge it would
//! acknowledge what nobody has read. Whoever moves a position announces it, cuts connections off, and only then moves
//! it; so as long as a connection lasts nothing has moved, and after another one has begun the consumer is asked.
//!
//! Of a consumer that is removed and comes back, as where its task is reset and started again, the same is true: its
//! numbers begin anew. That cuts no connection off. So a consumer is asked too where it was asked last before somebody
//! could remove it, make it, and have it send something.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::consumer::PullConsumer;
use rowcast_proto::stream::GENERATION;
use tokio::time::Instant;

use crate::error::Error;

/// For so long a consumer is taken to be the one that it was.
const SURE: Duration = Duration::from_secs(2);

/// What tells a consumer from others of its name, and from itself before a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation {
    /// Of the last move that it has gone through; 0 where it was never moved.
    number: u64,
    /// When it was made, in nanoseconds since 1970.
    created: i128,
}

impl Generation {
    pub(crate) fn of(consumer: &PullConsumer) -> Self {
        let info = consumer.cached_info();
        let number = info.config.metadata.get(GENERATION);
        Self {
            number: number
                .and_then(|number| number.parse().ok())
                .unwrap_or_default(),
            created: info.created.unix_timestamp_nanos(),
        }
    }
}

/// How often a client has connected.
pub(crate) fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Acquire)
}

/// Whether what was received under one generation still counts.
#[derive(Debug)]
pub(crate) struct Validity {
    generation: Generation,
    /// Number of connects with which that was last found true.
    connects: AtomicU64,
    /// When.
    at: Mutex<Instant>,
    is_over: AtomicBool,
}

impl Validity {
    /// As a consumer says that was asked after so many connects.
    pub(crate) fn new(generation: Generation, connects: u64) -> Self {
        Self {
            generation,
            connects: AtomicU64::new(connects),
            at: Mutex::new(Instant::now()),
            is_over: AtomicBool::new(false),
        }
    }

    pub(crate) const fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether the consumer must be asked before anything that was received is handed out.
    pub(crate) fn is_in_doubt(&self, client: &Client) -> bool {
        self.is_over()
            || client.connection_state() != State::Connected
            || connects(client) != self.connects.load(Ordering::Acquire)
    }

    /// Whether it is known that the position was moved, or the consumer removed.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Nothing had moved after so many connects.
    pub(crate) fn confirm(&self, connects: u64) {
        self.connects.store(connects, Ordering::Release);
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Nothing that was received under this generation counts any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Asks the consumer with `look` if there has been another connection since it was asked last, or that was too long ago.
    ///
    /// # Errors
    /// [`Error::PositionMoved`], [`Error::NotAcknowledged`] without a connection, and those of `look`.
    pub(crate) async fn verify(
        &self,
        client: &Client,
        look: impl Future<Output = Result<PullConsumer, Error>>,
    ) -> Result<(), Error> {
        if self.is_over() {
            return Err(Error::PositionMoved);
        }
        // What is said now would wait for the next connection, before which the position may move.
        if client.connection_state() != State::Connected {
            return Err(Error::NotAcknowledged("there is no connection".into()));
        }
        let connects = connects(client);
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if connects == self.connects.load(Ordering::Acquire) && at.elapsed() < SURE {
            return Ok(());
        }
        let is_same = match look.await {
            Ok(consumer) => Generation::of(&consumer) == self.generation,
            Err(Error::GroupDeleted { .. }) => false,
            Err(error) => return Err(error),
        };
        if !is_same {
            self.end();
            return Err(Error::PositionMoved);
        }
        self.confirm(connects);
        Ok(())
    }
}
