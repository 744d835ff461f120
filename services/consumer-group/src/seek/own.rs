//! Finds a place in a group's own stream, which is made of its task's stream and is a little behind it.
//!
//! ```text
//! not in the own stream ─▶ in the task's? ─▶ is the own one made up to there? ─▶ its commit LSN in the own one
//! ```
//!
//! What the own stream is not made of yet comes to stand behind its end: a group that was sent there would read what it was
//! to go over. So it is waited for, and where that takes too long the place is none yet.

use std::time::Duration;

use rowcast_domain::Lsn;
use rowcast_proto::message::DerivationState;
use rowcast_service::BoxError;
use tokio::time::Instant;

use super::{Found, Target};
use crate::derivation::{self, Source};
use crate::held::{self, Range, TaskStream};
use crate::reads::Reads;
use crate::state::State;
use crate::store::group::Group;

/// How long the own stream is waited for: a worker that has nothing to catch up with tells once a second how far it is.
const WAIT: Duration = Duration::from_secs(4);

/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What was found.
#[derive(Debug)]
pub(crate) enum OwnFound {
    /// As in any stream.
    Found(Found),
    /// The own stream is not made of it yet.
    Behind(Behind),
}

/// How far an own stream is that is behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    /// The last message of the task's stream that it is made of.
    pub(crate) made: u64,
    /// Messages that it was not made of.
    pub(crate) behind: u64,
    /// Whether it waits for a decision, and time does not help.
    pub(crate) is_stopped: bool,
}

/// Finds the message in what the own stream holds, or is about to hold.
pub(crate) async fn find(
    state: &State,
    group: &Group,
    (own, range): (&TaskStream, &Range),
    target: Target,
) -> Result<OwnFound, BoxError> {
    match target {
        Target::Earliest | Target::Sequence(_) => {
            super::find(own, range, target).await.map(OwnFound::Found)
        }
        Target::Latest => latest(state, group, own, range).await,
        Target::Time(_) | Target::Lsn(_) | Target::Transaction(_) => {
            match super::find(own, range, target).await? {
                missing @ (Found::Outside | Found::Nowhere | Found::NotNear) => {
                    let found = by_source(state, group, own, target).await?;
                    Ok(found.unwrap_or(OwnFound::Found(missing)))
                }
                found @ (Found::Next(_) | Found::Unreadable(_)) => Ok(OwnFound::Found(found)),
            }
        }
    }
}

/// Behind all that the task's stream holds now.
async fn latest(
    state: &State,
    group: &Group,
    own: &TaskStream,
    range: &Range,
) -> Result<OwnFound, BoxError> {
    let Some(source) = Source::look(state, &group.task_id).await? else {
        // Nothing comes any more.
        return Ok(OwnFound::Found(Found::Next(range.held.last + 1)));
    };
    if let Some(behind) = not_made(state, group, &source, source.last()).await? {
        return Ok(OwnFound::Behind(behind));
    }
    let now = look(state, group, own).await?;
    Ok(OwnFound::Found(now.map_or(Found::Outside, |range| {
        Found::Next(range.held.last + 1)
    })))
}

/// By the place in the task's stream; `None` where that does not hold it either.
async fn by_source(
    state: &State,
    group: &Group,
    own: &TaskStream,
    target: Target,
) -> Result<Option<OwnFound>, BoxError> {
    let Some(source) = Source::look(state, &group.task_id).await? else {
        return Ok(None);
    };
    let Found::Next(sequence) = source.find(target).await? else {
        return Ok(None);
    };
    let Some(lsn) = source.commit_lsn(sequence).await? else {
        return Ok(None);
    };
    if let Some(behind) = not_made(state, group, &source, sequence).await? {
        return Ok(Some(OwnFound::Behind(behind)));
    }
    // What was made of it meanwhile is there now.
    let Some(range) = look(state, group, own).await? else {
        return Ok(None);
    };
    let found = place_of(own, &range, lsn).await?;
    Ok(Some(OwnFound::Found(found)))
}

/// How far the own stream is, where it is not made of this message of the task's stream within the time.
async fn not_made(
    state: &State,
    group: &Group,
    source: &Source,
    sequence: u64,
) -> Result<Option<Behind>, BoxError> {
    let until = Instant::now() + WAIT;
    loop {
        let known = derivation::known(state, &group.id).await?;
        let known = known.as_ref();
        if source.next(known) > sequence {
            return Ok(None);
        }
        let is_stopped = known.is_some_and(|known| known.state == DerivationState::Stopped);
        if is_stopped || Instant::now() > until {
            return Ok(Some(Behind {
                made: known.map_or(0, |known| known.mark.source_sequence),
                behind: source.behind(known),
                is_stopped,
            }));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look(state: &State, group: &Group, own: &TaskStream) -> Result<Option<Range>, BoxError> {
    match held::look(&state.data, &Reads::of(group)).await? {
        Some(held) => Range::read(own, held).await.map(Some),
        None => Ok(None),
    }
}

/// The first message that is not before `lsn`, which the own stream is made of: a policy may have left it out, so it may
/// also be before the first one, or behind the last.
async fn place_of(own: &TaskStream, range: &Range, lsn: Lsn) -> Result<Found, BoxError> {
    let first = range.held.first;
    // What was removed may have been it.
    let at_first = if first == 1 {
        Found::Next(first)
    } else {
        Found::Outside
    };
    let (Some(oldest), Some(newest)) = (&range.first, &range.last) else {
        return Ok(at_first);
    };
    let (Some(old), Some(new)) = (oldest.head, newest.head) else {
        let sequence = oldest.head.map_or(oldest.sequence, |_head| newest.sequence);
        return Ok(Found::Unreadable(sequence));
    };
    if lsn < old.position.commit_lsn {
        return Ok(at_first);
    }
    if lsn > new.position.commit_lsn {
        return Ok(Found::Next(range.held.last + 1));
    }
    super::find(own, range, Target::Lsn(lsn)).await
}
