//! Lists, shows, redrives and discards what a group could not deal with.

use std::time::Duration;

use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{Server, refuse};
use rowcast_proto::message::{
    DeadLetter, DeadLetterRequest, DeadLettersReply, GroupRequest, ListDeadLettersReply,
    ListDeadLettersRequest, RpcError,
};
use rowcast_proto::rpc::{DiscardDeadLetters, GetDeadLetter, ListDeadLetters, RedriveDeadLetters};
use rowcast_service::BoxError;
use tokio::time::Instant;

use super::find_live;
use crate::held::TaskStream;
use crate::shelf::{self, Kept};
use crate::state::State;
use crate::store::group::Group;
use crate::{attempt_limit, redrive};

/// Most letters of a question.
const MOST: u32 = 500;

/// Bytes of the largest body that is told: an answer is JSON with the body as base64, and a message has 1 MB.
const MOST_SHOWN: usize = 700 * 1024;

/// Bytes of letters after which a page ends, for the same reason.
const PAGE_BYTES: usize = 700 * 1024;

/// Bytes of bodies after which a page ends: NATS sends a letter only as a whole.
const MOST_READ: u64 = 16 * 1024 * 1024;

/// For how long letters are dealt with in a question; the caller asks again for what is left.
const LONGEST: Duration = Duration::from_secs(5);

/// What is done with letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Redrive,
    Discard,
}

pub(super) async fn serve(server: &mut Server, state: &State) -> Result<(), BoxError> {
    let shared = state.clone();
    server
        .add::<ListDeadLetters, _, _>(move |question| list(shared.clone(), question))
        .await?;
    let shared = state.clone();
    server
        .add::<GetDeadLetter, _, _>(move |question| get(shared.clone(), question))
        .await?;
    let shared = state.clone();
    server
        .add::<RedriveDeadLetters, _, _>(move |question| {
            Box::pin(answer(shared.clone(), question, Deed::Redrive))
        })
        .await?;
    let shared = state.clone();
    server
        .add::<DiscardDeadLetters, _, _>(move |question| {
            Box::pin(answer(shared.clone(), question, Deed::Discard))
        })
        .await?;
    Ok(())
}

async fn list(
    state: State,
    question: ListDeadLettersRequest,
) -> Result<ListDeadLettersReply, RpcError> {
    let named = GroupRequest {
        task_id: question.task_id,
        group_id: question.group_id,
        actor: String::new(),
    };
    let group = find_live(&state, &named).await?;
    if !(1..=MOST).contains(&question.limit) {
        let detail = format!("a page has 1 to {MOST} letters");
        return Err(refuse::invalid("limit_malformed", detail)
            .field("limit")
            .repair("give another limit"));
    }
    page(&state, &group, question.after, question.limit)
        .await
        .map_err(|error| silent(&group, &error))
}

async fn page(
    state: &State,
    group: &Group,
    after: u64,
    limit: u32,
) -> Result<ListDeadLettersReply, BoxError> {
    let shelf = shelf::stream(&state.data).await?;
    let mut reply = ListDeadLettersReply {
        total: shelf::count(&shelf, &group.id).await?,
        ..ListDeadLettersReply::default()
    };
    let mut last = after;
    let (mut told, mut read) = (0, 0);
    for _ in 0..limit {
        let Some(kept) = shelf::next(&shelf, &group.id, last).await? else {
            return Ok(reply);
        };
        last = kept.id;
        let letter = kept.letter.to_message(kept.id, kept.at, false);
        told += serde_json::to_vec(&letter)?.len();
        read += letter.bytes;
        reply.letters.push(letter);
        if told > PAGE_BYTES || read > MOST_READ {
            break;
        }
    }
    if shelf::next(&shelf, &group.id, last).await?.is_some() {
        reply.next_after = last;
    }
    Ok(reply)
}

async fn get(state: State, question: DeadLetterRequest) -> Result<DeadLetter, RpcError> {
    let group = find_live(&state, &named(&question)).await?;
    let kept = one(&state, &group, question.id).await?;
    let body = kept.letter.body.as_ref();
    let is_shown = body.is_none_or(|body| body.len() <= MOST_SHOWN);
    Ok(kept.letter.to_message(kept.id, kept.at, is_shown))
}

