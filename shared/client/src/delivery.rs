//! A change on its way to the caller.

use std::sync::Arc;

use async_nats::jetstream::Message;
use rowcast_domain::Position;
use rowcast_proto::change::Change;

use crate::error::{Error, MalformedChange};
use crate::fence::Fence;

/// A change, to be acknowledged once it is dealt with.
#[derive(Debug)]
pub struct Delivery {
    /// What happened.
    pub change: Change,
    /// Where it stands in the source's history; also its id.
    pub position: Position,
    /// The NATS subject it came on.
    pub subject: String,
    /// Its place in the task's stream.
    pub stream_sequence: u64,
    /// Whether it was sent before; the caller may have seen it.
    pub redelivered: bool,
    message: Message,
    fence: Arc<Fence>,
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

impl Delivery {
    pub(crate) fn read(message: Message, place: Place, fence: Arc<Fence>) -> Result<Self, Error> {
        let subject = message.subject.to_string();
        match serde_json::from_slice::<Change>(&message.payload) {
            Ok(change) => Ok(Self {
                position: change.id,
                change,
                subject,
                stream_sequence: place.stream_sequence,
                redelivered: place.redelivered,
                message,
                fence,
            }),
            Err(source) => Err(Error::Malformed(Box::new(MalformedChange {
                payload: message.payload.clone(),
                subject,
                stream_sequence: place.stream_sequence,
                source,
            }))),
        }
    }

    /// Acknowledges this change and every one before it, and waits until that is stored.
    ///
    /// One call for the last change of a batch is enough, and faster than one for each.
    ///
    /// # Errors
    /// [`Error::NotAcknowledged`]: the connection failed; the change may come again.
    pub async fn ack(&self) -> Result<(), Error> {
        self.message
            .double_ack()
            .await
            .map_err(Error::NotAcknowledged)?;
        self.fence.advance(self.position, self.stream_sequence);
        Ok(())
    }
}
