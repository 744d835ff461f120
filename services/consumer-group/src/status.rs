//! How it is with the groups of a task, now.
//!
//! ```text
//! stream ─▶ range ──────────────┐
//! its consumers ─▶ standings ───┼─▶ status of each group
//! NATS servers ─▶ members ──────┤
//! standings table ─▶ level ─────┘
//! ```
//!
//! For all groups that read a stream the stream, its consumers and the servers are asked once; of each group only the
//! message is read that it has acknowledged last.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use rowcast_domain::TaskId;
use rowcast_proto::message::{GroupMember, GroupState, GroupStatus, StreamPosition, StuckChange};
use rowcast_proto::rest::GroupMode;
use rowcast_service::BoxError;

use crate::consumer::Position;
use crate::gap::{Level, Seen};
use crate::held::{self, Held, Range, Stored, TaskStream};
use crate::members::{self, ByLogin};
use crate::reads::Reads;
use crate::standing::{self, Standing};
use crate::state::State;
use crate::store::group::Group;
use crate::store::standing::Known;
use crate::{connection, derivation, store, stuck};

/// Acknowledged messages read at a time.
const CONCURRENT: usize = 8;

/// A stream that groups read, and who reads it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) stream: TaskStream,
    /// `None` where there is no stream.
    pub(crate) range: Option<Range>,
    pub(crate) standings: Vec<Standing>,
    /// `None` where no server tells.
    pub(crate) members: Option<Arc<ByLogin>>,
}

impl View {
    /// Looks at everything, and who is connected at the same time.
    pub(crate) async fn look(state: &State, reads: &Reads) -> Result<Self, BoxError> {
        Self::beside(state, reads, state.members.look(&state.system).boxed()).await
    }

    /// As [`Self::look`]; who is connected is asked now, whatever was told before.
    pub(crate) async fn look_anew(state: &State, reads: &Reads) -> Result<Self, BoxError> {
        Self::beside(state, reads, state.members.look_anew(&state.system).boxed()).await
    }

    /// Looks at everything but who is connected.
    pub(crate) async fn without_members(state: &State, reads: &Reads) -> Result<Self, BoxError> {
        Self::beside(state, reads, std::future::ready(None).boxed()).await
    }

    async fn beside(
        state: &State,
        reads: &Reads,
        members: BoxFuture<'_, Option<Arc<ByLogin>>>,
    ) -> Result<Self, BoxError> {
        let (members, stream) =
            futures::future::join(members, Self::of_stream(state, reads).boxed()).await;
        let (stream, range, standings) = stream?;
        Ok(Self {
            stream,
            range,
            standings,
            members,
        })
    }

    async fn of_stream(
        state: &State,
        reads: &Reads,
    ) -> Result<(TaskStream, Option<Range>, Vec<Standing>), BoxError> {
        let stream = held::stream(&state.data, reads).await?;
        // The stream first: what a group acknowledges in between must not look removed.
        let Some(held) = held::look(&state.data, reads).await? else {
            return Ok((stream, None, Vec::new()));
        };
        let (range, standings) = futures::try_join!(
            Range::read(&stream, held),
            standing::of_stream(&stream, reads)
        )?;
        Ok((stream, Some(range), standings))
    }

    /// Where a group stands.
    pub(crate) fn position(&self, group: &Group) -> Position {
        standing::position(standing::of_group(&self.standings, &group.id))
    }

    /// Who of a group is connected; `None` where no server tells.
    pub(crate) fn members(&self, group: &Group) -> Option<&[GroupMember]> {
        let login = connection::login(&group.account, &group.id);
        let all = self.members.as_deref()?;
        Some(all.get(&login).map(Vec::as_slice).unwrap_or_default())
    }

    async fn status(&self, group: &Group, known: Option<&Known>) -> Result<Shown, BoxError> {
        let position = self.position(group);
        let acknowledged = held::exactly(&self.stream, position.acknowledged_sequence).await?;
        let members = self.members(group);
        let is_read = members.is_none_or(|members| !members.is_empty());
        let unread = position.pending.saturating_add(position.in_flight);
        let delay = self.range.as_ref().map_or(0, |range| {
            delay_seconds(range, acknowledged.as_ref(), unread)
        });
        let of_read = |number: u64| {
            if is_read {
                i64::try_from(number).unwrap_or(i64::MAX)
            } else {
                -1
            }
        };
        let level = known.map_or(Level::Ok, |known| known.level);
        let status = GroupStatus {
            state: state_of(level).into(),
            reason: known.map(|known| known.reason.clone()).unwrap_or_default(),
            position: acknowledged.as_ref().map(StreamPosition::from),
            delay_seconds: of_read(delay),
            unconsumed: of_read(unread),
            range: self.range.as_ref().map(Into::into),
            members: members.unwrap_or_default().to_vec(),
            members_unknown: match members {
                Some(_known) => String::new(),
                None => members::UNKNOWN.to_owned(),
            },
            generation: known.map_or(0, |known| known.generation),
            derivation: None,
            stuck: self.stuck(group, known).await?,
            dead_letters: known.map(|known| known.letters),
            dead_letters_waiting: 0,
        };
        Ok(Shown { position, status })
    }
}

