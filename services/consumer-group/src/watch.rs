//! Looks at all groups again and again: whether what they have not read is still there, and how far they are.
//!
//! ```text
//! every 10 s: streams and their consumers ─▶ gap ─▶ standings ─▶ outbox ─▶ GroupStateChanged
//! every 30 s: the same and the members ─▶ samples
//! ```
//!
//! One copy of the service looks: the one whose connection holds a lock of the database.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{FutureExt as _, StreamExt as _, stream};
use rowcast_bus::event_meta;
use rowcast_proto::message::GroupStateChanged;
use rowcast_service::{BoxError, CancellationToken};
use sqlx::postgres::PgConnection;
use tokio::time::MissedTickBehavior;

use crate::attempt_limit;
use crate::consumer::Position;
use crate::derivation::{self, Source};
use crate::gap::{self, Level, Oldest, Seen};
use crate::held::{self, Held, Range, Stored};
use crate::letters::Letters;
use crate::reads::{self, Reads};
use crate::standing::{self, Standing};
use crate::state::State;
use crate::status::{self, View};
use crate::store::derivation::Known as Derived;
use crate::store::group::Group;
use crate::store::sample::{self, Sample};
use crate::store::standing::{Known, Look};
use crate::{outbox, put_away, store};

/// How often groups are looked at: nats-server hides a gap after a minute at the earliest.
const EVERY: Duration = Duration::from_secs(10);

/// How long to wait after a failure, or while another copy looks.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Tasks looked at at a time.
const CONCURRENT: usize = 8;

/// How often old samples are removed, in samples.
const THIN_EVERY: u32 = 20;

/// Looks until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        let looking = stop.run_until_cancelled(Box::pin(until_failure(&state)));
        if let Some(Err(error)) = looking.await {
            tracing::warn!(%error, "groups are not looked at, trying again");
        }
        stop.run_until_cancelled(tokio::time::sleep(AGAIN_AFTER))
            .await;
    }
    Ok(())
}

/// Ends at once where another copy looks.
async fn until_failure(state: &State) -> Result<(), BoxError> {
    let mut connection = state.pool.acquire().await?;
    let is_ours: bool = sqlx::query_scalar(
        "SELECT pg_try_advisory_lock(hashtext(current_schema()), hashtext('watch'))",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !is_ours {
        return Ok(());
    }
    // Of the pool no longer: the lock ends with the connection, and only with it.
    let mut connection = connection.detach();
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last_slot, mut sampled) = (0, 0_u32);
    let mut letters = Letters::default();
    loop {
        timer.tick().await;
        let now = Utc::now();
        let slot = now.timestamp() / sample::EVERY;
        let at = (slot != last_slot)
            .then(|| DateTime::from_timestamp(slot * sample::EVERY, 0))
            .flatten();
        everything(state, &mut connection, &mut letters, (at, now)).await?;
        last_slot = slot;
        if at.is_some() {
            sampled = sampled.wrapping_add(1);
            if sampled % THIN_EVERY == 1 {
                store::sample::thin(&mut connection).await?;
                store::released::forget(&mut connection).await?;
            }
        }
    }
}

/// One task's groups, looked at.
struct Looked<'a> {
    judged: Vec<Judged<'a>>,
    samples: Vec<Sample>,
}

/// What a group's consumers make of it.
struct Judged<'a> {
    group: &'a Group,
    before: Level,
    generation: u64,
    was_near_end: bool,
    had_letters: u64,
    is_news: bool,
    level: Level,
    reason: String,
    /// Why retention will soon remove something that it has not read; `None` where it will not.
    warning: Option<String>,
    /// Dead letters, with those that wait; as they were where they could not be counted.
    letters: u64,
    seen: BTreeMap<String, Seen>,
}

