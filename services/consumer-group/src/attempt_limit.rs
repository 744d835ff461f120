//! Another number of attempts for a group that has consumers already.
//!
//! What was sent more often than a new, lower limit allows the server would go past without a word: it tells of a change
//! only when its count is just the limit (nats-server 2.15, `hasMaxDeliveries`). So a limit is lowered only while nothing
//! was sent twice, and nothing is sent meanwhile.

use std::time::{Duration, SystemTime};

use rowcast_bus::async_nats::jetstream::consumer::{Config, FromConsumer as _, Info};
use rowcast_bus::async_nats::jetstream::context::ConsumerInfoErrorKind;
use rowcast_proto::rest::GroupMode;
use rowcast_proto::stream::{group_consumer, redrive_consumer};
use rowcast_service::BoxError;

use crate::held::TaskStream;
use crate::reads::Reads;
use crate::standing::Standing;
use crate::state::State;
use crate::store::group::Group;
use crate::{consumer, held, redrive, shelf, store};

/// How long nothing is sent while a limit is lowered, at most.
const PAUSE: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    /// The consumers have the group's number.
    Yes,
    /// Something was sent more than once: a lower limit would lose it.
    NotYet,
}

/// Gives the group's consumers its number of attempts, as far as they are there.
pub(crate) async fn apply(state: &State, group: &Group) -> Result<Limited, BoxError> {
    let mut wanted = vec![(
        shelf::stream(&state.data).await?,
        redrive_consumer(&group.id),
        redrive::max_deliver(group),
    )];
    if group.mode == GroupMode::Shared {
        let stream = held::stream(&state.data, &Reads::of(group)).await?;
        let limit = consumer::max_deliver(group);
        wanted.insert(0, (stream, group_consumer(&group.id), limit));
    }
    for (stream, name, limit) in wanted {
        if one(&stream, &name, limit).await? == Limited::NotYet {
            return Ok(Limited::NotYet);
        }
    }
    Ok(Limited::Yes)
}

/// Gives a group's consumers its number of attempts where they have another: they were made by an older version, or a
/// crash came in between.
pub(crate) async fn mend(state: &State, group: &Group, consumers: &[&Standing]) {
    let limit = consumer::max_deliver(group);
    let is_same = |one: &&Standing| one.max_deliver == limit || (limit < 1 && one.max_deliver < 1);
    if consumers.iter().all(is_same) {
        return;
    }
    match locked(state, group).await {
        Ok(Limited::Yes) => {
            tracing::info!(group = %group.id, task = %group.task_id, limit, "attempts limited");
        }
        Ok(Limited::NotYet) => {
            tracing::debug!(group = %group.id, task = %group.task_id, limit, "attempts not limited yet");
        }
        // The others are not held up.
        Err(error) => {
            tracing::warn!(group = %group.id, task = %group.task_id, %error, "attempts not limited yet");
        }
    }
}

/// Whoever gives a consumer to another member, or moves it, changes its configuration too.
pub(crate) async fn locked(state: &State, group: &Group) -> Result<Limited, BoxError> {
    let mut transaction = state.pool.begin().await?;
    store::share::lock(&mut transaction, &group.id).await?;
    let Some(group) = store::group::by_id(&mut *transaction, &group.id).await? else {
        return Ok(Limited::Yes);
    };
    let limited = apply(state, &group).await?;
    transaction.commit().await?;
    Ok(limited)
}

async fn one(stream: &TaskStream, name: &str, limit: i64) -> Result<Limited, BoxError> {
    let Some(info) = look(stream, name).await? else {
        return Ok(Limited::Yes);
    };
    let was_repeated = info.num_redelivered > 0;
    let before = Config::try_from_consumer_config(info.config)?;
    if before.max_deliver == limit {
        return Ok(Limited::Yes);
    }
    let wanted = Config {
        max_deliver: limit,
        ..before.clone()
    };
    if is_higher(limit, before.max_deliver) {
        stream.update_consumer(wanted).await?;
        return Ok(Limited::Yes);
    }
    if was_repeated {
        return Ok(Limited::NotYet);
    }
    let paused = Config {
        pause_until: Some((SystemTime::now() + PAUSE).into()),
        ..before.clone()
    };
    stream.update_consumer(paused).await?;
    let was_repeated = stream.consumer_info(name).await?.num_redelivered > 0;
    let now = if was_repeated { before } else { wanted };
    stream.update_consumer(now).await?;
    Ok(if was_repeated {
        Limited::NotYet
    } else {
        Limited::Yes
    })
}

/// A consumer; `None` where it is missing.
pub(crate) async fn look(stream: &TaskStream, name: &str) -> Result<Option<Info>, BoxError> {
    match stream.consumer_info(name).await {
        Ok(info) => Ok(Some(info)),
        Err(error) => match error.kind() {
            ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound => Ok(None),
            ConsumerInfoErrorKind::InvalidName
            | ConsumerInfoErrorKind::Offline
            | ConsumerInfoErrorKind::Request
            | ConsumerInfoErrorKind::NoResponders
            | ConsumerInfoErrorKind::JetStream(_)
            | ConsumerInfoErrorKind::TimedOut => Err(error.into()),
        },
    }
}

/// Less than one is no limit.
const fn is_higher(limit: i64, before: i64) -> bool {
    limit < 1 || (before > 0 && limit > before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_the_highest() {
        assert!(is_higher(-1, 10) && is_higher(11, 10));
        assert!(!is_higher(10, -1) && !is_higher(9, 10));
    }
}
