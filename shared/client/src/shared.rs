//! Reads a shared group: any change, in no order, each acknowledged by itself. So are dead letters that come once more.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{self, Message};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, stream};
use rowcast_domain::Backoff;
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::dead_letter;
use rowcast_proto::stream::{DEAD, redrive_consumer};
use tokio::sync::oneshot;

use crate::absence::Absence;
use crate::consumer::{Messages, look, pull};
use crate::credentials::GroupCredentials;
use crate::delivery::{self, Delivery, Place, SharedMessage, Way};
use crate::error::Error;
use crate::generation::connects;
use crate::session::Session;
use crate::unfinished::Unfinished;

/// Changes asked for at a time: what waits here, no other member gets, and it comes again where it waits longer
/// than the consumer's ack wait.
const BATCH: usize = 64;

/// How often is looked whether anything was redriven yet: before the first time there is no consumer of it.
const LOOK_EVERY: Duration = Duration::from_secs(10);

struct Reader {
    /// Whether dead letters are read, and not the task's stream.
    is_redriven: bool,
    credentials: Arc<GroupCredentials>,
    jetstream: jetstream::Context,
    messages: Messages,
    unfinished: Arc<Unfinished>,
    /// Dropped with this: what is left is given back.
    _leave: oneshot::Sender<Infallible>,
    /// Between two moves of the position; absent before the first changes are asked for.
    session: Option<Arc<Session>>,
    absence: Absence,
    /// What is left of a pack.
    unpacked: VecDeque<Delivery>,
    backoff: Backoff,
}

/// What is read, and what is to be done once the stream of it is dropped.
pub(crate) struct Reading {
    pub(crate) changes: BoxStream<'static, Result<Delivery, Error>>,
    /// Waits for that, and gives back what is left.
    pub(crate) leaves: BoxFuture<'static, ()>,
}

/// Changes of the group that no other member has.
pub(crate) fn read(credentials: Arc<GroupCredentials>, jetstream: jetstream::Context) -> Reading {
    begin(credentials, jetstream, false)
}

/// Dead letters that the group is to get once more.
pub(crate) fn read_redriven(
    credentials: &GroupCredentials,
    jetstream: jetstream::Context,
) -> Reading {
    let redriven = GroupCredentials {
        stream: DEAD.name.to_owned(),
        consumer: redrive_consumer(&credentials.group_id),
        ..credentials.clone()
    };
    begin(Arc::new(redriven), jetstream, true)
}

fn begin(
    credentials: Arc<GroupCredentials>,
    jetstream: jetstream::Context,
    is_redriven: bool,
) -> Reading {
    let (messages, unfinished) = (Messages::new(), Arc::new(Unfinished::default()));
    let (leave, left) = oneshot::channel();
    let leaves = Arc::clone(&unfinished).give_back(messages.clone(), left);
    let reader = Reader {
        is_redriven,
        absence: Absence::new(credentials.login_patience),
        credentials,
        jetstream,
        messages,
        unfinished,
        _leave: leave,
        session: None,
        unpacked: VecDeque::new(),
        backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
    };
    let deliveries = stream::unfold(reader, |mut reader| async move {
        let next = reader.next().await;
        Some((next, reader))
    });
    Reading {
        changes: deliveries.boxed(),
        leaves: leaves.boxed(),
    }
}

