//! Removes what deleted groups have, and looks at them for a minute more.
//!
//! Their connections come first, of all groups, and before anything that a stream without a leader can hold up: nobody reads
//! who may not.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, stream};
use rowcast_service::{BoxError, CancellationToken};

use crate::state::State;
use crate::store::group::Group;
use crate::{connection, consumer, kick, own_stream, redrive, store};

/// How often they are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Groups at a time.
const CONCURRENT: usize = 8;

/// A deleted group is looked at for this long: longer than any login that began before takes.
const CLEAR_AFTER: TimeDelta = TimeDelta::seconds(60);

/// Clears until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        if let Some(Err(error)) = stop.run_until_cancelled(all(&state)).await {
            tracing::warn!(%error, "deleted groups not cleared yet");
        }
        stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
    Ok(())
}

async fn all(state: &State) -> Result<(), BoxError> {
    let groups = store::group::deleted(&state.pool).await?;
    cut_off(state, &groups).await;
    stream::iter(&groups)
        .for_each_concurrent(CONCURRENT, |group| async move {
            if let Err(error) = clear(state, group).await {
                // The others are not held up.
                tracing::warn!(group = %group.id, task = %group.task_id, %error, "group not cleared yet");
            }
        })
        .await;
    Ok(())
}

/// Closes the connections of deleted groups; those that it cannot close are closed when it is looked again.
pub(crate) async fn cut_off(state: &State, groups: &[Group]) {
    stream::iter(groups)
        .for_each_concurrent(CONCURRENT, |group| async move {
            let login = connection::login(&group.account, &group.id);
            if let Err(error) = kick::login(&state.system, &login).await {
                tracing::warn!(group = %group.id, task = %group.task_id, %error, "connections not closed yet");
            }
        })
        .await;
}

/// Removes what a group has, and once it was looked at for long enough notes that nothing is left.
async fn clear(state: &State, group: &Group) -> Result<(), BoxError> {
    remove(state, group).await?;
    let now = Utc::now();
    if group.deleted_at.is_some_and(|at| is_over(at, now)) {
        let mut transaction = state.pool.begin().await?;
        store::share::forget(&mut transaction, &group.id).await?;
        store::group::clear(&mut *transaction, &group.id, now).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Removes what a deleted group has in NATS besides its connections: its consumers and its own stream, then its dead letters.
/// What fails holds up nothing of the rest.
///
/// # Errors
/// The first one.
pub(crate) async fn remove(state: &State, group: &Group) -> Result<(), BoxError> {
    let consumers = consumer::delete(&state.data, group).await;
    let own_stream = own_stream::remove(&state.data, group).await;
    let letters = redrive::remove_all(&state.data, &group.id).await;
    let waiting = store::waiting::forget(&state.pool, &group.id).await;
    let removed = consumers.and(own_stream).and(letters);
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
