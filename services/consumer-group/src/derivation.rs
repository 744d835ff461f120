//! How far the own streams of groups are, as others see it, and what becomes of the groups for it.

use chrono::{DateTime, Utc};
use rowcast_domain::{GroupId, Lsn, TaskId};
use rowcast_proto::message::{Derivation, DerivationState};
use rowcast_service::BoxError;

use crate::gap::{self, Level, Oldest};
use crate::held::{self, Range, Stored, TaskStream};
use crate::reads::Reads;
use crate::seek::{self, Found, Target};
use crate::standing::Standing;
use crate::state::State;
use crate::status::{self, Shown};
use crate::store;
use crate::store::derivation::Known;
use crate::store::group::Group;

/// A task's stream, of which own streams are made.
#[derive(Debug)]
pub(crate) struct Source {
    stream: TaskStream,
    range: Range,
}

impl Source {
    /// Looks at it; `None` where there is none.
    pub(crate) async fn look(state: &State, task: &TaskId) -> Result<Option<Self>, BoxError> {
        let reads = Reads::Task(task.clone());
        let Some(held) = held::look(&state.data, &reads).await? else {
            return Ok(None);
        };
        let stream = held::stream(&state.data, &reads).await?;
        let range = Range::read(&stream, held).await?;
        Ok(Some(Self { stream, range }))
    }

    /// The last message that it held, removed or not.
    pub(crate) const fn last(&self) -> u64 {
        self.range.held.last
    }

    /// Finds a message in it.
    pub(crate) async fn find(&self, target: Target) -> Result<Found, BoxError> {
        seek::find(&self.stream, &self.range, target).await
    }

    /// The commit LSN of a message in it; `None` where it is gone, or cannot be read.
    pub(crate) async fn commit_lsn(&self, sequence: u64) -> Result<Option<Lsn>, BoxError> {
        let stored = held::exactly(&self.stream, sequence).await?;
        let head = stored.and_then(|stored| stored.head);
        Ok(head.map(|head| head.position.commit_lsn))
    }

    /// The first message that the own stream was not made of.
    pub(crate) fn next(&self, known: Option<&Known>) -> u64 {
        let taken = known.map_or(0, |known| known.mark.source_sequence);
        (taken + 1).max(self.range.held.first)
    }

    /// How many messages the own stream was not made of.
    pub(crate) fn behind(&self, known: Option<&Known>) -> u64 {
        (self.range.held.last + 1).saturating_sub(self.next(known))
    }

    /// As [`status::delay_seconds`], up to the newest change of the task's stream. `acknowledged` is that of the last change
    /// acknowledged; where there is none, the first that the own stream holds stands for it, or that it was not made of.
    pub(crate) async fn delay_seconds(
        &self,
        known: Option<&Known>,
        acknowledged: Option<DateTime<Utc>>,
        unread: u64,
    ) -> Result<u64, BoxError> {
        let newest = self.range.last.as_ref().map(Stored::at);
        let (Some(newest), true) = (newest, unread > 0) else {
            return Ok(0);
        };
        let since = match acknowledged {
            Some(at) => Some(at),
            None => {
                let next = held::at_or_after(&self.stream, self.next(known)).await?;
                next.as_ref().map(Stored::at)
            }
        };
        Ok(since.map_or(0, |since| status::between(since, newest)))
    }

    /// How bad it is for the group, and why; [`Level::Ok`] where it has lost nothing and goes on.
    pub(crate) fn level(&self, known: Option<&Known>, consumers: &[&Standing]) -> (Level, String) {
        if let Some(lost) = known.and_then(|known| self.lost(known, consumers)) {
            return (Level::Gap, lost);
        }
        match known.filter(|known| known.state == DerivationState::Stopped) {
            Some(known) => (Level::Blocked, stopped_sentence(&known.reason)),
            None => (Level::Ok, String::new()),
        }
    }

