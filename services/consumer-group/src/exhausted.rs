//! Makes dead letters of what nats-server will not send again.
//!
//! ```text
//! a shared group's consumer has sent a change as often as it may ┐
//! a member has given a change up (`+TERM`)                       ┴▶ advisory ─▶ ROWCAST_ADVISORIES ─▶ ROWCAST_DEAD
//! ```
//!
//! The server goes past such a change and tells of it once, to whoever listens (nats-server 2.15,
//! `notifyDeliveryExceeded`, `processTerm`). The stream of advisories listens, so nothing is missed while this service
//! is away; an advisory is acknowledged once its letter is stored.

use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::async_nats::jetstream::consumer::{AckPolicy, pull};
use rowcast_bus::async_nats::jetstream::{AckKind, Message};
use rowcast_bus::provision;
use rowcast_domain::Backoff;
use rowcast_proto::rest::DeadLetterCause;
use rowcast_proto::stream::{ADVISORIES, DEAD, group_of_consumer};
use rowcast_proto::subject::{self, DELIVERIES_GIVEN_UP};
use rowcast_service::{BoxError, CancellationToken};
use serde::Deserialize;

use crate::letter::Letter;
use crate::reads::Reads;
use crate::state::State;
use crate::store::group::Group;
use crate::{held, shelf, store};

/// The durable consumer, shared by the copies of this service.
pub(crate) const DURABLE: &str = "consumer-group";

/// An advisory that is not taken for this long comes again, to another copy.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// How long one that cannot be taken now is left.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

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

/// Takes advisories until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) -> Result<(), BoxError> {
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
    while let Some(message) = messages.next().await {
        let message = message?;
        match take(state, &message).await {
            Ok(()) => message.double_ack().await?,
            Err(error) => {
                tracing::error!(%error, advisory = %message.subject, "dead letter not stored yet");
                message.ack_with(AckKind::Nak(Some(AGAIN_AFTER))).await?;
            }
        }
        backoff.reset();
    }
    Err("the consumer of advisories has ended".into())
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
    let is_redriven = advisory.stream == DEAD.name;
    if !is_redriven && advisory.stream != Reads::of(group).stream() {
        return Ok(());
    }
    let before = if is_redriven {
        of_redriven(state, group, advisory.stream_seq).await?
    } else {
        let letter = of_change(state, group, advisory.stream_seq).await?;
        Some((letter, None))
    };
    let Some((before, was_redriven)) = before else {
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
    if let Some(subject) = was_redriven {
        let shelf = shelf::stream(&state.data).await?;
        shelf.purge().filter(subject).await?;
    }
    tracing::warn!(group = %group.id, task = %group.task_id, sequence = letter.sequence, attempts = letter.attempts,
        cause = letter.cause.as_str(), has_body = letter.body.is_some(), "change is a dead letter");
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
) -> Result<Option<(Letter, Option<String>)>, BoxError> {
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
    Ok(Some((letter, Some(message.subject.to_string()))))
}

async fn of_change(state: &State, group: &Group, sequence: u64) -> Result<Letter, BoxError> {
    let stream = held::stream(&state.data, &Reads::of(group)).await?;
    let found = shelf::found(stream.get_raw_message(sequence).await)?;
    Ok(match found {
        Some(message) => Letter::of_change(group.id.clone(), message),
        None => Letter::gone(group.id.clone(), sequence),
    })
}
