//! Reads one consumer in order: all of an ordered group's changes, or one partition of a keyed group's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subject;
use async_nats::jetstream::{self, Message};
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, stream};
use rowcast_domain::{Backoff, Position};
use rowcast_proto::change::{Change, Operation, Part};
use tokio::time::Instant;

use crate::absence::Absence;
use crate::consumer::{Messages, look, most_in_flight, pull, seen};
use crate::credentials::GroupCredentials;
use crate::delivery::{self, Acknowledges, Delivery, Place};
use crate::error::Error;
use crate::gate::Gate;
use crate::generation::connects;
use crate::hold::{Hold, Next, Standing};
use crate::login::{Refused, another_connection};
use crate::patience::Patience;
use crate::pieces::Pieces;
use crate::session::{Looked, Session};

/// Changes asked for at a time, and so about the most of a consumer that wait in this process.
const BATCH: usize = 256;

/// How often a closed gate looks whether everything in flight has come.
const GATE_CHECK: Duration = Duration::from_millis(500);

/// A change of a pack that was not handed out yet.
type Unpacked = (Change, String, Place, Acknowledges);

/// The reading of one consumer.
struct Share {
    hold: Arc<Hold>,
    session: Arc<Session>,
    absence: Absence,
    /// Tells of connections that have begun.
    connected: Refused,
    /// When to ask whether the position has moved; since there was another connection.
    unsure: Option<Instant>,
    messages: Messages,
    gate: Gate<(Message, Place)>,
    /// When to look next whether a closed gate may be opened.
    gate_check: Instant,
    pieces: Pieces,
    /// What is left of a pack.
    unpacked: VecDeque<Unpacked>,
    /// The last message that was handed out whole.
    before: Acknowledges,
    patience: Patience,
    /// Acknowledged by the caller, and sent again.
    repeat: Option<Message>,
    /// Most messages that the consumer has in flight.
    in_flight: u64,
    backoff: Backoff,
}

/// What is needed to read a consumer.
pub(crate) struct Opening {
    pub(crate) credentials: Arc<GroupCredentials>,
    /// The consumer's name.
    pub(crate) name: String,
    pub(crate) jetstream: jetstream::Context,
    /// For how long.
    pub(crate) hold: Arc<Hold>,
    /// Tells of connections that have begun.
    pub(crate) connected: Refused,
    pub(crate) messages: Messages,
}

/// Changes after the last one that the group has acknowledged, until the consumer is not held any more.
pub(crate) fn read(opening: Opening) -> BoxStream<'static, Result<Delivery, Error>> {
    let begun = stream::once(Share::begin(opening)).flat_map(|begun| match begun {
        Ok(Some(share)) => stream::unfold(share, |mut share| async move {
            let next = share.next().await.transpose()?;
            Some((next, share))
        })
        .boxed(),
        Ok(None) => stream::empty().boxed(),
        Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
    });
    begun.boxed()
}

