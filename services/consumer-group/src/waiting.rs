//! Puts changes away that nats-server will not send again, or notes that they wait.
//!
//! ```text
//! exhausted ─▶ has the group room, and does the broker take it? ─▶ ROWCAST_DEAD
//!                  └─ not now ─▶ waiting_letters ─▶ every 5 s: the same question
//! ```
//!
//! What waits is a row of a table: it needs no room in the broker, holds no other group up, and loses nothing but what retention
//! removes from the task's stream meanwhile.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use rowcast_domain::GroupId;
use rowcast_service::{BoxError, CancellationToken};
use tokio::time::Instant;

use crate::letter::Letter;
use crate::reads::Reads;
use crate::state::State;
use crate::store::group::Group;
use crate::store::waiting::Told;
use crate::{held, shelf, store};

/// How often what waits is tried again.
const EVERY: Duration = Duration::from_secs(5);

/// Groups at a time.
const CONCURRENT: usize = 8;

/// Of each group, changes at a time.
const AT_A_TIME: i64 = 200;

/// How long those of one group are put away in a row: others may have begun to wait meanwhile.
const A_LOOK: Duration = Duration::from_secs(3);

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    Away,
    /// It is, and the audit log cannot be told of it now: all is to be done again, which puts nothing away twice.
    Untold,
    /// Its group has as many letters as it may. When the stream has stored it; `None` where it is not there any more.
    NoRoom(Option<i128>),
}

/// Puts a change away, or notes that it waits. Done twice it is the same.
pub(crate) async fn take(state: &State, group: &Group, mut told: Told) -> Result<(), BoxError> {
    if !state.rooms.is_left(&group.id).await {
        match put(state, group, &told).await {
            Ok(Put::Away) => return Ok(()),
            Ok(Put::Untold) => {
                return Err("a dead letter is not noted for the audit log yet".into());
            }
            Ok(Put::NoRoom(stored_at)) => {
                told.stored_at = stored_at;
                tracing::warn!(group = %group.id, task = %group.task_id, sequence = told.sequence,
                    "the group has as many dead letters as it may: one more waits until some are redriven or discarded");
            }
            Err(error) => {
                state.rooms.leave(&group.id).await;
                tracing::error!(group = %group.id, task = %group.task_id, sequence = told.sequence, %error,
                    "a change cannot be put away now, and waits");
            }
        }
    }
    store::waiting::insert(&state.pool, &group.id, &told).await?;
    Ok(())
}

/// Tries what waits again, until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        let tried = stop.run_until_cancelled(Box::pin(once(&state)));
        if let Some(Err(error)) = tried.await {
            tracing::warn!(%error, "what is to be a dead letter waits on");
        }
    }
    Ok(())
}

/// One copy of the service tries: the one whose transaction holds a lock of the database.
async fn once(state: &State) -> Result<(), BoxError> {
    let mut transaction = state.pool.begin().await?;
    let is_ours: bool = sqlx::query_scalar(
        "SELECT pg_try_advisory_xact_lock(hashtext(current_schema()), hashtext('waiting letters'))",
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !is_ours {
        return Ok(());
    }
    let groups = store::waiting::counts(&mut *transaction).await?;
    stream::iter(groups)
        .for_each_concurrent(CONCURRENT, |(group, _number)| async move {
            // The others are not held up.
            if let Err(error) = of_group(state, &group).await {
                tracing::warn!(group, %error, "what is to be a dead letter of the group waits on");
            }
        })
        .await;
    transaction.commit().await?;
    Ok(())
}

async fn of_group(state: &State, id: &str) -> Result<(), BoxError> {
    let id: GroupId = id.parse()?;
    let group = store::group::by_id(&state.pool, &id).await?;
    let Some(group) = group.filter(|group| group.deleted_at.is_none()) else {
        return Ok(());
    };
    let began = Instant::now();
    loop {
        let oldest = store::waiting::oldest(&state.pool, &id, AT_A_TIME).await?;
        if oldest.is_empty() {
            return Ok(());
        }
        for (number, told) in oldest {
            match put(state, &group, &told).await? {
                Put::Away => store::waiting::remove(&state.pool, number).await?,
                Put::Untold | Put::NoRoom(_) => return Ok(()),
            }
        }
        if began.elapsed() > A_LOOK {
            return Ok(());
        }
    }
}

async fn put(state: &State, group: &Group, told: &Told) -> Result<Put, BoxError> {
    let Told {
        sequence,
        stored_at,
        cause,
        attempts,
        error,
        advisory,
    } = told;
    let stream = held::stream(&state.data, &Reads::of(group)).await?;
    let found = shelf::found(stream.get_raw_message(*sequence).await)?;
    let found = found.map(|message| Letter::of_change(group.id.clone(), message));
    // Another message under the same sequence is of a stream that was made anew.
    let found = found.filter(|letter| stored_at.is_none_or(|at| at == letter.stored_at));
    let seen_at = found.as_ref().map(|letter| letter.stored_at).or(*stored_at);
    let letter = Letter {
        cause: *cause,
        attempts: *attempts,
        error: error.clone(),
        stored_at: seen_at.unwrap_or_default(),
        ..found.unwrap_or_else(|| Letter::gone(group.id.clone(), *sequence))
    };
    let shelf = shelf::stream(&state.data).await?;
    let needed = (1, letter.bytes());
    if !state.rooms.take(&shelf, &group.id, needed).await? {
        return Ok(Put::NoRoom(seen_at));
    }
    shelf::put(&state.data, &letter, Some(&format!("advisory-{advisory}"))).await?;
    if let Err(error) = store::untold::note(&state.pool, &letter).await {
        tracing::warn!(group = %group.id, task = %group.task_id, sequence, %error, "dead letter not noted for the audit log yet");
        return Ok(Put::Untold);
    }
    tracing::warn!(group = %group.id, task = %group.task_id, sequence, attempts, cause = cause.as_str(),
        has_body = letter.body.is_some(), "change is a dead letter");
    Ok(Put::Away)
}
