//! Sends dead letters to their groups once more.
//!
//! ```text
//! letter ─▶ rowcast.redrive.<group>.<number> ─▶ the group's consumer d_<group> ─▶ acknowledged: removed
//!        (then the letter is removed)                                          └▶ exhausted: a letter again
//! ```
//!
//! A message that is on its way has the letter's number in its subject, and stays until its letter is gone: so a redrive
//! that a crash has cut off in the middle, and is asked for again, sends nothing twice.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::TryStreamExt as _;
use rowcast_bus::Bus;
use rowcast_bus::async_nats::jetstream::ErrorCode;
use rowcast_bus::async_nats::jetstream::consumer::{AckPolicy, pull};
use rowcast_bus::async_nats::jetstream::stream::PurgeErrorKind;
use rowcast_domain::GroupId;
use rowcast_proto::rest::GroupMode;
use rowcast_proto::stream::{ADVISORIES, DEAD, redrive_consumer};
use rowcast_proto::subject;
use rowcast_service::{BoxError, CancellationToken};

use crate::consumer::{self, ACK_WAIT};
use crate::held::TaskStream;
use crate::shelf::{self, Kept};
use crate::state::State;
use crate::store::group::Group;
use crate::{attempt_limit, exhausted};

/// How often is looked what was acknowledged.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// Messages of a shared group on their way at a time; of another group one, so that they come in order.
const SHARED_MAX_ACK_PENDING: i64 = 1000;

/// How often what is redriven is sent to a group without a number of attempts.
const UNLESS_LIMITED: i64 = 10;

/// Sends a letter to its group, whose consumer is there then. Done twice it is the same.
pub(crate) async fn one(data: &Bus, shelf: &TaskStream, kept: &Kept) -> Result<(), BoxError> {
    shelf::send(data, kept).await?;
    shelf::remove(shelf, kept).await
}

/// Makes the consumer that a group reads what is redriven with, where it is missing.
pub(crate) async fn make_consumer(shelf: &TaskStream, group: &Group) -> Result<(), BoxError> {
    let name = redrive_consumer(&group.id);
    let config = pull::Config {
        durable_name: Some(name.clone()),
        description: Some(format!(
            "redriven dead letters of consumer group {}",
            group.id
        )),
        filter_subject: subject::redriven_of(&group.id),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: match group.mode {
            GroupMode::Ordered | GroupMode::Keyed => 1,
            GroupMode::Shared => SHARED_MAX_ACK_PENDING,
        },
        max_deliver: max_deliver(group),
        ..pull::Config::default()
    };
    shelf.get_or_create_consumer(&name, config).await?;
    Ok(())
}

/// How often the server sends what is redriven: then it is a letter again, in any mode. Never without end: what nobody
/// can read would hold up all behind it.
pub(crate) fn max_deliver(group: &Group) -> i64 {
    match group.max_deliver {
        0 => UNLESS_LIMITED,
        number => number.into(),
    }
}