impl Reader {
    async fn next(&mut self) -> Result<Delivery, Error> {
        loop {
            let in_doubt = |session: &Arc<Session>| session.is_in_doubt();
            if self.session.as_ref().is_some_and(in_doubt) {
                // There was another connection: nothing may be handed out that is of before a move.
                self.open().await?;
                continue;
            }
            if let Some(delivery) = self.unpacked.pop_front() {
                return Ok(delivery);
            }
            match self.messages.next().await {
                Some(Ok(message)) => {
                    self.backoff.reset();
                    if let Some(delivery) = self.admit(message).await? {
                        return Ok(delivery);
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(error = %error, "changes interrupted");
                    self.open().await?;
                }
                None => self.open().await?,
            }
        }
    }

    /// What the caller gets for a message.
    async fn admit(&mut self, message: Message) -> Result<Option<Delivery>, Error> {
        let Some(place) = Place::of(&message) else {
            tracing::warn!(subject = %message.subject, "a message that no consumer sent is ignored");
            return Ok(None);
        };
        self.unfinished.take(&message, place);
        let change = delivery::read(&message, place)?;
        match &change.part {
            // Of a group with a limit all pieces are put away, where their change can be read whole.
            Some(part) if part.offset > 0 && !self.puts_away() => {
                // The first piece stands for the change.
                match message.ack().await {
                    Ok(()) => self.unfinished.end(place.stream_sequence),
                    Err(error) => tracing::debug!(error = %error, "a piece comes again"),
                }
                return Ok(None);
            }
            Some(part) => {
                return Err(Error::InPieces {
                    position: change.id,
                    bytes: part.bytes,
                });
            }
            None => {}
        }
        if let Some(session) = self.session.clone() {
            self.unpack(change, message, place, session);
        }
        Ok(self.unpacked.pop_front())
    }

    /// Whether what is not acknowledged becomes a dead letter.
    fn puts_away(&self) -> bool {
        let limit = |session: &Arc<Session>| session.max_deliver();
        self.is_redriven || self.session.as_ref().and_then(limit).is_some()
    }

    /// The changes of a message.
    fn unpack(
        &mut self,
        mut change: Change,
        message: Message,
        place: Place,
        session: Arc<Session>,
    ) {
        let sent = place;
        let (subject, place) = if self.is_redriven {
            origin(&message, place)
        } else {
            (message.subject.to_string(), place)
        };
        let is_redriven = self.is_redriven;
        let changes = if change.op == Operation::Pack {
            std::mem::take(&mut change.pack)
        } else {
            vec![change]
        };
        let shared = Arc::new(SharedMessage::new(
            message,
            changes.len(),
            sent,
            session,
            Arc::clone(&self.unfinished),
        ));
        for change in changes {
            let way = Way::ByItself(Arc::clone(&shared), AtomicBool::new(false));
            let delivery = Delivery::new(change, subject.clone(), place, way);
            self.unpacked.push_back(Delivery {
                is_redriven,
                ..delivery
            });
        }
    }

    /// Takes note of the consumer that is read from now on. What came before its position was moved counts no more.
    fn go_on(&mut self, consumer: &PullConsumer, connects: u64) {
        let goes_on = |session: &Arc<Session>| session.goes_on(consumer, connects);
        if self
            .session
            .as_ref()
            .is_none_or(|session| !goes_on(session))
        {
            self.unpacked.clear();
            let (jetstream, credentials) = (self.jetstream.clone(), Arc::clone(&self.credentials));
            let session = Session::new(jetstream, credentials, consumer, connects);
            self.unfinished.begin(Arc::clone(&session));
            self.session = Some(session);
        }
    }

    /// Asks for changes, or again after an interruption.
    async fn open(&mut self) -> Result<(), Error> {
        let connects = connects(&self.jetstream.client());
        let opened = match look(
            &self.jetstream,
            &self.credentials,
            &self.credentials.consumer,
        )
        .await
        {
            Ok(consumer) => pull(&consumer, BATCH).await.map(|of| (consumer, of)),
            Err(error) => Err(error),
        };
        match opened {
            Ok((consumer, messages)) => {
                self.absence.end();
                self.go_on(&consumer, connects);
                self.messages.open(messages);
                return Ok(());
            }
            Err(error @ Error::GroupDeleted { .. }) => {
                if let Some(session) = &self.session {
                    // What comes back is another one.
                    session.end();
                }
                if self.is_redriven {
                    tokio::time::sleep(LOOK_EVERY).await;
                    return Ok(());
                }
                self.absence.bear(error)?;
            }
            Err(error) => self.absence.bear(error)?,
        }
        tokio::time::sleep(self.backoff.next_wait()).await;
        Ok(())
    }
}

/// Where a redriven change was in the task's stream.
fn origin(message: &Message, place: Place) -> (String, Place) {
    let headers = message.headers.as_ref();
    let text = |name: &str| headers.and_then(|headers| headers.get(name).map(AsRef::as_ref));
    let sequence = text(dead_letter::SEQUENCE).and_then(|text: &str| text.parse().ok());
    let place = Place {
        stream_sequence: sequence.unwrap_or(place.stream_sequence),
        redelivered: true,
        ..place
    };
    let subject = text(dead_letter::SUBJECT).unwrap_or(message.subject.as_str());
    (subject.to_owned(), place)
}
