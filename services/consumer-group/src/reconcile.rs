//! Makes consumers as the wanted groups say, again and again.
//!
//! A consumer can be missing for many reasons: the task was not started when the group was made, its
//! stream was made anew, NATS was away. A deleted group can have a member whose login was judged in
//! the moment of the deletion. Looking at everything, always, heals all of them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, stream};
use rowcast_service::{BoxError, CancellationToken};

use crate::reads::{self, Reads};
use crate::state::State;
use crate::store::group::Group;
use crate::{connection, consumer, kick, moving, own_consumers, own_stream, redrive, store};

/// How often everything is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Tasks looked at at a time.
const CONCURRENT: usize = 8;

/// A deleted group is looked at for this long: longer than any login that began before takes.
const CLEAR_AFTER: TimeDelta = TimeDelta::seconds(60);

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
    let mut groups = store::group::open(&state.pool).await?;
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
    let (deleted, wanted): (Vec<&Group>, Vec<&Group>) =
        groups.iter().partition(|group| group.deleted_at.is_some());
    // All at once, where a task was released with them.
    stream::iter(deleted)
        .for_each_concurrent(CONCURRENT, |group| async move {
            if let Some(deleted_at) = group.deleted_at
                && let Err(error) = clear(state, group, deleted_at).await
            {
                // Neither the others, nor those that are wanted, are held up.
                tracing::warn!(group = %group.id, task = %group.task_id, %error, "group not cleared yet");
            }
        })
        .await;
    if wanted.is_empty() {
        return Ok(());
    }
    let found = consumer::names(&state.data, reads).await?;
    for group in wanted {
        if !own_consumers::names(group).all(|name| found.contains(&name)) {
            make(state, group).await?;
        }
    }
    Ok(())
}

/// Removes what a deleted group has, and once it was looked at for long enough notes that nothing is left.
async fn clear(state: &State, group: &Group, deleted_at: DateTime<Utc>) -> Result<(), BoxError> {
    remove(state, group).await?;
    let now = Utc::now();
    if is_over(deleted_at, now) {
        let mut transaction = state.pool.begin().await?;
        store::share::forget(&mut transaction, &group.id).await?;
        store::group::clear(&mut *transaction, &group.id, now).await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn make(state: &State, group: &Group) -> Result<(), BoxError> {
    if consumer::create(&state.data, group).await? == consumer::Created::Yes {
        tracing::info!(group = %group.id, task = %group.task_id, "consumer made");
    }
    Ok(())
}

/// Removes what a deleted group has in NATS: first its connections, then its consumers and its own stream, then its dead
/// letters. What fails holds up nothing of the rest.
///
/// # Errors
/// The first one.
pub(crate) async fn remove(state: &State, group: &Group) -> Result<(), BoxError> {
    let login = connection::login(&group.account, &group.id);
    let closed = kick::login(&state.system, &login).await;
    let consumers = consumer::delete(&state.data, group).await;
    let own_stream = own_stream::remove(&state.data, group).await;
    let letters = redrive::remove_all(&state.data, &group.id).await;
    let waiting = store::waiting::forget(&state.pool, &group.id).await;
    let removed = closed.map(drop).and(consumers).and(own_stream).and(letters);
    removed.and(waiting.map(drop).map_err(Into::into))
}

fn is_over(deleted_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - deleted_at > CLEAR_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_group_is_looked_at_for_a_minute() {
        let deleted_at = DateTime::UNIX_EPOCH;
        assert!(!is_over(deleted_at, deleted_at + TimeDelta::seconds(60)));
        assert!(is_over(deleted_at, deleted_at + TimeDelta::seconds(61)));
    }
}