/// Removes all that a deleted group has: letters, what is on its way, its consumer.
pub(crate) async fn remove_all(data: &Bus, group: &GroupId) -> Result<(), BoxError> {
    let shelf = shelf::stream(data).await?;
    for subjects in [subject::redriven_of(group), subject::dead_letters(group)] {
        match shelf.purge().filter(subjects).await {
            Ok(_purged) => {}
            Err(error) => match error.kind() {
                // The service has just begun to run for the first time.
                PurgeErrorKind::JetStream(cause)
                    if cause.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    return Ok(());
                }
                PurgeErrorKind::JetStream(_)
                | PurgeErrorKind::Request
                | PurgeErrorKind::TimedOut => return Err(error.into()),
            },
        }
    }
    match shelf.delete_consumer(&redrive_consumer(group)).await {
        Ok(_status) => Ok(()),
        Err(error) if consumer::is_missing(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes what was acknowledged, until told to stop.
pub(crate) async fn tidy(state: State, stop: CancellationToken) -> Result<(), BoxError> {
    let mut floors = HashMap::new();
    while !stop.is_cancelled() {
        stop.run_until_cancelled(tokio::time::sleep(TIDY_EVERY))
            .await;
        let tidied = stop.run_until_cancelled(Box::pin(once(&state, &mut floors)));
        if let Some(Err(error)) = tidied.await {
            tracing::debug!(%error, "redriven letters not looked at");
        }
    }
    Ok(())
}

/// `floors`: up to where groups had acknowledged everything the last time. The server also goes past what is exhausted
/// or given up, and tells of that a moment later: only what it had gone past the last time, and of which no advisory
/// waits any more, is acknowledged for sure.
async fn once(state: &State, floors: &mut HashMap<GroupId, u64>) -> Result<(), BoxError> {
    let mut transaction = state.pool.begin().await?;
    let is_ours: bool = sqlx::query_scalar(
        "SELECT pg_try_advisory_xact_lock(hashtext(current_schema()), hashtext('redrive'))",
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !is_ours {
        return Ok(());
    }
    let advisories = state
        .data
        .jetstream()
        .get_stream_no_info(ADVISORIES.name)
        .await?;
    let taken = taken(&advisories).await?;
    let shelf = shelf::stream(&state.data).await?;
    let under_way = shelf.info_with_subjects(subject::REDRIVEN).await?;
    let under_way: Vec<(String, usize)> = under_way.try_collect().await?;
    let mut groups = HashSet::new();
    for (subject, _count) in &under_way {
        if let Some((group, letter)) = subject::letter_of_redriven(subject) {
            finish(&shelf, &group, letter).await?;
            groups.insert(group);
        }
    }
    let mut now = HashMap::new();
    for group in groups {
        let name = redrive_consumer(&group);
        let Some(info) = attempt_limit::look(&shelf, &name).await? else {
            continue;
        };
        let floor = floors.get(&group).copied().unwrap_or_default();
        if floor > 0 && !waits(&advisories, taken, &name).await? {
            let subjects = subject::redriven_of(&group);
            shelf.purge().filter(subjects).sequence(floor + 1).await?;
        }
        now.insert(group, info.ack_floor.stream_sequence);
    }
    *floors = now;
    forget(&advisories, taken).await?;
    transaction.commit().await?;
    Ok(())
}

/// Removes a letter that is on its way: a crash may have come in between.
async fn finish(shelf: &TaskStream, group: &GroupId, letter: u64) -> Result<(), BoxError> {
    if let Some(kept) = shelf::get(shelf, group, letter).await? {
        shelf::remove(shelf, &kept).await?;
    }
    Ok(())
}

/// The sequence up to which all advisories were taken.
async fn taken(advisories: &TaskStream) -> Result<u64, BoxError> {
    let consumer = attempt_limit::look(advisories, exhausted::DURABLE).await?;
    Ok(consumer.map_or(0, |info| match info.num_ack_pending {
        0 => info.delivered.stream_sequence,
        _some => info.ack_floor.stream_sequence,
    }))
}

/// Removes advisories that were taken, so that only those that wait need room.
async fn forget(advisories: &TaskStream, taken: u64) -> Result<(), BoxError> {
    let oldest = advisories.get_info().await?.state.first_sequence;
    if oldest <= taken {
        advisories.purge().sequence(taken + 1).await?;
    }
    Ok(())
}

/// Whether an advisory of this consumer may wait, behind those that were taken. Only its own count: what cannot be taken
/// of one group does not concern others.
async fn waits(advisories: &TaskStream, taken: u64, consumer: &str) -> Result<bool, BoxError> {
    for kind in [subject::DELIVERIES_EXHAUSTED, subject::DELIVERIES_GIVEN_UP] {
        let own = format!("{}{}.{consumer}", kind.trim_end_matches('>'), DEAD.name);
        let question = advisories.raw_message_builder().sequence(taken + 1);
        if shelf::found(question.next_by_subject(own).send().await)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