async fn everything(
    state: &State,
    connection: &mut PgConnection,
    letters: &mut Letters,
    times: (Option<DateTime<Utc>>, DateTime<Utc>),
) -> Result<(), BoxError> {
    let mut groups = store::group::wanted(&mut *connection).await?;
    reads::sort(&mut groups);
    let ids = groups.iter().map(|group| group.id.to_string()).collect();
    let known = store::standing::of(&mut *connection, ids).await?;
    let letters = letters.look(state).await;
    let looks: Vec<_> = groups
        .chunk_by(reads::same)
        .map(|groups| task_or_none(state, groups, &known, times).boxed())
        .collect();
    let looked: Vec<Looked<'_>> = stream::iter(looks)
        .buffer_unordered(CONCURRENT)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let (mut judged, mut samples) = (Vec::new(), Vec::new());
    for looked in looked {
        judged.extend(looked.judged);
        samples.extend(looked.samples);
    }
    for judged in &mut judged {
        if let Some(letters) = &letters {
            judged.letters = letters.get(&judged.group.id).copied().unwrap_or_default();
            judged.is_news |= judged.letters != judged.had_letters;
        }
    }
    judged.retain(|judged| judged.is_news);
    note(connection, &judged).await?;
    if !samples.is_empty() {
        store::sample::insert(connection, &samples).await?;
    }
    Ok(())
}

/// Writes what has changed, with the facts that tell of it.
async fn note(connection: &mut PgConnection, judged: &[Judged<'_>]) -> Result<(), BoxError> {
    if judged.is_empty() {
        return Ok(());
    }
    let mut transaction = sqlx::Connection::begin(connection).await?;
    let looks: Vec<Look<'_>> = judged.iter().map(Judged::look).collect();
    let noted = store::standing::note(&mut *transaction, &looks).await?;
    for judged in judged {
        let is_noted = noted.iter().any(|id| id == judged.group.id.as_str());
        if is_noted && judged.is_told() {
            outbox::append(&mut transaction, &judged.fact()).await?;
            tracing::info!(group = %judged.group.id, task = %judged.group.task_id,
                state = judged.level.as_str(), reason = judged.reason, is_near_end = judged.is_near_end(),
                letters = judged.letters, "group's state changed");
        }
    }
    transaction.commit().await?;
    Ok(())
}

impl<'a> Judged<'a> {
    /// As nothing is seen of a group's consumers.
    fn well(group: &'a Group, known: &Known) -> Self {
        Self {
            group,
            before: known.level,
            generation: known.generation,
            was_near_end: known.is_near_end,
            had_letters: known.letters,
            is_news: false,
            level: Level::Ok,
            reason: String::new(),
            warning: None,
            letters: known.letters,
            seen: known.seen.clone(),
        }
    }
}

impl Judged<'_> {
    /// What becomes of it for its own stream, where that is worse.
    async fn with(
        &mut self,
        origin: &Origin,
        consumers: &[&Standing],
        now: DateTime<Utc>,
    ) -> Result<(), BoxError> {
        let Origin { source, known } = origin;
        let (level, reason) = source.level(known.as_ref(), consumers);
        if level > self.level {
            (self.level, self.reason) = (level, reason);
        }
        if self.warning.is_none() {
            self.warning = source.warning(known.as_ref(), now).await?;
        }
        Ok(())
    }

    /// What holds a group up ends nothing of what it is about to lose: both are told.
    fn settle(&mut self) {
        let Some(warning) = &self.warning else {
            return;
        };
        match self.level {
            Level::Ok | Level::Warning => {
                self.level = Level::Warning;
                self.reason.clone_from(warning);
            }
            Level::Blocked => self.reason = format!("{} {warning}", self.reason),
            // What is lost already says more.
            Level::Gap => self.warning = None,
        }
    }

    const fn is_near_end(&self) -> bool {
        self.warning.is_some()
    }

    /// Whether others are told of it.
    fn is_told(&self) -> bool {
        self.before != self.level
            || self.was_near_end != self.is_near_end()
            || (self.had_letters > 0) != (self.letters > 0)
    }

    fn look(&self) -> Look<'_> {
        Look {
            group: self.group.id.as_str(),
            generation: self.generation,
            level: self.level,
            reason: &self.reason,
            is_near_end: self.is_near_end(),
            letters: self.letters,
            seen: &self.seen,
        }
    }

    fn fact(&self) -> GroupStateChanged {
        GroupStateChanged {
            meta: Some(event_meta()),
            group_id: self.group.id.to_string(),
            group_name: self.group.name.clone(),
            task_id: self.group.task_id.to_string(),
            from: status::state_of(self.before).into(),
            to: status::state_of(self.level).into(),
            reason: self.reason.clone(),
            warning: Some(self.warning.clone().unwrap_or_default()),
            dead_letters: Some(self.letters),
        }
    }
}

