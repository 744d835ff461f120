//! Makes consumers as the wanted groups say, again and again.
//!
//! A consumer can be missing for many reasons: the task was not started when the group was made, its
//! stream was made anew, NATS was away. Looking at everything, always, heals all of them.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use rowcast_service::{BoxError, CancellationToken};

use crate::reads::{self, Reads};
use crate::state::State;
use crate::store::group::Group;
use crate::{consumer, moving, own_consumers, store};

/// How often everything is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Tasks looked at at a time.
const CONCURRENT: usize = 8;

/// Reconciles until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        if let Some(Err(error)) = stop.run_until_cancelled(everything(&state)).await {
            tracing::warn!(error = %error, "groups not reconciled");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = state.changed.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    Ok(())
}

async fn everything(state: &State) -> Result<(), BoxError> {
    if let Err(error) = moving::unfinished(state).await {
        tracing::warn!(%error, "positions not moved yet");
    }
    let mut groups = store::group::wanted(&state.pool).await?;
    reads::sort(&mut groups);
    let by_task: Vec<&[Group]> = groups.chunk_by(reads::same).collect();
    stream::iter(by_task)
        .for_each_concurrent(CONCURRENT, |groups| async move {
            if let Some(first) = groups.first()
                && let Err(error) = task(state, &Reads::of(first), groups).await
            {
                // The other tasks are not held up.
                tracing::warn!(task = %first.task_id, error = %error, "groups not reconciled");
            }
        })
        .await;
    Ok(())
}

async fn task(state: &State, reads: &Reads, groups: &[Group]) -> Result<(), BoxError> {
    let found = consumer::names(&state.data, reads).await?;
    for group in groups {
        if !own_consumers::names(group).all(|name| found.contains(&name)) {
            make(state, group).await?;
        }
    }
    Ok(())
}

async fn make(state: &State, group: &Group) -> Result<(), BoxError> {
    // It may be deleted by now, and cleared: nobody would remove what is made.
    let there = store::group::by_id(&state.pool, &group.id).await?;
    if there.is_none_or(|group| group.deleted_at.is_some()) {
        return Ok(());
    }
    if consumer::create(&state.data, group).await? == consumer::Created::Yes {
        tracing::info!(group = %group.id, task = %group.task_id, "consumer made");
    }
    Ok(())
}