impl Share {
    /// Looks where the consumer stands; `None` where it is not held any more.
    async fn begin(opening: Opening) -> Result<Option<Self>, Error> {
        let Opening {
            credentials,
            name,
            jetstream,
            hold,
            mut connected,
            messages,
        } = opening;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut absence = Absence::new(credentials.login_patience);
        while hold.permits().await.is_some() {
            connected.mark_unchanged();
            let connects = connects(&jetstream.client());
            let opened = match look(&jetstream, &credentials, &name).await {
                Ok(consumer) => pull(&consumer, BATCH).await.map(|of| (consumer, of)),
                Err(error) => Err(error),
            };
            match opened {
                Ok((consumer, opened)) => {
                    messages.open(opened);
                    backoff.reset();
                    absence.end();
                    return Ok(Some(Self {
                        gate: Gate::new(seen(&consumer)),
                        gate_check: Instant::now() + GATE_CHECK,
                        pieces: Pieces::default(),
                        unpacked: VecDeque::new(),
                        before: Acknowledges {
                            message: None,
                            sequence: 0,
                        },
                        patience: Patience::new(consumer.cached_info().config.ack_wait),
                        repeat: None,
                        in_flight: most_in_flight(&consumer),
                        session: Session::new(jetstream, credentials, &consumer, connects),
                        absence,
                        connected,
                        unsure: None,
                        hold,
                        messages,
                        backoff,
                    }));
                }
                Err(error) => absence.bear(error)?,
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
        Ok(None)
    }

    /// The next change; `None` where the consumer is not held any more.
    async fn next(&mut self) -> Result<Option<Delivery>, Error> {
        loop {
            let hold = Arc::clone(&self.hold);
            let Some(next) = hold.permits().await else {
                return Ok(None);
            };
            if self.unsure.is_none() && self.session.is_in_doubt() {
                self.unsure = Some(Instant::now());
            }
            if self.unsure.is_none()
                && let Some(delivery) = self.next_unpacked(&next)
            {
                return Ok(Some(delivery));
            }
            if let Some(sequence) = hold.fence().stored() {
                self.gate.acknowledged(sequence);
            }
            // Not while what is held may be of before a move.
            while self.unsure.is_none()
                && let Some(passed) = self.gate.next()
            {
                let (message, place) = passed.item;
                let message = renumbered(message, place, passed.number);
                // Whatever the server says, which may have forgotten it.
                let again = place.redelivered || passed.is_copy;
                if let Some(delivery) = self.admit(message, place, again, &next)? {
                    return Ok(Some(delivery));
                }
            }
            drop(next);
            if let Some(repeat) = self.repeat.take()
                && self.hold.may_acknowledge()
                && let Err(error) = repeat.ack().await
            {
                tracing::debug!(%error, "a repeat comes once more");
            }
            tokio::select! {
                () = self.hold.changed() => {}
                message = self.messages.next() => match message {
                    Some(Ok(message)) => self.take(message),
                    Some(Err(error)) => {
                        tracing::debug!(error = %error, "changes interrupted");
                        self.resume().await?;
                    }
                    None => self.resume().await?,
                },
                () = another_connection(&mut self.connected) => self.unsure = Some(Instant::now()),
                () = when(self.unsure) => self.check().await?,
                // At its time, however steadily changes come.
                () = tokio::time::sleep_until(self.gate_check), if !self.gate.is_open() => {
                    self.check().await?;
                }
                () = self.patience.due(), if !self.gate.has_repeats() => self.patience.ask().await,
            }
        }
    }

    fn next_unpacked(&mut self, next: &Next<'_>) -> Option<Delivery> {
        let (change, subject, place, acknowledges) = self.unpacked.pop_front()?;
        let way = next.hand_out(acknowledges, change.id, place, &self.session);
        Some(Delivery::new(change, subject, place, way))
    }

    /// What the caller gets for a message: nothing for what comes again and it has acknowledged, nor for a piece with
    /// others to come.
    fn admit(
        &mut self,
        message: Message,
        place: Place,
        again: bool,
        next: &Next<'_>,
    ) -> Result<Option<Delivery>, Error> {
        let change = delivery::read(&message, place)?;
        if change.op == Operation::Pack {
            self.unpack(change, message, place, again);
            return Ok(self.next_unpacked(next));
        }
        if again && self.hold.fence().covers(change.id, place.stream_sequence) {
            // The server has not counted that: it ignores one whose delivery has a lower number than one before.
            self.repeat = Some(message);
            return Ok(None);
        }
        // A server that was killed may have forgotten what the caller has acknowledged.
        let again = again || self.hold.fence().covers(change.id, place.stream_sequence);
        self.hold.fence().forgotten(place.stream_sequence);
        let change = match change.part {
            None => {
                self.pieces.passed(place.stream_sequence);
                change
            }
            Some(part) => {
                let piece = (change.id, part.op);
                self.fits(change.id, &part)?;
                let joined = self.pieces.take(change.id, &part, place);
                let joined =
                    joined.map_err(|reason| delivery::malformed(&message, place, reason.into()))?;
                let Some(whole) = joined else {
                    self.patience.hold(message);
                    return Ok(None);
                };
                delivery::read_joined(&message, place, piece, &whole)?
            }
        };
        if !self.pieces.is_joining() {
            self.patience.end();
        }
        let subject = message.subject.to_string();
        self.before = Acknowledges {
            message: Some(Arc::new(message)),
            sequence: place.stream_sequence,
        };
        let way = next.hand_out(self.before.clone(), change.id, place, &self.session);
        let place = place.again(again);
        Ok(Some(Delivery::new(change, subject, place, way)))
    }

    /// The changes of a pack, each as if it had come alone. Only the last one ends the message.
    fn unpack(&mut self, pack: Change, message: Message, place: Place, again: bool) {
        self.pieces.passed(place.stream_sequence);
        if !again {
            self.hold.fence().forgotten(place.stream_sequence);
        }
        let subject = message.subject.to_string();
        let before = self.before.clone();
        self.before = Acknowledges {
            message: Some(Arc::new(message)),
            sequence: place.stream_sequence,
        };
        let end = pack.id;
        let has_changes = !pack.pack.is_empty();
        for change in pack.pack {
            let sequence = place.stream_sequence;
            let is_known = self.hold.fence().covers(change.id, sequence);
            if (again && is_known) || self.hold.fence().is_within(change.id, sequence) {
                continue;
            }
            let acknowledges = if change.id == end {
                &self.before
            } else {
                &before
            };
            let place = place.again(again || is_known);
            self.unpacked
                .push_back((change, subject.clone(), place, acknowledges.clone()));
        }
        if has_changes && self.unpacked.is_empty() {
            // The caller has acknowledged all of it, and nothing that it gets would tell the server so again.
            self.repeat = self.before.message.as_deref().cloned();
        }
    }

    /// The server sends no more than `max_ack_pending` pieces of a change that cannot be acknowledged
    /// before its end.
    fn fits(&self, position: Position, part: &Part) -> Result<(), Error> {
        // Three bytes are four characters of base64.
        let length = part.data.len() as u64 / 4 * 3;
        let pieces = part.bytes.div_ceil(length.max(1));
        if part.offset == 0 && pieces > self.in_flight {
            return Err(Error::TooManyPieces {
                position,
                pieces,
                in_flight: self.in_flight,
            });
        }
        Ok(())
    }

    fn take(&mut self, message: Message) {
        self.backoff.reset();
        let Some(place) = Place::of(&message) else {
            tracing::warn!(subject = %message.subject, "a message that no consumer sent is ignored");
            return;
        };
        self.gate.count(place.delivery);
        self.gate
            .hold(place.stream_sequence, place.delivery, (message, place));
    }

    /// Takes what has come already; `false` where changes are interrupted.
    fn take_ready(&mut self) -> bool {
        while let Some(next) = self.messages.next().now_or_never() {
            match next {
                Some(Ok(message)) => self.take(message),
                Some(Err(error)) => {
                    tracing::debug!(error = %error, "changes interrupted");
                    return false;
                }
                None => return false,
            }
        }
        true
    }

    /// Asks for changes again after an interruption.
    async fn resume(&mut self) -> Result<(), Error> {
        // What was under way to the old request is lost.
        self.gate.close();
        tokio::time::sleep(self.backoff.next_wait()).await;
        match self.session.look().await {
            Ok(Looked::Same(consumer)) => {
                self.absence.end();
                match pull(&consumer, BATCH).await {
                    Ok(messages) => self.messages.open(messages),
                    Err(error) => tracing::debug!(error = %error, "not resumed yet"),
                }
            }
            Ok(Looked::Moved) => self.is_moved(),
            Err(error) => self.absence.bear(error)?,
        }
        Ok(())
    }

    /// Looks whether the position has moved, and whether the gate may be opened.
    async fn check(&mut self) -> Result<(), Error> {
        self.gate_check = Instant::now() + GATE_CHECK;
        match self.session.look().await {
            Ok(Looked::Same(consumer)) => {
                self.unsure = None;
                self.absence.end();
                if !self.gate.is_open() {
                    // What the server counts as sent has come, and may not be taken yet.
                    if !self.take_ready() {
                        return self.resume().await;
                    }
                    self.gate.check(seen(&consumer));
                }
            }
            Ok(Looked::Moved) => self.is_moved(),
            Err(error) => {
                self.absence.bear(error)?;
                self.unsure = self.unsure.map(|_due| Instant::now() + GATE_CHECK);
            }
        }
        Ok(())
    }

    /// Nothing of before the move counts any more; the consumer is begun anew.
    fn is_moved(&self) {
        tracing::info!("the group's position was moved, or its consumer made anew");
        self.hold.set(Standing::Lost);
    }
}

/// A message that is acknowledged with another number than that of its delivery.
///
/// Its reply is `$JS.ACK.….<stream sequence>.<number of the delivery>.<time>.<pending>`, with one more token at the end
/// behind a domain (NATS ADR-15).
fn renumbered(mut message: Message, place: Place, number: u64) -> Message {
    if number == place.delivery {
        return message;
    }
    let own = format!(".{}.{}.", place.stream_sequence, place.delivery);
    let other = format!(".{}.{number}.", place.stream_sequence);
    if let Some((start, end)) = message
        .reply
        .as_ref()
        .and_then(|reply| reply.rsplit_once(own.as_str()))
    {
        message.message.reply = Some(Subject::from(format!("{start}{other}{end}")));
    }
    message
}

/// Ends at that time, or never.
async fn when(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
