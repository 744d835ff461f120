//! Moves of the group's position, told by the consumer's metadata.
//!
//! What was received before a move names messages that are sent anew, or never again: to acknowledge it would
//! acknowledge what nobody has read. Whoever moves a position announces it, cuts connections off, and only then moves
//! it; so as long as a connection lasts nothing has moved, and after another one has begun the consumer is asked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::consumer::PullConsumer;
use rowcast_proto::stream::GENERATION;

use crate::error::Error;

/// Number of the last move that a consumer has gone through; 0 where it was never moved.
pub(crate) fn generation(consumer: &PullConsumer) -> u64 {
    let metadata = &consumer.cached_info().config.metadata;
    let number = metadata.get(GENERATION);
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

/// How often a client has connected.
pub(crate) fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Acquire)
}

/// Whether what was received under one generation still counts.
#[derive(Debug)]
pub(crate) struct Validity {
    generation: u64,
    /// Number of connects with which that was last found true.
    connects: AtomicU64,
    is_over: AtomicBool,
}

impl Validity {
    /// As a consumer says that was asked after so many connects.
    pub(crate) const fn new(generation: u64, connects: u64) -> Self {
        Self {
            generation,
            connects: AtomicU64::new(connects),
            is_over: AtomicBool::new(false),
        }
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the consumer must be asked before anything that was received is handed out.
    pub(crate) fn is_in_doubt(&self, client: &Client) -> bool {
        self.is_over()
            || client.connection_state() != State::Connected
            || connects(client) != self.connects.load(Ordering::Acquire)
    }

    /// Whether it is known that the position was moved.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Nothing had moved after so many connects.
    pub(crate) fn confirm(&self, connects: u64) {
        self.connects.store(connects, Ordering::Release);
    }

    /// Nothing that was received under this generation counts any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Asks the consumer with `look` if there has been another connection since it was asked last.
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
        if connects == self.connects.load(Ordering::Acquire) {
            return Ok(());
        }
        if generation(&look.await?) != self.generation {
            self.end();
            return Err(Error::PositionMoved);
        }
        self.connects.store(connects, Ordering::Release);
        Ok(())
    }
}
