//! Puts away what an ordered group, or a partition of a keyed one, is to acknowledge next, so that it goes on behind it.
//!
//! A crash in between leaves the group where it was, and to ask again stores nothing twice.

use rowcast_bus::async_nats::jetstream::message::StreamMessage;
use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_proto::message::{self, GroupRequest, RpcError, SkipChangeRequest};
use rowcast_proto::rest::{DeadLetterCause, GroupMode};
use rowcast_service::BoxError;

use super::{database, find_live, shown};
use crate::put_away::{self, PutAwayError, Why};
use crate::reads::Reads;
use crate::standing::Standing;
use crate::state::State;
use crate::status::View;
use crate::store::group::Group;
use crate::{moving, own_consumers, standing, store, stuck};

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
    let why = Why {
        cause: DeadLetterCause::Skipped,
        attempts,
        reason: &question.reason,
        actor: &question.actor,
    };
    let (name, generation) = (&consumer.name, known.generation);
    match put_away::and_wish(&state, &group, name, messages, generation, &why).await {
        Ok(true) => {}
        Ok(false) => return Err(moved_meanwhile("the group's position was moved meanwhile")),
        Err(PutAwayError::Database(error)) => return Err(database(error)),
        Err(PutAwayError::Shelf(error)) => return Err(silent(&group, &error)),
    }
    tracing::warn!(group = %group.id, task = %group.task_id, actor = question.actor, sequence = question.sequence,
        attempts, "change is a dead letter, put away by hand");
    go_on(&state, &group).await?;
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
        let messages = put_away::next(&view.stream, consumer.acknowledged, &own.filter, u64::MAX)
            .await
            .map_err(|error| silent(group, &error))?;
        match messages.first().map(|message| message.sequence) {
            Some(first) if first == sequence => return Ok((consumer, messages)),
            Some(first) => others.push(first),
            None => {}
        }
    }
    Err(another(&others))
}

/// Carries out what is wished.
async fn go_on(state: &State, group: &Group) -> Result<(), RpcError> {
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
