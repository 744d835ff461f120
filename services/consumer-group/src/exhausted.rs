//! Makes dead letters of what nats-server will not send again.
//!
//! ```text
//! a shared group's consumer has sent a change as often as it may ┐
//! a member has given a change up (`+TERM`)                       ┴▶ advisory ─▶ ROWCAST_ADVISORIES ─▶ ROWCAST_DEAD
//! ```
//!
//! The server goes past such a change and tells of it once, to whoever listens (nats-server 2.15,
//! `notifyDeliveryExceeded`, `processTerm`). The stream of advisories listens, so nothing is missed while this service
//! is away; an advisory is acknowledged once its letter is stored, or noted as one that waits. Those of a group are taken one after
//! the other, and those of different groups at once: a stream without a leader holds up its own groups alone.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use rowcast_bus::async_nats::jetstream::consumer::{AckPolicy, pull};
use rowcast_bus::async_nats::jetstream::{AckKind, Message};
use rowcast_bus::provision;
use rowcast_domain::{Backoff, GroupId};
use rowcast_proto::rest::DeadLetterCause;
use rowcast_proto::stream::{ADVISORIES, DEAD, group_of_consumer};
use rowcast_proto::subject::{self, DELIVERIES_GIVEN_UP};
use rowcast_service::{BoxError, CancellationToken};
use serde::Deserialize;

use crate::letter::Letter;
use crate::reads::Reads;
use crate::state::State;
use crate::store::group::Group;
use crate::store::waiting::Told;
use crate::{letters_told, shelf, store, waiting};

/// The durable consumer, shared by the copies of this service.
pub(crate) const DURABLE: &str = "consumer-group";

/// An advisory that is not taken for this long comes again, to another copy.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// How long one that cannot be taken now is left.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Advisories in hand at a time; the server has no more on their way.
const MOST_IN_HAND: usize = 1000;

/// What an advisory tells (schemas `io.nats.jetstream.advisory.v1.max_deliver` and `.terminated`).
#[derive(Debug, Deserialize)]
struct Advisory {
    stream: String,
    consumer: String,
    stream_seq: u64,
    deliveries: u64,
    #[serde(default)]
    reason: String,
}

/// Takes advisories, tries what waits again, and tells what was put away, until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) -> Result<(), BoxError> {
    let waiting = waiting::run(state.clone(), stop.clone());
    let telling = letters_told::run(state.pool.clone(), stop.clone());
    let following = Box::pin(follow(state, stop));
    futures::future::try_join3(following, Box::pin(waiting), Box::pin(telling)).await?;
    Ok(())
}

async fn follow(state: State, stop: CancellationToken) -> Result<(), BoxError> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    while !stop.is_cancelled() {
        let taking = stop.run_until_cancelled(Box::pin(until_failure(&state, &mut backoff)));
        let Some(Err(error)) = taking.await else {
            break;
        };
        tracing::warn!(%error, "dead letters are not stored for now");
        stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait()))
            .await;
    }
    Ok(())
}

