//! Puts away what a consumer is to acknowledge next, so that it goes on behind it: because a person wishes it, or because
//! it was sent as often as a group allows that does not wait for one.
//!
//! ```text
//! wish in the table, uncommitted ─▶ letter stored ─▶ commit ─▶ moving
//! ```
//!
//! The wish comes first: whoever else wishes a move waits for it, or is seen. A crash before the commit leaves the group
//! where it was, and what is put away once more is the same letter for NATS; one behind it leaves the move to the reconciler.

use std::time::Duration;

use rowcast_bus::async_nats::jetstream::message::StreamMessage;
use rowcast_domain::Position;
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::rest::{DeadLetterCause, GroupMode, OnExhausted};
use rowcast_service::BoxError;
use tokio::time::Instant;

use crate::held::TaskStream;
use crate::letter::Letter;
use crate::own_consumers::{self, OwnConsumer};
use crate::reads::Reads;
use crate::standing::{self, Standing};
use crate::state::State;
use crate::status::View;
use crate::store::group::Group;
use crate::store::standing::Known;
use crate::{moving, shelf, store, stuck};

/// For how long changes of one group are put away at a look.
const AT_A_LOOK: Duration = Duration::from_secs(3);

/// Who moves a group that puts away by itself.
const ACTOR: &str = "service:consumer-group";

/// Why a change is put away.
#[derive(Debug)]
pub(crate) struct Why<'a> {
    pub(crate) cause: DeadLetterCause,
    /// How often it was sent, at least.
    pub(crate) attempts: u64,
    /// What is known of it, in a sentence.
    pub(crate) reason: &'a str,
    /// Who wishes it.
    pub(crate) actor: &'a str,
}

/// Why nothing was put away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutAwayError {
    /// The table is not written.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The letter is not stored.
    #[error(transparent)]
    Shelf(BoxError),
}

/// The messages of the change that is to be acknowledged next of what a consumer reads: several where it comes in pieces, of
/// which no more are read than one above `most` bytes.
pub(crate) async fn next(
    stream: &TaskStream,
    acknowledged: u64,
    filter: &str,
    most: u64,
) -> Result<Vec<StreamMessage>, BoxError> {
    let mut messages = Vec::new();
    let mut bytes = 0_u64;
    let mut whole: Option<Position> = None;
    let mut sequence = acknowledged + 1;
    while let Some(message) = at_or_after(stream, sequence, filter).await? {
        let piece = Change::read(&message.payload).ok();
        let piece = piece.filter(|change| change.op == Operation::Part);
        let id = piece.map(|change| change.id);
        if !messages.is_empty() && (id.is_none() || id != whole) {
            break;
        }
        sequence = message.sequence + 1;
        bytes = bytes.saturating_add(message.payload.len() as u64);
        messages.push(message);
        whole = id;
        if whole.is_none() || bytes > most {
            break;
        }
    }
    Ok(messages)
}

async fn at_or_after(
    stream: &TaskStream,
    sequence: u64,
    filter: &str,
) -> Result<Option<StreamMessage>, BoxError> {
    let question = stream.raw_message_builder().sequence(sequence);
    shelf::found(question.next_by_subject(filter).send().await)
}

/// Puts these messages away and wishes that the consumer goes on behind them; `false`, and nothing is done, where somebody
/// has moved the group since it was at `generation`, or is about to.
pub(crate) async fn and_wish(
    state: &State,
    group: &Group,
    consumer: &str,
    messages: Vec<StreamMessage>,
    generation: u64,
    why: &Why<'_>,
) -> Result<bool, PutAwayError> {
    let Some(last) = messages.last().map(|message| message.sequence) else {
        return Ok(false);
    };
    let mut transaction = state.pool.begin().await?;
    let to = (consumer, last + 1);
    let wished =
        store::standing::wish_forward(&mut transaction, &group.id, to, generation, why.actor);
    if !wished.await? {
        return Ok(false);
    }
    for message in messages {
        let letter = Letter {
            cause: why.cause,
            attempts: why.attempts,
            error: why.reason.to_owned(),
            ..Letter::of_change(group.id.clone(), message)
        };
        // Behind any move it is another one: what comes again then and fails again is not lost for having been put away.
        let source = format!(
            "put-away-{}-{generation}-{}-{}",
            group.id, letter.sequence, letter.stored_at
        );
        shelf::put(&state.data, &letter, Some(&source))
            .await
            .map_err(PutAwayError::Shelf)?;
        // What a person wishes is a request, which is on record.
        if why.actor == ACTOR {
            store::untold::note(&mut *transaction, &letter).await?;
        }
    }
    transaction.commit().await?;
    Ok(true)
}

