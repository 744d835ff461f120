//! Moves the position of a group.
//!
//! ```text
//! wish in the table ─▶ consumers: number of the move, paused ─▶ members cut off ─▶ consumers: reset ─▶ done, told of
//! ```
//!
//! The wish is written first, and the reconciler carries out what a crash has left. A reset (nats-server 2.14,
//! `CONSUMER.RESET`) keeps the consumer, so there is no moment without it. Done twice it is the same, but for
//! what members have read in between, which they are sent again.
//!
//! An acknowledgement from before the move names messages of the stream and would count for what is sent after it,
//! unread. So members are cut off before, and the consumer is paused for longer than a client takes to come back and
//! send what it still had to say: the server ignores acknowledgements of what it has not sent yet. Rowcast's SDK reads
//! the number of the move and gives up what it had.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use rowcast_bus::event_meta;
use rowcast_proto::message::{GroupMoved, GroupStateChanged};
use rowcast_proto::stream::GENERATION;
use rowcast_service::BoxError;

use crate::gap::Level;
use crate::held::TaskStream;
use crate::reads::Reads;
use crate::state::State;
use crate::status::state_of;
use crate::store::group::Group;
use crate::store::standing::Known;
use crate::{connection, held, kick, outbox, own_consumers, standing, store};

/// How long nothing is sent after members were cut off; also where nobody was, for who is not connected at the moment may
/// still have something to say.
const PAUSE: Duration = Duration::from_secs(5);

/// Consumers at a time: those of a keyed group are done well within the pause.
const AT_A_TIME: usize = 16;

/// Carries out the move that is wished of a group, if there is one. Another copy that is at it is waited for.
pub(crate) async fn carry_out(state: &State, group: &Group) -> Result<(), BoxError> {
    store::standing::begin_attempt(&state.pool, &group.id).await?;
    let mut transaction = state.pool.begin().await?;
    let Some(known) = store::standing::lock_wish(&mut transaction, &group.id).await? else {
        return Ok(());
    };
    // Whoever gives a consumer to another member changes its configuration too.
    store::share::lock(&mut transaction, &group.id).await?;
    let next_sequence = known.next_sequence.unwrap_or(1);
    let reads = Reads::of(group);
    let of_task = held::stream(&state.data, &reads).await?;
    let Some(held) = held::look(&state.data, &reads).await? else {
        return Err("there is no stream".into());
    };
    if next_sequence > held.last + 1 {
        // It was meant for a stream that is no longer there: in this one it would go over what was never read.
        store::standing::moved(&mut transaction, &group.id).await?;
        transaction.commit().await?;
        tracing::warn!(group = %group.id, task = %group.task_id, next_sequence, last_sequence = held.last,
            "a move that the stream does not reach any more is given up");
        return Ok(());
    }
    let standings = standing::of_stream(&of_task, &reads).await?;
    let names = moved_ones(group, &known);
    let consumers = standing::of_group(&standings, &group.id);
    let consumers = consumers.filter(|one| names.contains(&one.name));
    let before = standing::position(consumers.clone());
    let present: HashSet<&str> = consumers.map(|one| one.name.as_str()).collect();
    if !names.iter().all(|name| present.contains(name.as_str())) {
        return Err("the group does not have all of its consumers yet".into());
    }
    let announced = names.clone().into_iter();
    let announced = announced.map(|name| announce(&of_task, name, known.generation).boxed());
    all(announced.collect()).await?;
    let login = connection::login(&group.account, &group.id);
    let cut_off = kick::login(&state.system, &login).await?;
    let next_sequence = if known.is_forward {
        // Nobody acknowledges anything any more.
        let standings = standing::of_stream(&of_task, &reads).await?;
        let moved = standing::of_group(&standings, &group.id);
        let moved = moved.filter(|one| names.contains(&one.name));
        let acknowledged = moved.map(|one| one.acknowledged).max();
        next_sequence.max(acknowledged.unwrap_or_default() + 1)
    } else {
        next_sequence
    };
    let reset = names.into_iter();
    let reset = reset.map(|name| reset_to(&of_task, name, next_sequence).boxed());
    all(reset.collect()).await?;
    store::standing::moved(&mut transaction, &group.id).await?;
    let event = GroupMoved {
        meta: Some(event_meta()),
        group_id: group.id.to_string(),
        group_name: group.name.clone(),
        task_id: group.task_id.to_string(),
        actor: known.moved_by.clone(),
        acknowledged_sequence: before.acknowledged_sequence,
        next_sequence,
        generation: known.generation,
    };
    outbox::append(&mut transaction, &event).await?;
    if let Some(event) = ended(group, &known) {
        outbox::append(&mut transaction, &event).await?;
    }
    transaction.commit().await?;
    tracing::info!(group = %group.id, task = %group.task_id, actor = known.moved_by, next_sequence,
        acknowledged_sequence = before.acknowledged_sequence, connections = cut_off, "position moved");
    Ok(())
}

/// The consumers that the move is of, by name.
fn moved_ones(group: &Group, known: &Known) -> Vec<String> {
    match &known.consumer {
        Some(one) => vec![one.clone()],
        None => own_consumers::names(group).collect(),
    }
}

/// Does all of these, some at a time.
async fn all(deeds: Vec<BoxFuture<'_, Result<(), BoxError>>>) -> Result<(), BoxError> {
    stream::iter(deeds)
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

/// Carries out what a crash, or NATS, has left undone.
pub(crate) async fn unfinished(state: &State) -> Result<(), BoxError> {
    for id in store::standing::moving(&state.pool).await? {
        let Some(group) = store::group::by_id(&state.pool, &id.parse()?).await? else {
            continue;
        };
        if let Err(error) = Box::pin(carry_out(state, &group)).await {
            // The others are not held up.
            tracing::warn!(group = %group.id, task = %group.task_id, %error, "position not moved yet");
        }
    }
    Ok(())
}

/// Tells the consumer's members of the move, and sends them nothing for now.
async fn announce(stream: &TaskStream, name: String, generation: u64) -> Result<(), BoxError> {
    let mut config = stream.consumer_info(&name).await?.config;
    config
        .metadata
        .insert(GENERATION.to_owned(), generation.to_string());
    config.pause_until = Some((SystemTime::now() + PAUSE).into());
    stream.update_consumer(config).await?;
    Ok(())
}

async fn reset_to(stream: &TaskStream, name: String, next: u64) -> Result<(), BoxError> {
    stream.reset_consumer(&name, Some(next)).await?;
    Ok(())
}

/// A group that was moved is judged anew.
fn ended(group: &Group, known: &Known) -> Option<GroupStateChanged> {
    (known.level != Level::Ok).then(|| GroupStateChanged {
        meta: Some(event_meta()),
        group_id: group.id.to_string(),
        group_name: group.name.clone(),
        task_id: group.task_id.to_string(),
        from: state_of(known.level).into(),
        to: state_of(Level::Ok).into(),
        reason: "The position was moved.".to_owned(),
        warning: Some(String::new()),
        dead_letters: None,
    })
}