async fn until_failure(state: &State, backoff: &mut Backoff) -> Result<(), BoxError> {
    provision::stream(&state.data, &DEAD).await?;
    provision::stream(&state.data, &ADVISORIES).await?;
    let stream = state
        .data
        .jetstream()
        .get_stream_no_info(ADVISORIES.name)
        .await?;
    let config = pull::Config {
        durable_name: Some(DURABLE.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer(DURABLE, config).await?;
    let mut messages = consumer.messages().await?;
    let mut lanes = Lanes::new(state);
    loop {
        let has_room = lanes.has_room();
        tokio::select! {
            Some(done) = lanes.next() => {
                done?;
                backoff.reset();
            }
            message = messages.next(), if has_room => match message {
                Some(message) => lanes.add(message?),
                None => return Err("the consumer of advisories has ended".into()),
            },
        }
    }
}

/// Of which group an advisory was taken, and how that went.
type Done = (Option<GroupId>, Result<(), BoxError>);

/// Advisories in hand, by group.
struct Lanes<'a> {
    state: &'a State,
    /// Behind the one of each group that is being taken.
    behind: HashMap<Option<GroupId>, VecDeque<Message>>,
    taking: FuturesUnordered<BoxFuture<'a, Done>>,
    in_hand: usize,
}

impl<'a> Lanes<'a> {
    fn new(state: &'a State) -> Self {
        Self {
            state,
            behind: HashMap::new(),
            taking: FuturesUnordered::new(),
            in_hand: 0,
        }
    }

    const fn has_room(&self) -> bool {
        self.in_hand < MOST_IN_HAND
    }

    fn add(&mut self, message: Message) {
        self.in_hand += 1;
        let consumer = message.subject.rsplit('.').next();
        let group = consumer.and_then(group_of_consumer);
        if let Some(behind) = self.behind.get_mut(&group) {
            behind.push_back(message);
            return;
        }
        self.behind.insert(group.clone(), VecDeque::new());
        self.begin(group, message);
    }

    fn begin(&self, group: Option<GroupId>, message: Message) {
        let state = self.state;
        let one = async move { (group, answer(state, &message).await) };
        self.taking.push(one.boxed());
    }

    /// The next one that was taken; `None` where nothing is in hand.
    async fn next(&mut self) -> Option<Result<(), BoxError>> {
        let (group, done) = self.taking.next().await?;
        self.in_hand = self.in_hand.saturating_sub(1);
        let next = self.behind.get_mut(&group).and_then(VecDeque::pop_front);
        match next {
            Some(message) => self.begin(group, message),
            None => {
                self.behind.remove(&group);
            }
        }
        Some(done)
    }
}

/// Takes one, and tells the server.
async fn answer(state: &State, message: &Message) -> Result<(), BoxError> {
    match take(state, message).await {
        Ok(()) => message.double_ack().await,
        Err(error) => {
            tracing::error!(%error, advisory = %message.subject, "dead letter not stored yet");
            message.ack_with(AckKind::Nak(Some(AGAIN_AFTER))).await
        }
    }
}

/// Taken twice, it does nothing the second time.
async fn take(state: &State, message: &Message) -> Result<(), BoxError> {
    let number = message.info()?.stream_sequence;
    let advisory: Advisory = match serde_json::from_slice(&message.payload) {
        Ok(advisory) => advisory,
        Err(error) => {
            // It would never be read.
            tracing::error!(%error, subject = %message.subject, "an advisory of nats-server is not understood");
            return Ok(());
        }
    };
    let Some(id) = group_of_consumer(&advisory.consumer) else {
        return Ok(());
    };
    let group = store::group::by_id(&state.pool, &id).await?;
    let Some(group) = group.filter(|group| group.deleted_at.is_none()) else {
        return Ok(());
    };
    let given_up = DELIVERIES_GIVEN_UP.trim_end_matches('>');
    let cause = if message.subject.starts_with(given_up) {
        DeadLetterCause::GivenUp
    } else {
        DeadLetterCause::Exhausted
    };
    put_away(state, &group, advisory, cause, number).await
}

async fn put_away(
    state: &State,
    group: &Group,
    advisory: Advisory,
    cause: DeadLetterCause,
    number: u64,
) -> Result<(), BoxError> {
    if advisory.stream == DEAD.name {
        return put_back(state, group, advisory, cause, number).await;
    }
    if advisory.stream != Reads::of(group).stream() {
        return Ok(());
    }
    let told = Told {
        sequence: advisory.stream_seq,
        stored_at: None,
        cause,
        attempts: advisory.deliveries,
        error: advisory.reason,
        advisory: number,
    };
    waiting::take(state, group, told).await
}

/// Makes a letter again of a redriven one. It has its room already, and does not wait elsewhere: as long as the server's word
/// is not taken, nobody takes the message for acknowledged.
async fn put_back(
    state: &State,
    group: &Group,
    advisory: Advisory,
    cause: DeadLetterCause,
    number: u64,
) -> Result<(), BoxError> {
    let Some((before, subject)) = of_redriven(state, group, advisory.stream_seq).await? else {
        return Ok(());
    };
    let letter = Letter {
        cause,
        attempts: before.attempts.saturating_add(advisory.deliveries),
        error: if advisory.reason.is_empty() {
            before.error
        } else {
            advisory.reason
        },
        ..before
    };
    shelf::put(&state.data, &letter, Some(&format!("advisory-{number}"))).await?;
    store::untold::note(&state.pool, &letter).await?;
    let shelf = shelf::stream(&state.data).await?;
    shelf.purge().filter(subject).await?;
    tracing::warn!(group = %group.id, task = %group.task_id, sequence = letter.sequence, attempts = letter.attempts,
        cause = letter.cause.as_str(), has_body = letter.body.is_some(), "change is a dead letter again");
    Ok(())
}

/// The letter that a redriven message of this very group is, and its subject; `None` where it is none.
///
/// nats-server tells of any sequence that a member names in `+TERM`, whether it was sent to it or not: a message of
/// another group must neither be shown to this one nor be taken from the other.
async fn of_redriven(
    state: &State,
    group: &Group,
    sequence: u64,
) -> Result<Option<(Letter, String)>, BoxError> {
    let shelf = shelf::stream(&state.data).await?;
    // It may have been taken before: the letter is stored before this is removed.
    let Some(message) = shelf::found(shelf.get_raw_message(sequence).await)? else {
        return Ok(None);
    };
    let Some((owner, number)) = subject::letter_of_redriven(&message.subject) else {
        return Ok(None);
    };
    if owner != group.id {
        tracing::warn!(group = %group.id, %owner, sequence, "a group has given up what is not its own");
        return Ok(None);
    }
    let Some(letter) = Letter::read(group.id.clone(), &message) else {
        return Ok(None);
    };
    // A crash may have left the letter that this was made of, under the subject that the new one gets.
    if let Some(old) = shelf::get(&shelf, &group.id, number).await? {
        shelf::remove(&shelf, &old).await?;
    }
    let letter = letter.redriven_once_more();
    Ok(Some((letter, message.subject.to_string())))
}
