//! A change on its way to the caller.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use rowcast_domain::Position;
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::rest::GroupMode;

use crate::error::{Error, MalformedChange, Source};
use crate::hold::{HoldName, Out};
use crate::session::Session;
use crate::unfinished::Unfinished;

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
    /// Whether it was sent before; the caller may have seen it. What this process has handed out is known to it also where
    /// the server was killed and has forgotten that it sent it.
    pub redelivered: bool,
    /// Whether it is a dead letter that comes once more, by itself and behind what came after it.
    pub is_redriven: bool,
    pub(crate) way: Way,
}

/// How the server is told what became of a change.
#[derive(Debug)]
pub(crate) enum Way {
    /// With everything before it.
    InOrder(Acknowledges, Out, Arc<Session>),
    /// By itself, with the others of its message.
    ByItself(Arc<SharedMessage>, AtomicBool),
}

/// The order in which a change stands.
#[derive(Debug)]
pub(crate) enum Order<'a> {
    /// That of all changes of the group, as long as this is held.
    Everything(HoldName),
    /// That of the partition with this token, as long as it is held.
    Partition(&'a str, HoldName),
    /// None.
    Free,
}

/// A message of a shared group, which is done once all its changes are.
#[derive(Debug)]
pub(crate) struct SharedMessage {
    message: Message,
    /// How often it was sent, this time included.
    attempt: u64,
    session: Arc<Session>,
    unfinished: Arc<Unfinished>,
    /// Its place in the stream that it was read from.
    sequence: u64,
    /// Changes that are not acknowledged.
    left: AtomicUsize,
}

impl SharedMessage {
    /// With so many changes, at this place of the stream that it was read from.
    pub(crate) const fn new(
        message: Message,
        changes: usize,
        place: Place,
        session: Arc<Session>,
        unfinished: Arc<Unfinished>,
    ) -> Self {
        Self {
            message,
            attempt: place.attempt,
            session,
            unfinished,
            sequence: place.stream_sequence,
            left: AtomicUsize::new(changes),
        }
    }

    /// Whether the server sends it no more after this time.
    fn is_last_attempt(&self) -> bool {
        let most = self.session.max_deliver();
        most.is_some_and(|most| self.attempt >= most)
    }

    /// Tells the server not to send it again, and why.
    async fn give_up(&self, reason: &str) -> Result<(), Error> {
        let Some(reply) = self.message.reply.clone() else {
            return Err(Error::NotAcknowledged("no consumer sent it".into()));
        };
        let plain = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
        let reason: String = plain.take(MAX_REASON).collect();
        let said = format!("+TERM {reason}");
        let told = self.session.client().request(reply, said.into()).await;
        told.map_err(|error| Error::NotAcknowledged(error.into()))?;
        self.unfinished.end(self.sequence);
        Ok(())
    }
}

/// Characters of a reason that are told.
const MAX_REASON: usize = 500;

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
    /// How often the message was sent, this time included.
    pub(crate) attempt: u64,
}

impl Place {
    /// `None` for a message that is not from a consumer.
    pub(crate) fn of(message: &Message) -> Option<Self> {
        let info = message.info().ok()?;
        Some(Self {
            stream_sequence: info.stream_sequence,
            delivery: info.consumer_sequence,
            redelivered: info.delivered > 1,
            attempt: u64::try_from(info.delivered).unwrap_or_default(),
        })
    }

    /// The same, of what was sent before, or not, whatever the server says.
    pub(crate) const fn again(self, redelivered: bool) -> Self {
        Self {
            redelivered,
            ..self
        }
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
    pub(crate) fn new(change: Change, subject: String, place: Place, way: Way) -> Self {
        Self {
            position: change.id,
            change,
            subject,
            stream_sequence: place.stream_sequence,
            redelivered: place.redelivered,
            is_redriven: false,
            way,
        }
    }

    /// Acknowledges this change, and waits until that is stored: in an ordered group with every one before it, in a
    /// keyed group with every one before it in its partition, in a shared group alone.
    ///
    /// In an ordered or a keyed group one call for the last change of a batch is enough, and faster than one for each.
    /// In a task that packs rows, what is acknowledged within a pack is known to this process alone until the pack's
    /// last change is, or in a shared group all of them are: after a crash the pack comes again whole.
    ///
    /// # Errors
    /// [`Error::NotAcknowledged`]: the connection failed; the change may come again. [`Error::NotHeld`]: the
    /// change went to another member, and comes again there. [`Error::PositionMoved`]: the group's position was moved
    /// since.
    pub async fn ack(&self) -> Result<(), Error> {
        match &self.way {
            Way::InOrder(acknowledges, out, session) => {
                self.ack_in_order(acknowledges, out, session).await
            }
            Way::ByItself(shared, is_done) => {
                shared.session.verify().await?;
                if !is_done.swap(true, Ordering::Relaxed) {
                    shared.left.fetch_sub(1, Ordering::Relaxed);
                }
                if shared.left.load(Ordering::Relaxed) > 0 {
                    return Ok(());
                }
                let acked = shared.message.double_ack().await;
                acked.map_err(Error::NotAcknowledged)?;
                shared.unfinished.end(shared.sequence);
                Ok(())
            }
        }
    }

    async fn ack_in_order(
        &self,
        acknowledges: &Acknowledges,
        out: &Out,
        session: &Session,
    ) -> Result<(), Error> {
        let Acknowledges { message, sequence } = acknowledges;
        let hold = out.hold();
        if !hold.may_acknowledge() && !session.is_over() {
            return Err(Error::NotHeld {
                position: self.position,
            });
        }
        session.verify().await?;
        // That may have taken some seconds.
        if !hold.may_acknowledge() && !session.is_over() {
            return Err(Error::NotHeld {
                position: self.position,
            });
        }
        let fence = hold.fence();
        let is_news = fence.stored().is_none_or(|stored| stored != *sequence);
        if let Some(message) = message.as_ref().filter(|_message| is_news) {
            message.double_ack().await.map_err(Error::NotAcknowledged)?;
        }
        fence.advance(self.position, self.stream_sequence, *sequence);
        Ok(())
    }

    /// Whether an acknowledgement of this change covers `earlier`, which came before it: in a shared group that of no
    /// other change does.
    #[must_use]
    pub fn covers(&self, earlier: &Self) -> bool {
        match (&self.way, &earlier.way) {
            (Way::InOrder(_, own, _), Way::InOrder(_, other, _)) => {
                Arc::ptr_eq(own.hold(), other.hold())
            }
            (Way::InOrder(..) | Way::ByItself(..), _) => false,
        }
    }

    /// The partition that a change of a keyed group is in, as its connection document calls it: three digits, or `tx` for
    /// what belongs to no row. `None` where the group is not keyed.
    #[must_use]
    pub fn partition(&self) -> Option<&str> {
        let session = match &self.way {
            Way::InOrder(_, _, session) => session,
            Way::ByItself(shared, _is_done) => &shared.session,
        };
        match session.mode() {
            // Behind the task's, or the group's, own id.
            GroupMode::Keyed => self.subject.split('.').nth(3),
            GroupMode::Ordered | GroupMode::Shared => None,
        }
    }

    /// The order in which it stands.
    pub(crate) fn order(&self) -> Order<'_> {
        match &self.way {
            Way::InOrder(_, out, session) => match (session.mode(), self.partition()) {
                (GroupMode::Ordered, _) => Order::Everything(out.name()),
                (GroupMode::Keyed, Some(partition)) => Order::Partition(partition, out.name()),
                (GroupMode::Keyed, None) | (GroupMode::Shared, _) => Order::Free,
            },
            Way::ByItself(..) => Order::Free,
        }
    }

