//! The stream of a group's changes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::jetstream::{self, ErrorCode, Message};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use rowcast_domain::{Backoff, Position};
use rowcast_proto::change::{Change, Operation, Part};
use tokio::time::Instant;

use crate::credentials::GroupCredentials;
use crate::delivery::{self, Acknowledges, Delivery, Place, Session};
use crate::error::Error;
use crate::fence::Fence;
use crate::gate::{Gate, Seen};
use crate::generation::{Validity, connects, generation};
use crate::login::{Refused, another_connection, log_in, refused_for_good};
use crate::patience::Patience;
use crate::pieces::Pieces;

/// Changes asked for at a time, and so about the most that wait in this process.
const BATCH: usize = 256;

/// Bytes asked for at a time; a batch of large changes ends here.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How long the server may keep a request for changes open.
const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// A server that is silent for twice this long is asked again.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How often a closed gate looks whether everything in flight has come.
const GATE_CHECK: Duration = Duration::from_millis(500);

/// A group's changes, in commit order.
///
/// A [`Stream`] of [`Delivery`]. It reconnects by itself and asks for more only as deliveries are
/// taken: at most a batch of 256 changes or 8 MiB waits in memory, and after a lost connection what
/// the group has in flight (1000 messages). A change that comes in pieces is joined in memory.
pub struct Subscription {
    deliveries: BoxStream<'static, Result<Delivery, Error>>,
}

impl Subscription {
    /// Logs in and begins after the last change that the group has acknowledged.
    ///
    /// # Errors
    /// [`Error::LoginRefused`], [`Error::GroupDeleted`], [`Error::Unreachable`].
    pub async fn connect(credentials: GroupCredentials) -> Result<Self, Error> {
        let (client, refused) = log_in(&credentials).await?;
        let member = Member::join(client, refused, credentials).await?;
        let deliveries = futures::stream::unfold(Some(member), |member| async move {
            let mut member = member?;
            let next = member.next().await;
            let ended = next.as_ref().is_err_and(Error::is_final);
            Some((next, (!ended).then_some(member)))
        });
        Ok(Self {
            deliveries: deliveries.boxed(),
        })
    }
}

impl Stream for Subscription {
    type Item = Result<Delivery, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.deliveries.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// One member of the group, as the server sees it.
struct Member {
    refused: Refused,
    /// Tells of connections that have begun.
    connected: Refused,
    /// When to ask whether the position has moved; since there was another connection.
    unsure: Option<Instant>,
    messages: pull::Stream,
    gate: Gate<(Message, Place)>,
    session: Arc<Session>,
    pieces: Pieces,
    /// What is left of a pack.
    unpacked: VecDeque<Delivery>,
    /// The last message that was handed out whole.
    before: Acknowledges,
    patience: Patience,
    /// Most messages that the consumer has in flight.
    in_flight: u64,
    backoff: Backoff,
}

impl Member {
    async fn join(
        client: Client,
        refused: Refused,
        credentials: GroupCredentials,
    ) -> Result<Self, Error> {
        let jetstream = jetstream::new(client);
        let mut connected = refused.clone();
        connected.mark_unchanged();
        let connects = connects(&jetstream.client());
        let consumer = look(&jetstream, &credentials).await?;
        Ok(Self {
            messages: pull(&consumer).await?,
            connected,
            unsure: None,
            gate: Gate::new(seen(&consumer)),
            pieces: Pieces::default(),
            unpacked: VecDeque::new(),
            before: Acknowledges {
                message: None,
                sequence: 0,
            },
            patience: Patience::new(consumer.cached_info().config.ack_wait),
            in_flight: most_in_flight(&consumer),
            refused,
            session: Arc::new(Session {
                fence: Fence::default(),
                validity: Validity::new(generation(&consumer), connects),
                jetstream,
                credentials,
            }),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
        })
    }

    async fn next(&mut self) -> Result<Delivery, Error> {
        loop {
            let Session {
                validity,
                jetstream,
                ..
            } = &*self.session;
            if self.unsure.is_none() && validity.is_in_doubt(&jetstream.client()) {
                self.unsure = Some(Instant::now());
            }
            if self.unsure.is_none()
                && let Some(delivery) = self.unpacked.pop_front()
            {
                return Ok(delivery);
            }
            if let Some(sequence) = self.session.fence.stored() {
                self.gate.acknowledged(sequence);
            }
            // Not while what is held may be of before a move.
            while self.unsure.is_none()
                && let Some((message, place)) = self.gate.next()
            {
                if let Some(delivery) = self.admit(message, place)? {
                    return Ok(delivery);
                }
            }
            tokio::select! {
                () = refused_for_good(self.refused.clone()) => {
                    let login = self.session.credentials.login.clone();
                    return Err(Error::LoginRefused { login });
                }
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
                () = tokio::time::sleep(GATE_CHECK), if !self.gate.is_open() => {
                    self.check().await?;
                }
                () = self.patience.due(), if !self.gate.has_repeats() => self.patience.ask().await,
            }
        }
    }

    /// What the caller gets for a message: nothing for what it has acknowledged, nor for a piece with
    /// others to come.
    fn admit(&mut self, message: Message, place: Place) -> Result<Option<Delivery>, Error> {
        let change = delivery::read(&message, place)?;
        if change.op == Operation::Pack {
            self.unpack(change, message, place);
            return Ok(self.unpacked.pop_front());
        }
        if place.redelivered && self.session.fence.covers(change.id, place.stream_sequence) {
            return Ok(None);
        }
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
        let (acknowledges, session) = (self.before.clone(), Arc::clone(&self.session));
        let delivery = Delivery::new(change, subject, place, acknowledges, session);
        Ok(Some(delivery))
    }

