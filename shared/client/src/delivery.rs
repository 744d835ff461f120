//! A change on its way to the caller.

use std::sync::Arc;

use async_nats::jetstream::{self, Message};
use rowcast_domain::Position;
use rowcast_proto::change::{Change, Operation};

use crate::credentials::GroupCredentials;
use crate::error::{Error, MalformedChange, Source};
use crate::fence::Fence;
use crate::generation::Validity;
use crate::subscription::look;

/// A change, to be acknowledged once it is dealt with.
#[derive(Debug)]
pub struct Delivery {
    /// What happened. Always the whole change, also where it came in pieces.
    pub change: Change,
    /// Where it stands in the source's history; also its id.
    pub position: Position,
    /// The NATS subject it came on.
    pub subject: String,
    /// Its place in the task's stream; of a change that came in pieces, that of the last. Changes of one
    /// pack share it.
    pub stream_sequence: u64,
    /// Whether it was sent before; the caller may have seen it.
    pub redelivered: bool,
    acknowledges: Acknowledges,
    session: Arc<Session>,
}

/// What a member's deliveries share, until the group's position is moved.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) fence: Fence,
    pub(crate) validity: Validity,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) credentials: GroupCredentials,
}

/// What tells the server of an acknowledgement.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledges {
    /// The message that ends with the change. In the middle of a pack the one before it: the server
    /// counts whole messages. `None` where the pack is the first of all.
    pub(crate) message: Option<Arc<Message>>,
    /// Its place in the stream.
    pub(crate) sequence: u64,
}

/// What the server says of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) stream_sequence: u64,
    /// Number of the delivery in the consumer, counting repeats.
    pub(crate) delivery: u64,
    pub(crate) redelivered: bool,
}

impl Place {
    /// `None` for a message that is not from a consumer.
    pub(crate) fn of(message: &Message) -> Option<Self> {
        let info = message.info().ok()?;
        Some(Self {
            stream_sequence: info.stream_sequence,
            delivery: info.consumer_sequence,
            redelivered: info.delivered > 1,
        })
    }
}

/// Reads the body of a message, which is a change or a piece of one.
pub(crate) fn read(message: &Message, place: Place) -> Result<Change, Error> {
    Change::read(&message.payload).map_err(|source| malformed(message, place, source.into()))
}

/// Reads a change whose last piece this message is.
pub(crate) fn read_joined(
    message: &Message,
    place: Place,
    piece: (Position, Operation),
    whole: &[u8],
) -> Result<Change, Error> {
    let change = Change::read(whole).map_err(|source| malformed(message, place, source.into()))?;
    if (change.id, change.op) == piece {
        Ok(change)
    } else {
        let reason = format!("the pieces of {} are those of another change", piece.0);
        Err(malformed(message, place, reason.into()))
    }
}

/// The error for a message that is not what it should be.
pub(crate) fn malformed(message: &Message, place: Place, source: Source) -> Error {
    Error::Malformed(Box::new(MalformedChange {
        payload: message.payload.clone(),
        subject: message.subject.to_string(),
        stream_sequence: place.stream_sequence,
        source,
    }))
}

impl Delivery {
    pub(crate) fn new(
        change: Change,
        subject: String,
        place: Place,
        acknowledges: Acknowledges,
        session: Arc<Session>,
    ) -> Self {
        Self {
            position: change.id,
            change,
            subject,
            stream_sequence: place.stream_sequence,
            redelivered: place.redelivered,
            acknowledges,
            session,
        }
    }

    /// Acknowledges this change and every one before it, and waits until that is stored.
    ///
    /// One call for the last change of a batch is enough, and faster than one for each. In a task that
    /// packs rows, what is acknowledged within a pack is known to this process alone until the pack's last
    /// change is: after a crash the pack comes again whole.
    ///
    /// # Errors
    /// [`Error::NotAcknowledged`]: the connection failed; the change may come again.
    /// [`Error::PositionMoved`]: the group's position was moved since.
    pub async fn ack(&self) -> Result<(), Error> {
        let Session {
            fence,
            validity,
            jetstream,
            credentials,
        } = &*self.session;
        validity
            .verify(&jetstream.client(), look(jetstream, credentials))
            .await
            .map_err(|error| match error {
                Error::Unreachable(source) => Error::NotAcknowledged(source),
                other @ (Error::LoginRefused { .. }
                | Error::GroupDeleted { .. }
                | Error::Malformed(_)
                | Error::TooManyPieces { .. }
                | Error::NotAcknowledged(_)
                | Error::PositionMoved) => other,
            })?;
        let Acknowledges { message, sequence } = &self.acknowledges;
        let is_news = fence.stored().is_none_or(|stored| stored != *sequence);
        if let Some(message) = message.as_ref().filter(|_message| is_news) {
            message.double_ack().await.map_err(Error::NotAcknowledged)?;
        }
        fence.advance(self.position, self.stream_sequence, *sequence);
        Ok(())
    }
}