/// A consumer whose next change was sent more than once.
#[derive(Debug)]
pub(crate) struct Stuck {
    pub(crate) consumer: String,
    /// How often, at least.
    pub(crate) attempts: u64,
    /// The change; `None` where it is gone by now.
    pub(crate) change: Option<Stored>,
}

impl View {
    /// What holds others up in the group's consumers, and was sent at least so often.
    pub(crate) async fn held_up(
        &self,
        group: &Group,
        seen: &BTreeMap<String, Seen>,
        least: u64,
    ) -> Result<Vec<Stuck>, BoxError> {
        if group.mode == GroupMode::Shared {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for one in standing::of_group(&self.standings, &group.id) {
            let attempts = stuck::attempts(seen.get(&one.name), one);
            if attempts >= least {
                let change = held::at_or_after(&self.stream, one.read_up_to + 1).await?;
                all.push(Stuck {
                    consumer: one.name.clone(),
                    attempts,
                    change,
                });
            }
        }
        Ok(all)
    }

    async fn stuck(
        &self,
        group: &Group,
        known: Option<&Known>,
    ) -> Result<Vec<StuckChange>, BoxError> {
        let Some(known) = known else {
            return Ok(Vec::new());
        };
        // Sent once is as it should be.
        let stuck = self.held_up(group, &known.seen, 2).await?;
        Ok(stuck
            .into_iter()
            .map(|stuck| StuckChange {
                consumer: stuck.consumer,
                position: stuck.change.as_ref().map(StreamPosition::from),
                attempts: stuck.attempts,
            })
            .collect())
    }
}

/// A group's place and how it is with it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) position: Position,
    pub(crate) status: GroupStatus,
}

/// How it is with these groups of a task, in their order.
pub(crate) async fn of(
    state: &State,
    task: &TaskId,
    groups: &[Group],
) -> Result<Vec<Shown>, BoxError> {
    let ids = groups.iter().map(|group| group.id.to_string()).collect();
    let known = store::standing::of(&state.pool, ids).await?;
    let mut views = BTreeMap::new();
    for reads in groups.iter().map(Reads::of) {
        if let Entry::Vacant(vacant) = views.entry(reads) {
            let view = View::look(state, vacant.key()).await?;
            vacant.insert(view);
        }
    }
    let looks: Vec<_> = groups
        .iter()
        .filter_map(|group| Some((group, views.get(&Reads::of(group))?)))
        .map(|(group, view)| view.status(group, known.get(group.id.as_str())).boxed())
        .collect();
    let shown = stream::iter(looks).buffered(CONCURRENT).try_collect();
    let mut shown: Vec<Shown> = shown.await?;
    derivation::show(state, task, groups, &mut shown).await?;
    let waiting: HashMap<String, i64> = store::waiting::counts(&state.pool)
        .await?
        .into_iter()
        .collect();
    for (group, shown) in groups.iter().zip(&mut shown) {
        let waits = waiting.get(group.id.as_str()).copied().unwrap_or_default();
        shown.status.dead_letters_waiting = waits.unsigned_abs();
    }
    Ok(shown)
}

pub(crate) const fn state_of(level: Level) -> GroupState {
    match level {
        Level::Ok => GroupState::Ok,
        Level::Warning => GroupState::Warning,
        Level::Gap => GroupState::Gap,
        Level::Blocked => GroupState::Blocked,
    }
}

/// How far the last acknowledged change lies behind the newest one, by their commits. Where it is no longer there, or
/// there never was one, the first that is there stands for it.
pub(crate) fn delay_seconds(range: &Range, acknowledged: Option<&Stored>, unread: u64) -> u64 {
    let newest = range.last.as_ref().map(Stored::at);
    let last = acknowledged.or(range.first.as_ref()).map(Stored::at);
    match (newest, last) {
        (Some(newest), Some(last)) if unread > 0 => between(last, newest),
        (Some(_) | None, Some(_) | None) => 0,
    }
}

/// Seconds from one time to a later one; 0 where it is none.
pub(crate) fn between(earlier: DateTime<Utc>, later: DateTime<Utc>) -> u64 {
    u64::try_from((later - earlier).num_seconds()).unwrap_or_default()
}

/// A stream's range in words, for those whose wish lies outside.
pub(crate) fn in_words(range: &Range) -> String {
    let Held { first, last, .. } = range.held;
    let (Some(oldest), Some(newest)) = (&range.first, &range.last) else {
        return format!("the stream is empty; its next message is {first}");
    };
    format!(
        "the stream holds the sequences {first} to {last}, {} to {}",
        place(oldest),
        place(newest)
    )
}

/// A message's LSN and time in words.
pub(crate) fn place(stored: &Stored) -> String {
    let at = stored
        .at()
        .to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    match stored.head {
        Some(head) => format!("LSN {} committed at {at}", head.position.commit_lsn),
        None => format!("stored at {at}"),
    }
}
