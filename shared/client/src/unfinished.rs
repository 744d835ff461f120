//! What a member of a shared group was sent and has not dealt with: given back when it leaves, so that others get it at
//! once, and not only after the consumer's ack wait.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use async_nats::{Client, Subject};
use bytes::Bytes;
use futures::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::consumer::Messages;
use crate::delivery::Place;
use crate::session::Session;

/// Messages that may have come and wait, at most: while one batch is taken, the next is asked for.
const WAITING: usize = 256;

/// With twice as many as were left the last time, and at least so many, it is looked which have gone to others meanwhile.
const MANY: usize = 512;

/// Time for the server to learn that nothing is asked for any more, before it has something to send again.
const SETTLE: Duration = Duration::from_millis(20);

/// How long NATS may take to be told.
const GIVEN: Duration = Duration::from_secs(2);

/// What is with this process.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By which it came; absent before the first changes are asked for.
    session: Option<Arc<Session>>,
    /// By the place in the stream.
    sent: BTreeMap<u64, Sent>,
    /// How many were left when it was last looked which are with others.
    left: usize,
}

#[derive(Debug)]
struct Sent {
    /// Where the server hears of it.
    reply: Subject,
    /// When it heard last, or has sent it: after the ack wait it sends it to somebody.
    at: Instant,
}

impl Unfinished {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came before counts no more.
    pub(crate) fn begin(&self, session: Arc<Session>) {
        *self.state() = State {
            session: Some(session),
            ..State::default()
        };
    }

    /// Takes a message that the server has sent.
    pub(crate) fn take(&self, message: &Message, place: Place) {
        let Some(reply) = &message.reply else {
            return;
        };
        // Not the buffer that it was read in.
        let reply = Subject::from(reply.to_string());
        let mut state = self.state();
        let (at, ack_wait) = (Instant::now(), state.ack_wait());
        if state.sent.len() >= 2 * state.left.max(MANY) {
            state
                .sent
                .retain(|_sequence, sent| sent.at.elapsed() < ack_wait);
            state.left = state.sent.len();
        }
        state.sent.insert(place.stream_sequence, Sent { reply, at });
    }

    /// The server waits for it anew.
    pub(crate) fn extend(&self, sequence: u64) {
        if let Some(sent) = self.state().sent.get_mut(&sequence) {
            sent.at = Instant::now();
        }
    }

    /// The server knows what became of it.
    pub(crate) fn end(&self, sequence: u64) {
        self.state().sent.remove(&sequence);
    }

    /// Gives back what is left once nobody reads any more, which drops the other end of `left`: also what has come and was
    /// not looked at.
    pub(crate) async fn give_back(
        self: Arc<Self>,
        messages: Messages,
        left: oneshot::Receiver<Infallible>,
    ) {
        let _gone = left.await;
        for _ in 0..WAITING {
            let Some(Some(Ok(message))) = messages.next().now_or_never() else {
                break;
            };
            if let Some(place) = Place::of(&message) {
                self.take(&message, place);
            }
        }
        messages.stop();
        let (session, replies) = self.state().rest();
        let Some(session) = session.filter(|_session| !replies.is_empty()) else {
            return;
        };
        if let Err(error) = session.verify().await {
            tracing::debug!(%error, "what is left is not given back");
            return;
        }
        tokio::time::sleep(SETTLE).await;
        let client = session.client();
        let given = give(&client, replies);
        // Where the connection is lost they would go out with the next one, when it is not known any more whose they are.
        match tokio::time::timeout(GIVEN, given).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "changes may come again only after the ack wait");
            }
            Err(_elapsed) => tracing::debug!("NATS does not take what is given back"),
        }
    }
}

async fn give(
    client: &Client,
    replies: Vec<Subject>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for reply in replies {
        client
            .publish(reply, Bytes::from(AckKind::Nak(None)))
            .await?;
    }
    Ok(client.flush().await?)
}

impl State {
    fn ack_wait(&self) -> Duration {
        self.session
            .as_ref()
            .map_or(Duration::MAX, |session| session.ack_wait())
    }

    /// What the server waits for.
    fn rest(&mut self) -> (Option<Arc<Session>>, Vec<Subject>) {
        let ack_wait = self.ack_wait();
        let sent = std::mem::take(&mut self.sent).into_values();
        let waited = sent.filter(|sent| sent.at.elapsed() < ack_wait);
        (self.session.take(), waited.map(|sent| sent.reply).collect())
    }
}