async fn answer(
    state: State,
    question: DeadLetterRequest,
    deed: Deed,
) -> Result<DeadLettersReply, RpcError> {
    let group = find_live(&state, &named(&question)).await?;
    let only = match question.id {
        0 => None,
        id => Some(id),
    };
    if let Some(id) = only {
        let kept = one(&state, &group, id).await?;
        if deed == Deed::Redrive {
            sendable(&kept)?;
        }
    }
    let done = carry_out(&state, &group, only, deed).await;
    let done = done.map_err(|error| silent(&group, &error))?;
    tracing::info!(group = %group.id, task = %group.task_id, actor = question.actor, ?deed, done = done.done,
        "dead letters dealt with");
    Ok(done)
}

/// With the one that is named, or the oldest ones. What is gone by now is done.
async fn carry_out(
    state: &State,
    group: &Group,
    only: Option<u64>,
    deed: Deed,
) -> Result<DeadLettersReply, BoxError> {
    let shelf = shelf::stream(&state.data).await?;
    if deed == Deed::Redrive {
        redrive::make_consumer(&shelf, group).await?;
        // It may have been made when the group had another number of attempts.
        attempt_limit::locked(state, group).await?;
    }
    let mut done = 0;
    if let Some(id) = only {
        if let Some(kept) = shelf::get(&shelf, &group.id, id).await? {
            done += deal(state, &shelf, &kept, deed).await?;
        }
    } else {
        let (begun, mut last) = (Instant::now(), 0);
        // Those that stay where they are do not count: who asks again would never get behind them.
        while done < u64::from(MOST) && begun.elapsed() < LONGEST {
            let Some(kept) = shelf::next(&shelf, &group.id, last).await? else {
                break;
            };
            last = kept.id;
            done += deal(state, &shelf, &kept, deed).await?;
        }
    }
    Ok(DeadLettersReply {
        done,
        left: shelf::count(&shelf, &group.id).await?,
    })
}

/// How many letters it was done with: none where it cannot be redriven.
async fn deal(state: &State, shelf: &TaskStream, kept: &Kept, deed: Deed) -> Result<u64, BoxError> {
    match deed {
        Deed::Redrive if sendable(kept).is_err() => return Ok(0),
        Deed::Redrive => redrive::one(&state.data, shelf, kept).await?,
        Deed::Discard => shelf::remove(shelf, kept).await?,
    }
    Ok(1)
}

/// Refuses what a group could not read.
fn sendable(kept: &Kept) -> Result<(), RpcError> {
    let (code, detail) = if kept.letter.body.is_none() {
        (
            "dead_letter_without_body",
            "the change was removed from the task's stream before it was put away",
        )
    } else if kept.letter.is_piece() {
        (
            "dead_letter_in_pieces",
            "it is a piece of a change that is larger than a message, and cannot be read alone",
        )
    } else {
        return Ok(());
    };
    Err(refuse::conflict(code, detail)
        .field("id")
        .repair("read the row from its table, then discard the letter"))
}

async fn one(state: &State, group: &Group, id: u64) -> Result<Kept, RpcError> {
    let found = async {
        let shelf = shelf::stream(&state.data).await?;
        shelf::get(&shelf, &group.id, id).await
    };
    let found = found.await.map_err(|error| silent(group, &error))?;
    found.ok_or_else(|| {
        let detail = format!("the group has no dead letter {id}");
        refuse::not_found("dead_letter_not_found", detail)
            .field("id")
            .repair("list the dead letters of the group: a letter has another number each time that it is put away")
    })
}

fn named(question: &DeadLetterRequest) -> GroupRequest {
    GroupRequest {
        task_id: question.task_id.clone(),
        group_id: question.group_id.clone(),
        actor: question.actor.clone(),
    }
}

fn silent(group: &Group, error: &BoxError) -> RpcError {
    tracing::error!(group = %group.id, task = %group.task_id, %error, "dead letters not reached");
    refuse::unavailable(
        "dead_letters",
        "NATS does not answer about the dead letters",
    )
    .repair("ask again in some seconds")
}