    /// The changes of a pack, each as if it had come alone. Only the last one ends the message.
    fn unpack(&mut self, pack: Change, message: Message, place: Place) {
        self.pieces.passed(place.stream_sequence);
        let subject = message.subject.to_string();
        let before = self.before.clone();
        self.before = Acknowledges {
            message: Some(Arc::new(message)),
            sequence: place.stream_sequence,
        };
        let end = pack.id;
        for change in pack.pack {
            let sequence = place.stream_sequence;
            let is_known = place.redelivered && self.session.fence.covers(change.id, sequence);
            if is_known || self.session.fence.is_within(change.id, sequence) {
                continue;
            }
            let acknowledges = if change.id == end {
                &self.before
            } else {
                &before
            };
            let (acknowledges, session) = (acknowledges.clone(), Arc::clone(&self.session));
            let delivery = Delivery::new(change, subject.clone(), place, acknowledges, session);
            self.unpacked.push_back(delivery);
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
        self.gate.hold(place.stream_sequence, (message, place));
    }

    /// Asks for changes again after an interruption.
    async fn resume(&mut self) -> Result<(), Error> {
        // What was under way to the old request is lost.
        self.gate.close();
        tokio::time::sleep(self.backoff.next_wait()).await;
        let (connects, consumer) = match self.look().await {
            Ok(looked) => looked,
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                tracing::debug!(error = %error, "not resumed yet");
                return Ok(());
            }
        };
        match pull(&consumer).await {
            Ok(messages) => self.messages = messages,
            Err(error) => {
                tracing::debug!(error = %error, "not resumed yet");
                return Ok(());
            }
        }
        if self.is_moved(&consumer) {
            self.start_over(connects, &consumer);
        }
        Ok(())
    }

    /// Looks whether the position has moved, and whether the gate may be opened.
    async fn check(&mut self) -> Result<(), Error> {
        match self.look().await {
            Ok((_connects, consumer)) if self.is_moved(&consumer) => self.resume().await?,
            Ok((connects, consumer)) => {
                self.session.validity.confirm(connects);
                self.unsure = None;
                if !self.gate.is_open() {
                    self.gate.check(seen(&consumer));
                }
            }
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                tracing::debug!(error = %error, "consumer not looked at");
                self.unsure = self.unsure.map(|_due| Instant::now() + GATE_CHECK);
            }
        }
        Ok(())
    }

    /// The consumer as it is now, and after how many connects it was asked.
    async fn look(&self) -> Result<(u64, PullConsumer), Error> {
        let connects = connects(&self.session.jetstream.client());
        let consumer = look(&self.session.jetstream, &self.session.credentials).await?;
        Ok((connects, consumer))
    }

    fn is_moved(&self, consumer: &PullConsumer) -> bool {
        generation(consumer) != self.session.validity.generation()
    }

    /// Forgets everything from before the position was moved, and goes on where the group stands now.
    fn start_over(&mut self, connects: u64, consumer: &PullConsumer) {
        tracing::info!(group = %self.session.credentials.group_id, "the position was moved");
        self.session.validity.end();
        self.session = Arc::new(Session {
            fence: Fence::default(),
            validity: Validity::new(generation(consumer), connects),
            jetstream: self.session.jetstream.clone(),
            credentials: self.session.credentials.clone(),
        });
        self.gate = Gate::new(seen(consumer));
        self.pieces = Pieces::default();
        self.unpacked.clear();
        self.before = Acknowledges {
            message: None,
            sequence: 0,
        };
        self.patience = Patience::new(consumer.cached_info().config.ack_wait);
        self.unsure = None;
    }
}

/// Ends at that time, or never.
async fn when(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The consumer as it is now. Asks for nothing but what a group may ask for.
pub(crate) async fn look(
    jetstream: &jetstream::Context,
    credentials: &GroupCredentials,
) -> Result<PullConsumer, Error> {
    jetstream
        .get_consumer_from_stream(&credentials.consumer, &credentials.stream)
        .await
        .map_err(|error| {
            if is_missing(&error) {
                Error::GroupDeleted {
                    group: credentials.group_id.clone(),
                }
            } else {
                Error::Unreachable(error.into())
            }
        })
}

fn is_missing(error: &ConsumerError) -> bool {
    match error.kind() {
        ConsumerErrorKind::JetStream(error) => {
            [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND]
                .contains(&error.error_code())
        }
        ConsumerErrorKind::TimedOut
        | ConsumerErrorKind::Request
        | ConsumerErrorKind::InvalidConsumerType
        | ConsumerErrorKind::InvalidName
        | ConsumerErrorKind::Other => false,
    }
}

fn seen(consumer: &PullConsumer) -> Seen {
    let info = consumer.cached_info();
    Seen {
        ack_floor: info.ack_floor.stream_sequence,
        delivered: info.delivered.stream_sequence,
        deliveries: info.delivered.consumer_sequence,
        unacknowledged: info.num_ack_pending,
    }
}

/// A consumer without a limit has −1.
fn most_in_flight(consumer: &PullConsumer) -> u64 {
    u64::try_from(consumer.cached_info().config.max_ack_pending).unwrap_or(u64::MAX)
}

async fn pull(consumer: &PullConsumer) -> Result<pull::Stream, Error> {
    consumer
        .stream()
        .max_messages_per_batch(BATCH)
        .max_bytes_per_batch(BATCH_BYTES)
        .expires(PULL_EXPIRES)
        .heartbeat(HEARTBEAT)
        .messages()
        .await
        .map_err(|error| Error::Unreachable(error.into()))
}
