//! Removes what deleted groups have, and looks at them for a minute more.
//!
//! Their connections come first, of all groups, and before anything that a stream without a leader can hold up: nobody reads
//! who may not.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt as _, StreamExt as _, stream};
use rowcast_domain::GroupId;
use rowcast_service::{BoxError, CancellationToken};

use crate::state::State;
use crate::store::group::Group;
use crate::{connection, consumer, kick, own_stream, redrive, store};

/// How often they are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Groups at a time of which something is removed.
const REMOVED: usize = 8;

/// Groups at a time whose connections are closed: little but waiting, for servers that do not answer.
const CLOSED: usize = 64;

/// A deleted group is looked at for this long: longer than any login that began before takes.
const CLEAR_AFTER: TimeDelta = TimeDelta::seconds(60);

/// Since when there was no connection of a deleted group.
type LastCut = Mutex<HashMap<GroupId, DateTime<Utc>>>;

/// Clears until told to stop. What is removed holds up no closing of connections.
pub(crate) async fn run(state: State, stop: CancellationToken) -> Result<(), BoxError> {
    let last_cut = LastCut::default();
    let closing = async {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = stop.run_until_cancelled(cut_all(&state, &last_cut)).await {
                tracing::warn!(%error, "connections of deleted groups not closed yet");
            }
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        }
    };
    let clearing = async {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = stop.run_until_cancelled(clear_all(&state, &last_cut)).await {
                tracing::warn!(%error, "deleted groups not cleared yet");
            }
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        }
    };
    tokio::join!(closing, clearing);
    Ok(())
}

async fn cut_all(state: &State, last_cut: &LastCut) -> Result<(), BoxError> {
    let groups = store::group::deleted(&state.pool).await?;
    let began = Utc::now();
    let cut = cut_off(state, &groups).await;
    let mut last = last_cut.lock().unwrap_or_else(PoisonError::into_inner);
    last.retain(|id, _at| groups.iter().any(|group| group.id == *id));
    last.extend(cut.into_iter().map(|id| (id, began)));
    Ok(())
}

/// Closes the connections of deleted groups, and tells of which that was done.
pub(crate) async fn cut_off(state: &State, groups: &[Group]) -> Vec<GroupId> {
    let cuts: Vec<_> = groups
        .iter()
        .map(|group| cut(state, group).boxed())
        .collect();
    stream::iter(cuts)
        .buffer_unordered(CLOSED)
        .filter_map(std::future::ready)
        .collect()
        .await
}

async fn cut(state: &State, group: &Group) -> Option<GroupId> {
    let login = connection::login(&group.account, &group.id);
    match kick::login(&state.system, &login).await {
        Ok(_closed) => Some(group.id.clone()),
        Err(error) => {
            tracing::warn!(group = %group.id, task = %group.task_id, %error, "connections not closed yet");
            None
        }
    }
}

async fn clear_all(state: &State, last_cut: &LastCut) -> Result<(), BoxError> {
    let groups = store::group::deleted(&state.pool).await?;
    stream::iter(&groups)
        .for_each_concurrent(REMOVED, |group| async move {
            if let Err(error) = clear(state, group, last_cut).await {
                // The others are not held up.
                tracing::warn!(group = %group.id, task = %group.task_id, %error, "group not cleared yet");
            }
        })
        .await;
    Ok(())
}

/// Removes what a group has. Once its connections were closed behind every login of before, it notes that nothing is left.
async fn clear(state: &State, group: &Group, last_cut: &LastCut) -> Result<(), BoxError> {
    remove(state, group).await?;
    let last_cut = {
        let last = last_cut.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(&group.id).copied()
    };
    if let Some((deleted_at, last_cut)) = group.deleted_at.zip(last_cut)
        && is_over(deleted_at, last_cut)
    {
        let mut transaction = state.pool.begin().await?;
        store::share::forget(&mut transaction, &group.id).await?;
        store::group::clear(&mut *transaction, &group.id, Utc::now()).await?;
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