/// The other tasks are not held up by one that cannot be looked at.
async fn task_or_none<'a>(
    state: &State,
    groups: &'a [Group],
    known: &HashMap<String, Known>,
    times: (Option<DateTime<Utc>>, DateTime<Utc>),
) -> Option<Looked<'a>> {
    let first = groups.first()?;
    let (task_id, reads) = (&first.task_id, Reads::of(first));
    match task(state, &reads, groups, known, times).await {
        Ok(looked) => Some(looked),
        Err(error) => {
            tracing::warn!(task = %task_id, %error, "groups not looked at");
            None
        }
    }
}

/// `times`: of the samples, where it is time for them, and now.
async fn task<'a>(
    state: &State,
    reads: &Reads,
    groups: &'a [Group],
    known: &HashMap<String, Known>,
    times: (Option<DateTime<Utc>>, DateTime<Utc>),
) -> Result<Looked<'a>, BoxError> {
    let (at, now) = times;
    let view = match at {
        Some(_time_for_samples) => View::look(state, reads).await?,
        None => View::without_members(state, reads).await?,
    };
    let mut looked = Looked {
        judged: Vec::new(),
        samples: Vec::new(),
    };
    for group in groups {
        let known = known.get(group.id.as_str()).cloned().unwrap_or_default();
        let consumers: Vec<&Standing> = standing::of_group(&view.standings, &group.id).collect();
        // In the midst of a move, what is seen is of before or after.
        if known.next_sequence.is_some() {
            continue;
        }
        let origin = match group.derived {
            Some(_) => Origin::look(state, group).await?,
            None => None,
        };
        let mut judged = match &view.range {
            Some(range) if !consumers.is_empty() => {
                attempt_limit::mend(state, group, &consumers).await;
                if let Some(at) = at {
                    let sample = sample(&view, range, group, origin.as_ref(), at).await?;
                    looked.samples.push(sample);
                }
                let judged = judge(&view, range, group, &known, &consumers, now).await?;
                // What is missing is told first; behind it such a group goes on all the same.
                let is_told = judged.level == Level::Gap && known.level == Level::Gap;
                if (judged.level == Level::Blocked || is_told)
                    && goes_on(state, group, &view, &known).await
                {
                    // It is judged anew once it is moved.
                    continue;
                }
                judged
            }
            // An own stream that cannot be made is bad for its group all the same.
            Some(_) | None if origin.is_some() => Judged::well(group, &known),
            // A task that was never started has nothing to be behind of.
            Some(_) | None => continue,
        };
        if let Some(origin) = &origin {
            judged.with(origin, &consumers, now).await?;
        }
        judged.settle();
        judged.is_news |= judged.level != known.level
            || judged.reason != known.reason
            || judged.is_near_end() != known.is_near_end;
        looked.judged.push(judged);
    }
    Ok(looked)
}

/// Puts away what was sent as often as a group allows that does not wait for a person; whether there was something.
async fn goes_on(state: &State, group: &Group, view: &View, known: &Known) -> bool {
    match put_away::exhausted(state, group, view, known).await {
        Ok(put_away) => put_away > 0,
        Err(error) => {
            // It is blocked until then.
            tracing::error!(group = %group.id, task = %group.task_id, %error, "change not put away yet");
            false
        }
    }
}

/// What the own stream of a group is made of, and how far.
struct Origin {
    source: Source,
    known: Option<Derived>,
}

impl Origin {
    async fn look(state: &State, group: &Group) -> Result<Option<Self>, BoxError> {
        // How far it is first: what is taken in between must not look removed.
        let known = derivation::known(state, &group.id).await?;
        let source = Source::look(state, &group.task_id).await?;
        Ok(source.map(|source| Self { source, known }))
    }
}