    /// How it was handed out; `None` where it stands in no order.
    pub(crate) const fn out(&self) -> Option<&Out> {
        match &self.way {
            Way::InOrder(_, out, _) => Some(out),
            Way::ByItself(..) => None,
        }
    }

    /// Gives this change of a shared group back: it comes again, to any member, after `delay` or at once. Where it came
    /// in a pack, all of that comes again.
    ///
    /// # Errors
    /// [`Error::NotAcknowledged`]: the connection failed; the change comes again after the consumer's ack wait.
    /// [`Error::InOrder`]: the group is not shared, and none of its changes can come later than those behind it.
    pub async fn nack(&self, delay: Option<Duration>) -> Result<(), Error> {
        match &self.way {
            Way::InOrder(..) => Err(Error::InOrder),
            Way::ByItself(shared, _is_done) => {
                shared.session.verify().await?;
                let given_back = shared.message.ack_with(AckKind::Nak(delay)).await;
                given_back.map_err(Error::NotAcknowledged)?;
                shared.unfinished.end(shared.sequence);
                Ok(())
            }
        }
    }

    /// Says that this change of a shared group is still being worked on: the server waits for its acknowledgement anew,
    /// from now on, for as long as the group's ack wait is (30 s). Where it came in a pack, for all of that.
    ///
    /// To be called well within that time, and again, by whoever takes longer for a change: otherwise it goes to another
    /// member too, and counts as one more attempt of `max_deliver`. It does nothing for what waits in this process behind
    /// the change; a member that is slow by nature does better in a group with a larger `max_deliver`. Of an ordered or a
    /// keyed group nothing needs to be said, and nothing is: its changes stay with the member that holds them.
    ///
    /// # Errors
    /// [`Error::NotAcknowledged`]: the connection failed; the change may come again. [`Error::PositionMoved`]: the
    /// group's position was moved since, and what comes of this change does not count any more.
    pub async fn in_progress(&self) -> Result<(), Error> {
        match &self.way {
            Way::InOrder(..) => Ok(()),
            Way::ByItself(shared, _is_done) => {
                shared.session.verify().await?;
                let told = shared.message.ack_with(AckKind::Progress).await;
                told.map_err(Error::NotAcknowledged)?;
                shared.unfinished.extend(shared.sequence);
                Ok(())
            }
        }
    }

    /// As [`Self::nack`], and says why: after its last attempt the change is a dead letter of the group, which a person
    /// can see with `error`, and redrive.
    ///
    /// # Errors
    /// As of [`Self::nack`].
    pub async fn nack_because(
        &self,
        error: &(impl Display + Sync),
        delay: Option<Duration>,
    ) -> Result<(), Error> {
        match &self.way {
            Way::ByItself(shared, _is_done) if shared.is_last_attempt() => {
                self.give_up(error).await
            }
            Way::ByItself(..) | Way::InOrder(..) => self.nack(delay).await,
        }
    }

    /// Makes this change of a shared group a dead letter now: trying again would not help. Where it came in a pack, all of
    /// that is one.
    ///
    /// # Errors
    /// As of [`Self::nack`].
    pub async fn give_up(&self, error: &(impl Display + Sync)) -> Result<(), Error> {
        match &self.way {
            Way::InOrder(..) => Err(Error::InOrder),
            Way::ByItself(shared, _is_done) => {
                shared.session.verify().await?;
                shared.give_up(&error.to_string()).await
            }
        }
    }
}
