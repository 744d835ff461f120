//! Puts away what an ordered group, or a partition of a keyed one, is to acknowledge next, so that it goes on behind it.
//!
//! The letter is stored first, then the position is moved: a crash in between leaves the group where it was, and to ask
//! again stores nothing twice.

use rowcast_bus::async_nats::jetstream::message::StreamMessage;
use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_domain::Position;
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::message::{self, GroupRequest, RpcError, SkipChangeRequest};
use rowcast_proto::rest::{DeadLetterCause, GroupMode};
use rowcast_service::BoxError;

use super::{database, find_live, shown};
use crate::letter::Letter;
use crate::reads::Reads;
use crate::standing::Standing;
use crate::state::State;
use crate::status::View;
use crate::store::group::Group;
use crate::{moving, own_consumers, shelf, standing, store, stuck};

/// Changes that a refusal names.
const NAMED: usize = 5;

pub(super) async fn answer(
    state: State,
    question: SkipChangeRequest,
) -> Result<message::Group, RpcError> {
    let named = GroupRequest {
        task_id: question.task_id.clone(),
        group_id: question.group_id.clone(),
        actor: question.actor.clone(),
    };
    let group = find_live(&state, &named).await?;
    if group.mode == GroupMode::Shared {
        return Err(not_ordered());
    }
    let ids = vec![group.id.to_string()];
    let known = store::standing::of(&state.pool, ids)
        .await
        .map_err(database)?
        .remove(group.id.as_str())
        .unwrap_or_default();
    if known.next_sequence.is_some() {
        return Err(moved_meanwhile(
            "a move of the group's position is under way",
        ));
    }
    let view = View::without_members(&state, &Reads::of(&group))
        .await
        .map_err(|error| silent(&group, &error))?;
    let (consumer, messages) = waits(&view, &group, question.sequence).await?;
    let attempts = stuck::attempts(known.seen.get(&consumer.name), consumer);
    let last = messages
        .last()
        .map_or(question.sequence, |one| one.sequence);
    let put = put_away(&state, &group, messages, attempts, &question.reason).await;
    put.map_err(|error| silent(&group, &error))?;
    tracing::warn!(group = %group.id, task = %group.task_id, actor = question.actor, sequence = question.sequence,
        attempts, "change is a dead letter, put away by hand");
    let to = (consumer.name.as_str(), last + 1);
    go_on(&state, &group, to, known.generation, &question.actor).await?;
    shown(&state, &group).await
}

/// The consumer that is to acknowledge this change next, and its messages.
async fn waits<'a>(
    view: &'a View,
    group: &Group,
    sequence: u64,
) -> Result<(&'a Standing, Vec<StreamMessage>), RpcError> {
    let mut others = Vec::new();
    for own in own_consumers::of(group) {
        let mut consumers = standing::of_group(&view.standings, &group.id);
        let Some(consumer) = consumers.find(|one| one.name == own.name) else {
            continue;
        };
        if consumer.unread() == 0 {
            continue;
        }
        // Of a partition that is known, and the message need not be read.
        if !consumer.reads_all && consumer.read_up_to + 1 != sequence {
            others.push(consumer.read_up_to + 1);
            continue;
        }
        let messages = next(view, group, (consumer.acknowledged, &own.filter)).await?;
        match messages.first().map(|message| message.sequence) {
            Some(first) if first == sequence => return Ok((consumer, messages)),
            Some(first) => others.push(first),
            None => {}
        }
    }
    Err(another(&others))
}

/// The messages of the change that is to be acknowledged next of what a consumer reads: several where it comes in pieces.
async fn next(
    view: &View,
    group: &Group,
    (acknowledged, filter): (u64, &str),
) -> Result<Vec<StreamMessage>, RpcError> {
    let read = async {
        let mut messages = Vec::new();
        let mut whole: Option<Position> = None;
        let mut sequence = acknowledged + 1;
        while let Some(message) = at_or_after(view, sequence, filter).await? {
            let piece = Change::read(&message.payload).ok();
            let piece = piece.filter(|change| change.op == Operation::Part);
            let id = piece.map(|change| change.id);
            if !messages.is_empty() && (id.is_none() || id != whole) {
                break;
            }
            sequence = message.sequence + 1;
            messages.push(message);
            whole = id;
            if whole.is_none() {
                break;
            }
        }
        Ok::<_, BoxError>(messages)
    };
    read.await.map_err(|error| silent(group, &error))
}

async fn at_or_after(
    view: &View,
    sequence: u64,
    filter: &str,
) -> Result<Option<StreamMessage>, BoxError> {
    let question = view.stream.raw_message_builder().sequence(sequence);
    shelf::found(question.next_by_subject(filter).send().await)
}

async fn put_away(
    state: &State,
    group: &Group,
    messages: Vec<StreamMessage>,
    attempts: u64,
    reason: &str,
) -> Result<(), BoxError> {
    for message in messages {
        let letter = Letter {
            cause: DeadLetterCause::Skipped,
            attempts,
            error: reason.to_owned(),
            ..Letter::of_change(group.id.clone(), message)
        };
        shelf::put(&state.data, &letter, None).await?;
    }
    Ok(())
}

/// The consumer to its next message, unless somebody has moved the group since it was at `generation`.
async fn go_on(
    state: &State,
    group: &Group,
    to: (&str, u64),
    generation: u64,
    actor: &str,
) -> Result<(), RpcError> {
    let wished = async {
        let mut connection = state.pool.acquire().await?;
        store::standing::wish_forward(&mut connection, &group.id, to, generation, actor).await
    };
    if !wished.await.map_err(database)? {
        return Err(moved_meanwhile(
            "the change is put away, and the group's position was moved meanwhile",
        ));
    }
    if let Err(error) = Box::pin(moving::carry_out(state, group)).await {
        tracing::warn!(group = %group.id, task = %group.task_id, %error, "position not moved yet");
        state.changed.notify_one();
        return Err(refuse::unavailable(
            "move_pending",
            "the change is put away, and the group goes on behind it as soon as NATS lets it",
        )
        .repair("look at the group's position in some seconds"));
    }
    Ok(())
}

fn not_ordered() -> RpcError {
    refuse::conflict(
        "group_not_ordered",
        "in a shared group no change holds others up",
    )
    .repair("wait until it was sent as often as the group allows, or give it up")
}

fn moved_meanwhile(detail: &str) -> RpcError {
    refuse::conflict("move_pending", detail).repair(
        "look at the group's position in some seconds, and whether the change still holds it up",
    )
}

fn another(next: &[u64]) -> RpcError {
    let shown: Vec<String> = next.iter().take(NAMED).map(u64::to_string).collect();
    let detail = match next {
        [] => "the group has acknowledged all that the stream holds".to_owned(),
        [one] => format!("the group is to acknowledge {one} next"),
        [_, _, ..] if next.len() <= NAMED => format!(
            "the partitions of the group are to acknowledge {} next",
            shown.join(", ")
        ),
        [_, _, ..] => format!(
            "the partitions of the group are to acknowledge {} and {} more next",
            shown.join(", "),
            next.len() - NAMED
        ),
    };
    refuse::conflict("not_next", detail)
        .field("sequence")
        .repair("look at the group again: what is stuck may have been acknowledged")
}

fn silent(group: &Group, error: &BoxError) -> RpcError {
    tracing::error!(group = %group.id, task = %group.task_id, %error, "change not put away");
    refuse::unavailable("dead_letters", "NATS does not let the change be put away")
        .repair("ask again in some seconds")
}