/// Puts away what the group's consumers are stuck at that was sent as often as the group allows, where it does not wait for a
/// person; tells how many changes it was.
pub(crate) async fn exhausted(
    state: &State,
    group: &Group,
    view: &View,
    known: &Known,
) -> Result<usize, BoxError> {
    if !puts_away(group) {
        return Ok(0);
    }
    let most = u64::from(group.max_deliver);
    let stuck = view.held_up(group, &known.seen, most).await?;
    let mut put_away = 0;
    let begun = Instant::now();
    for own in own_consumers::of(group) {
        if begun.elapsed() > AT_A_LOOK {
            // The others are not to wait; the rest comes at the next look.
            break;
        }
        let is_stuck = stuck.iter().any(|stuck| stuck.consumer == own.name);
        if is_stuck && Box::pin(one(state, group, &own)).await? {
            put_away += 1;
        }
    }
    Ok(put_away)
}

/// A group that sends without limit exhausts nothing, and of a shared one nats-server tells.
fn puts_away(group: &Group) -> bool {
    group.on_exhausted == OnExhausted::DeadLetter
        && group.mode != GroupMode::Shared
        && group.max_deliver > 0
        && group.deleted_at.is_none()
}

/// Looks at one consumer anew: another one was moved before it, or it has gone on by itself.
async fn one(state: &State, before: &Group, own: &OwnConsumer) -> Result<bool, BoxError> {
    let Some(group) = store::group::by_id(&state.pool, &before.id).await? else {
        return Ok(false);
    };
    if !puts_away(&group) {
        return Ok(false);
    }
    let ids = vec![group.id.to_string()];
    let known = store::standing::of(&state.pool, ids).await?;
    let Some(known) = known.get(group.id.as_str()) else {
        return Ok(false);
    };
    if known.next_sequence.is_some() {
        return Ok(false);
    }
    let view = View::without_members(state, &Reads::of(&group)).await?;
    let mut consumers = standing::of_group(&view.standings, &group.id);
    let Some(consumer) = consumers.find(|one| one.name == own.name) else {
        return Ok(false);
    };
    let attempts = stuck::attempts(known.seen.get(&own.name), consumer);
    if attempts < u64::from(group.max_deliver) {
        return Ok(false);
    }
    // What is larger than its share stays, for a person to skip.
    let most = state.rooms.bytes();
    let messages = next(&view.stream, consumer.acknowledged, &own.filter, most).await?;
    if !is_of_consumer(&messages, consumer) {
        return Ok(false);
    }
    let sequence = messages.first().map_or(0, |message| message.sequence);
    if !has_room(state, &group, &messages).await? {
        tracing::warn!(group = %group.id, task = %group.task_id, sequence,
            "the group has no room for one more dead letter: it is blocked until some are redriven or discarded, or the change is skipped");
        return Ok(false);
    }
    let reason = format!("It was sent {attempts} times or more, and was not acknowledged.");
    let why = Why {
        cause: DeadLetterCause::Exhausted,
        attempts,
        reason: &reason,
        actor: ACTOR,
    };
    if !and_wish(state, &group, &own.name, messages, known.generation, &why).await? {
        return Ok(false);
    }
    tracing::warn!(group = %group.id, task = %group.task_id, consumer = own.name, sequence, attempts,
        cause = DeadLetterCause::Exhausted.as_str(), "change is a dead letter");
    if let Err(error) = Box::pin(moving::carry_out(state, &group)).await {
        tracing::warn!(group = %group.id, task = %group.task_id, %error, "position not moved yet");
        state.changed.notify_one();
    }
    Ok(true)
}

/// Whether the group may have these as dead letters too. What a person puts away is not asked about.
async fn has_room(
    state: &State,
    group: &Group,
    messages: &[StreamMessage],
) -> Result<bool, BoxError> {
    let bytes: usize = messages.iter().map(|message| message.payload.len()).sum();
    let shelf = shelf::stream(&state.data).await?;
    let needed = (u64::try_from(messages.len())?, u64::try_from(bytes)?);
    state.rooms.take(&shelf, &group.id, needed).await
}

/// Whether the consumer was sent the first of these messages: of another, behind what retention has removed, the attempts
/// that were counted say nothing.
fn is_of_consumer(messages: &[StreamMessage], consumer: &Standing) -> bool {
    let first = messages.first().map(|message| message.sequence);
    first.is_some_and(|first| consumer.in_flight > 0 && first <= consumer.delivered)
}
