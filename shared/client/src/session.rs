//! What was received from a consumer, as long as its position has not been moved.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use rowcast_proto::rest::GroupMode;

use crate::consumer::look;
use crate::credentials::GroupCredentials;
use crate::error::Error;
use crate::generation::{Generation, Validity, connects};

/// The reading of a consumer between two moves of its position.
#[derive(Debug)]
pub(crate) struct Session {
    jetstream: jetstream::Context,
    credentials: Arc<GroupCredentials>,
    /// The consumer's name.
    consumer: String,
    /// How often the server sends a message; less than one for no limit.
    max_deliver: i64,
    /// How long it waits for an acknowledgement.
    ack_wait: Duration,
    validity: Validity,
}

/// Whether the position has been moved.
#[derive(Debug)]
pub(crate) enum Looked {
    /// It has not; this is how the consumer is now.
    Same(Box<PullConsumer>),
    /// It has.
    Moved,
}

impl Session {
    /// Begins with what the consumer says, which was asked after so many connects.
    pub(crate) fn new(
        jetstream: jetstream::Context,
        credentials: Arc<GroupCredentials>,
        consumer: &PullConsumer,
        connects: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            consumer: consumer.cached_info().name.clone(),
            max_deliver: consumer.cached_info().config.max_deliver,
            ack_wait: consumer.cached_info().config.ack_wait,
            validity: Validity::new(Generation::of(consumer), connects),
            jetstream,
            credentials,
        })
    }

    /// How often the server sends a message; `None` for no limit.
    pub(crate) fn max_deliver(&self) -> Option<u64> {
        u64::try_from(self.max_deliver)
            .ok()
            .filter(|most| *most > 0)
    }

    /// How long the server waits for an acknowledgement.
    pub(crate) const fn ack_wait(&self) -> Duration {
        self.ack_wait
    }

    /// How the members of the group share its changes.
    pub(crate) fn mode(&self) -> GroupMode {
        self.credentials.mode
    }

    /// The connection.
    pub(crate) fn client(&self) -> async_nats::Client {
        self.jetstream.client()
    }

    /// Whether the consumer must be asked before anything that was received is handed out.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.validity.is_in_doubt(&self.jetstream.client())
    }

    /// Asks the consumer. Of one that is missing nothing counts any more: what comes back is another one.
    ///
    /// # Errors
    /// As of [`look`].
    pub(crate) async fn look(&self) -> Result<Looked, Error> {
        let connects = connects(&self.jetstream.client());
        let looked = look(&self.jetstream, &self.credentials, &self.consumer).await;
        if let Err(Error::GroupDeleted { .. }) = looked {
            self.end();
        }
        let consumer = looked?;
        if self.goes_on(&consumer, connects) {
            Ok(Looked::Same(Box::new(consumer)))
        } else {
            Ok(Looked::Moved)
        }
    }

    /// Whether the consumer, as it was found after so many connects, has not been moved since this began.
    pub(crate) fn goes_on(&self, consumer: &PullConsumer, connects: u64) -> bool {
        let is_moved = self.is_over() || Generation::of(consumer) != self.validity.generation();
        if is_moved {
            self.validity.end();
        } else {
            self.validity.confirm(connects);
        }
        !is_moved
    }

    /// Nothing that was received counts any more.
    pub(crate) fn end(&self) {
        self.validity.end();
    }

    /// Whether it is known that the position was moved.
    pub(crate) fn is_over(&self) -> bool {
        self.validity.is_over()
    }

    /// Whether what was received may be acknowledged.
    ///
    /// # Errors
    /// [`Error::PositionMoved`]; [`Error::NotAcknowledged`] where the server does not say.
    pub(crate) async fn verify(&self) -> Result<(), Error> {
        let look = look(&self.jetstream, &self.credentials, &self.consumer);
        let verified = self.validity.verify(&self.jetstream.client(), look).await;
        verified.map_err(|error| match error {
            Error::Unreachable(source) => Error::NotAcknowledged(source),
            other @ (Error::LoginRefused { .. }
            | Error::GroupDeleted { .. }
            | Error::Malformed(_)
            | Error::TooManyPieces { .. }
            | Error::NotHeld { .. }
            | Error::Pushed { .. }
            | Error::Unreadable { .. }
            | Error::InOrder
            | Error::InPieces { .. }
            | Error::NotAcknowledged(_)
            | Error::NoMarkers { .. }
            | Error::NotOrdered { .. }
            | Error::PositionNotRead { .. }
            | Error::PositionMoved) => other,
        })
    }
}