    /// Why retention will soon remove something that the own stream was not made of, whether it is being made or not;
    /// `None` where it will not.
    pub(crate) async fn warning(
        &self,
        known: Option<&Known>,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, BoxError> {
        let held = &self.range.held;
        if self.behind(known) == 0 || !gap::can_be_near(held, now) {
            return Ok(None);
        }
        let Some(stored) = held::at_or_after(&self.stream, self.next(known)).await? else {
            return Ok(None);
        };
        let oldest = Oldest {
            sequence: stored.sequence,
            stored_at: stored.stored_at,
        };
        Ok(gap::warning(held, oldest, now))
    }

    /// What was removed before the own stream was made of it, until the group has read that it is missing.
    fn lost(&self, known: &Known, consumers: &[&Standing]) -> Option<String> {
        let (taken, first) = (known.mark.source_sequence, self.range.held.first);
        // While it runs its mark is a moment behind, and what is missing is told in the stream.
        if known.state != DerivationState::Running && taken > 0 && taken + 1 < first {
            return Some(lost_sentence(taken + 1, first - 1));
        }
        let gap = known.gap.as_ref()?;
        let is_read = |one: &&Standing| one.unread() == 0 || one.read_up_to >= gap.own_sequence;
        let is_told = known.mark.own_sequence >= gap.own_sequence;
        (!is_told || !consumers.iter().all(is_read)).then(|| gap.sentence.clone())
    }
}

/// What is said of an own stream that was stopped for this reason: nothing that its members do helps, for none of them has
/// what it stopped at.
fn stopped_sentence(reason: &str) -> String {
    let reason = reason.trim_end_matches('.');
    format!(
        "The group's own stream is not made: {reason}. It goes on once that is removed: a policy that does not fit can be changed, and where its format does not fit, make another group."
    )
}

/// What is said of messages that were removed before the own stream was made of them.
pub(crate) fn lost_sentence(first: u64, last: u64) -> String {
    format!(
        "Retention has removed the messages {first} to {last} of the task's stream before the group's own stream was made of them."
    )
}

/// What is known of a group's own stream; `None` where nobody has begun with it.
pub(crate) async fn known(state: &State, group: &GroupId) -> Result<Option<Known>, BoxError> {
    let mut known = store::derivation::of(&state.pool, vec![group.to_string()]).await?;
    Ok(known.remove(group.as_str()))
}

/// Tells it of those of a task's groups that have one; `shown` is of the same groups in the same order. What was not
/// derived yet the group has not read either.
pub(crate) async fn show(
    state: &State,
    task: &TaskId,
    groups: &[Group],
    shown: &mut [Shown],
) -> Result<(), BoxError> {
    let derived = groups.iter().filter(|group| group.derived.is_some());
    let ids: Vec<String> = derived.map(|group| group.id.to_string()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let all = store::derivation::of(&state.pool, ids).await?;
    let source = Source::look(state, task).await?;
    for (group, shown) in groups.iter().zip(shown) {
        if group.derived.is_none() {
            continue;
        }
        let known = all.get(group.id.as_str());
        let mut derivation = known.map(told).unwrap_or_default();
        if let Some(source) = &source {
            derivation.behind = source.behind(known);
            count(source, known, derivation.behind, shown).await?;
        }
        shown.status.derivation = Some(derivation);
    }
    Ok(())
}

fn told(known: &Known) -> Derivation {
    Derivation {
        state: known.state.into(),
        reason: known.reason.clone(),
        source_sequence: known.mark.source_sequence,
        behind: 0,
        parked: known.parked,
    }
}

/// Counts so many that were not derived yet as unread.
async fn count(
    source: &Source,
    known: Option<&Known>,
    behind: u64,
    shown: &mut Shown,
) -> Result<(), BoxError> {
    let status = &mut shown.status;
    // Nobody reads.
    let Ok(unread) = u64::try_from(status.unconsumed) else {
        return Ok(());
    };
    if behind == 0 {
        return Ok(());
    }
    let first = status.range.as_ref().and_then(|range| range.first.as_ref());
    let since = status.position.as_ref().or(first);
    let since = since.and_then(|place| place.committed_at);
    let since = since.and_then(|at| DateTime::try_from(at).ok());
    let unread = unread.saturating_add(behind);
    let delay = source.delay_seconds(known, since, unread).await?;
    status.unconsumed = i64::try_from(unread).unwrap_or(i64::MAX);
    status.delay_seconds = i64::try_from(delay).unwrap_or(i64::MAX);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_stop_ends_with_what_helps() {
        let said = stopped_sentence("the policy does not fit public.plain");
        assert!(
            said.starts_with(
                "The group's own stream is not made: the policy does not fit public.plain. It goes on"
            ),
            "{said}"
        );
        assert!(
            said.contains("can be changed") && said.ends_with("make another group."),
            "{said}"
        );
        assert_eq!(
            stopped_sentence("a sentence."),
            stopped_sentence("a sentence")
        );
    }
}