async fn sample(
    view: &View,
    range: &Range,
    group: &Group,
    origin: Option<&Origin>,
    at: DateTime<Utc>,
) -> Result<Sample, BoxError> {
    let Position {
        acknowledged_sequence,
        pending,
        in_flight,
    } = view.position(group);
    let mut unread = pending.saturating_add(in_flight);
    let acknowledged = held::exactly(&view.stream, acknowledged_sequence).await?;
    let mut delay = status::delay_seconds(range, acknowledged.as_ref(), unread);
    if let Some(Origin { source, known }) = origin
        && source.behind(known.as_ref()) > 0
    {
        unread = unread.saturating_add(source.behind(known.as_ref()));
        let since = acknowledged.as_ref().or(range.first.as_ref());
        let since = since.map(Stored::at);
        delay = source.delay_seconds(known.as_ref(), since, unread).await?;
    }
    let members = view.members(group).map(<[_]>::len);
    Ok(Sample {
        group_id: group.id.to_string(),
        at,
        acknowledged_sequence: acknowledged_sequence.cast_signed(),
        acknowledged_at: acknowledged.as_ref().map(Stored::at),
        unread: unread.cast_signed(),
        in_flight: in_flight.cast_signed(),
        delay_seconds: delay.cast_signed(),
        members: members.and_then(|number| i64::try_from(number).ok()),
    })
}

async fn judge<'a>(
    view: &View,
    range: &Range,
    group: &'a Group,
    known: &Known,
    consumers: &[&Standing],
    now: DateTime<Utc>,
) -> Result<Judged<'a>, BoxError> {
    let held = &range.held;
    let seen: BTreeMap<String, Seen> = consumers
        .iter()
        .map(|one| {
            let seen = gap::look(known.seen.get(&one.name), one, held);
            (one.name.clone(), seen)
        })
        .collect();
    let missing = seen
        .values()
        .filter_map(|seen| seen.missing)
        .reduce(|one, other| gap::Missing {
            from: one.from.min(other.from),
            until: one.until.max(other.until),
        });
    let (level, reason) = if let Some(missing) = missing {
        let first = range.first.as_ref().map(status::place);
        (Level::Gap, gap::sentence(missing, held, first.as_deref()))
    } else {
        match blocked(view, group, known).await? {
            Some(reason) => (Level::Blocked, reason),
            None => (Level::Ok, String::new()),
        }
    };
    Ok(Judged {
        is_news: seen != known.seen,
        level,
        reason,
        warning: warning(view, held, consumers, now).await?,
        seen,
        ..Judged::well(group, known)
    })
}

/// Why the group goes no further; `None` where it can.
async fn blocked(view: &View, group: &Group, known: &Known) -> Result<Option<String>, BoxError> {
    if group.max_deliver == 0 {
        return Ok(None);
    }
    let most = u64::from(group.max_deliver);
    let stuck = view.held_up(group, &known.seen, most).await?;
    let first = stuck.iter().find_map(|stuck| stuck.change.as_ref());
    Ok(first.map(|change| {
        format!(
            "The change {} of the stream, {}, was sent {most} times or more, and nothing behind it can be read before it is acknowledged.",
            change.sequence,
            status::place(change)
        )
    }))
}

/// The message is read only where it can be near its end at all.
async fn warning(
    view: &View,
    held: &Held,
    consumers: &[&Standing],
    now: DateTime<Utc>,
) -> Result<Option<String>, BoxError> {
    let oldest = consumers
        .iter()
        .filter_map(|one| gap::oldest_unread(one, held))
        .min();
    let Some(sequence) = oldest.filter(|_oldest| gap::can_be_near(held, now)) else {
        return Ok(None);
    };
    let Some(stored) = held::at_or_after(&view.stream, sequence).await? else {
        return Ok(None);
    };
    let oldest = Oldest {
        sequence,
        stored_at: stored.stored_at,
    };
    Ok(gap::warning(held, oldest, now))
}
