//! A durable pull consumer, as a member may see it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind, PeerInfo};
use async_nats::jetstream::{self, ErrorCode, Message};
use futures::Stream as _;
use tokio::time::Instant;

use crate::credentials::GroupCredentials;
use crate::error::Error;
use crate::gate::Seen;

/// Bytes asked for at a time; a batch of large changes ends here.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How long the server may keep a request for changes open.
const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// A server that is silent for twice this long is asked again.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a consumer's leader may take to say how it is.
const LEADER: Duration = Duration::from_secs(1);

/// The messages of a consumer, until somebody stops them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Messages(Arc<Mutex<State>>);

enum State {
    /// They come.
    Open(Box<pull::Stream>),
    /// They do not come yet.
    Begun,
    /// None may come any more.
    Stopped,
}

impl Messages {
    /// None come before [`Self::open`].
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State::Begun)))
    }

    /// Takes the place of what came before, unless they are stopped.
    pub(crate) fn open(&self, stream: pull::Stream) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(_) | State::Begun => *state = State::Open(Box::new(stream)),
            State::Stopped => {}
        }
    }

    /// Drops what the server was asked for on a connection that is gone: it would send to that first, and nobody might
    /// take it for long. The server must be asked anew.
    pub(crate) fn interrupt(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(_) => *state = State::Begun,
            State::Begun | State::Stopped => {}
        }
    }

    /// Asks the server for no more, also where nobody waits for the next one.
    pub(crate) fn stop(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::Stopped;
    }

    /// The next one; `None` where the server must be asked anew.
    pub(crate) async fn next(&self) -> Option<Result<Message, pull::MessagesError>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, pull::MessagesError>>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            State::Open(stream) => Pin::new(&mut **stream).poll_next(context),
            State::Begun | State::Stopped => Poll::Ready(None),
        }
    }
}

/// The consumer as it is now. Asks for nothing but what a group may ask for.
pub(crate) async fn look(
    jetstream: &jetstream::Context,
    credentials: &GroupCredentials,
    consumer: &str,
) -> Result<PullConsumer, Error> {
    jetstream
        .get_consumer_from_stream(consumer, &credentials.stream)
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

/// When most of the servers that keep a consumer were last there, its leader included, which must answer; `None` where it
/// does not. A server that is cut off from the others leads on for some seconds, and hears none of them.
pub(crate) async fn kept(
    jetstream: &jetstream::Context,
    credentials: &GroupCredentials,
    consumer: &str,
) -> Option<Instant> {
    let asked = Instant::now();
    let looked = look(jetstream, credentials, consumer);
    let consumer = tokio::time::timeout(LEADER, looked).await.ok()?.ok()?;
    let cluster = consumer.cached_info().cluster.as_ref();
    let unheard = unheard(cluster.map_or(&[], |cluster| &cluster.replicas))?;
    asked.checked_sub(unheard)
}

/// For how long the leader has not heard so many of the others that they and it are most; `None` where it never has.
fn unheard(others: &[PeerInfo]) -> Option<Duration> {
    // One that was never heard has not been so for no time, and is not current.
    let is_heard = |peer: &&PeerInfo| !peer.offline && (peer.current || !peer.active.is_zero());
    let mut heard: Vec<Duration> = others
        .iter()
        .filter(is_heard)
        .map(|peer| peer.active)
        .collect();
    heard.sort_unstable();
    match others.len().div_ceil(2).checked_sub(1) {
        Some(last) => heard.get(last).copied(),
        None => Some(Duration::ZERO),
    }
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

/// What the server knows of its deliveries.
pub(crate) fn seen(consumer: &PullConsumer) -> Seen {
    let info = consumer.cached_info();
    Seen {
        ack_floor: info.ack_floor.stream_sequence,
        delivered: info.delivered.stream_sequence,
        deliveries: info.delivered.consumer_sequence,
        unacknowledged: info.num_ack_pending,
    }
}

/// Most messages in flight. A consumer without a limit has −1.
pub(crate) fn most_in_flight(consumer: &PullConsumer) -> u64 {
    u64::try_from(consumer.cached_info().config.max_ack_pending).unwrap_or(u64::MAX)
}

/// Asks for messages, so many at a time.
pub(crate) async fn pull(consumer: &PullConsumer, batch: usize) -> Result<pull::Stream, Error> {
    consumer
        .stream()
        .max_messages_per_batch(batch)
        .max_bytes_per_batch(BATCH_BYTES)
        .expires(PULL_EXPIRES)
        .heartbeat(HEARTBEAT)
        .messages()
        .await
        .map_err(|error| Error::Unreachable(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(current: bool, offline: bool, active: u64) -> PeerInfo {
        PeerInfo {
            name: "rowcast-2".to_owned(),
            current,
            active: Duration::from_millis(active),
            offline,
            lag: None,
        }
    }

    #[test]
    fn a_majority_is_as_old_as_the_one_that_makes_it_one() {
        let of = |others: &[PeerInfo]| unheard(others).map(|unheard| unheard.as_millis());
        assert_eq!(of(&[]), Some(0));
        assert_eq!(
            of(&[peer(true, false, 700), peer(true, false, 300)]),
            Some(300)
        );
        let others = [9, 300, 800, 2].map(|active| peer(true, false, active));
        assert_eq!(of(&others), Some(9));
        assert_eq!(
            of(&[peer(false, false, 4000), peer(true, false, 3000)]),
            Some(3000)
        );
    }

    #[test]
    fn whom_the_leader_never_heard_counts_for_nothing() {
        let never = || peer(false, false, 0);
        assert_eq!(unheard(&[never(), never()]), None);
        assert_eq!(unheard(&[never(), peer(true, true, 500)]), None);
        let current = Some(Duration::ZERO);
        assert_eq!(unheard(&[never(), peer(true, false, 0)]), current);
    }
}
