//! One run of a worker: finds where to go on, and makes the group's own stream of its task's stream until something fails.
//!
//! ```text
//! task's stream ─▶ reader ─▶ policy ─▶ format ─▶ outbox ─▶ own stream
//!                                                  └─ acknowledged ─▶ mark in the table
//! ```
//!
//! After anything but an acknowledgement the session ends, and the next one reads the own stream's end.

mod missing;
mod parking;
mod shapes;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rowcast_bus::batch::BatchPublisher;
use rowcast_domain::Position;
use rowcast_proto::change::Operation;
use rowcast_proto::derived::Made;
use rowcast_proto::message::RowErrorAction;
use rowcast_proto::stream::{group_stream, task_stream};
use rowcast_service::CancellationToken;
use tokio::time::{Instant, MissedTickBehavior};

use super::Deriving;
use super::begin::{self, Begin};
use super::change::{self, Deriver, Stop, ToPark, Unit};
use super::failure::Failure;
use super::large;
use super::outbox::Outbox;
use super::reader::{Read, Reader};
use super::render::{Rendered, Renderer};
use crate::own_stream;
use crate::store::derivation::{self, Mark};
use crate::store::group::{Derived, Group};

/// How often the mark is written, where it has moved.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// How often both streams are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long what waits may take to be stored, where the session is told to stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// Why a session ends that another copy has overtaken.
const OVERTAKEN: &str = "another session was begun on the own stream";

/// What a session has ended with, where nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// There is no stream to read yet, or the group was deleted.
    NothingToRead,
    /// It was told to.
    Stopped,
}

/// Makes the own stream until told to stop. `number` becomes that of this session, once it is begun.
///
/// # Errors
/// What has failed.
pub(super) async fn run(
    deriving: &Deriving,
    group: &Group,
    derived: &Derived,
    number: &mut Option<i64>,
    stop: &CancellationToken,
) -> Result<Ended, Failure> {
    let Some(begin) = begin::find(&deriving.state, group, derived.version).await? else {
        return Ok(Ended::NothingToRead);
    };
    let mut session = Session::open(deriving, group, derived, begin, number).await?;
    let looking = tokio::time::interval(MARK_EVERY);
    let done = Box::pin(session.follow(looking, stop)).await;
    match &done {
        // What was made before is stored first: it need not be made again, nor parked.
        Err(Failure::Stop(_)) => session.outbox.drain().await?,
        Ok(()) => {
            let drained = tokio::time::timeout(DRAIN_WITHIN, session.outbox.drain()).await;
            if !matches!(drained, Ok(Ok(()))) {
                tracing::info!(group = %group.id, task = %group.task_id, "what waits is left to whoever comes next");
            }
        }
        Err(Failure::Retry(_)) => {}
    }
    // What is known to be stored is written down whatever has ended the session.
    let marked = session.mark().await;
    done?;
    marked?;
    Ok(Ended::Stopped)
}

struct Session<'a> {
    deriving: &'a Deriving,
    group: &'a Group,
    reader: Reader,
    deriver: Deriver,
    renderer: Renderer,
    outbox: Outbox,
    /// Rows that are parked, and that stand behind what is stored.
    parked: BTreeSet<Position>,
    /// So many messages of what is made next are stored already.
    stored: u64,
    passed: Passed,
    /// Shapes that were found elsewhere than in what was read, by their names there, and that are still to be told.
    untold: Vec<String>,
    /// Number of this session.
    number: i64,
    marked: Mark,
    looked_at: Instant,
    /// What was awaited of the task's stream then.
    awaited: u64,
    /// Whether it was there, and had not come.
    is_missed: bool,
}

/// Up to which position what is read is stored already.
enum Passed {
    /// All of it is new.
    Nothing,
    /// Of the first message that is read, the rows of a pack.
    InPart(Position),
    /// Everything that comes.
    UpTo(Position),
}

impl<'a> Session<'a> {
    async fn open(
        deriving: &'a Deriving,
        group: &'a Group,
        derived: &Derived,
        begin: Begin,
        begun: &mut Option<i64>,
    ) -> Result<Self, Failure> {
        let state = &deriving.state;
        let Begin {
            mark,
            next,
            stored,
            is_in_part,
            is_anew,
            ..
        } = begin;
        let mut deriver = Deriver::new(group.id.clone(), derived);
        deriver.left_out = mark.left_out;
        deriver.transaction = mark.transaction;
        let publisher = BatchPublisher::new(&state.data, mark.own_sequence + stored);
        let max_payload = state.data.client().server_info().max_payload;
        let room = deriving.room.clone();
        let reader = Reader::open(&state.data, &group.task_id, &group.id, next, room).await?;
        let number = derivation::begin(&state.pool, &group.id, &mark.own_made, mark.policy).await?;
        *begun = Some(number);
        let parked = derivation::parked_ahead(&state.pool, &group.id, &mark.source_made).await?;
        tracing::info!(group = %group.id, task = %group.task_id, next, end = mark.own_sequence + stored, stored, "own stream is being made");
        let mut session = Self {
            deriving,
            group,
            reader,
            deriver,
            renderer: Renderer::new(group.task_id.clone(), derived.format, max_payload),
            stored,
            passed: match (is_anew, is_in_part) {
                (true, _) => Passed::UpTo(mark.position),
                (false, true) => Passed::InPart(mark.position),
                (false, false) => Passed::Nothing,
            },
            outbox: Outbox::new(publisher, mark),
            parked,
            untold: Vec::new(),
            number,
            marked: Mark::default(),
            looked_at: Instant::now(),
            awaited: 0,
            is_missed: false,
        };
        session.mark().await?;
        Ok(session)
    }

    async fn follow(
        &mut self,
        mut timer: tokio::time::Interval,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.outbox.send().await?;
            let has_room = self.outbox.has_room();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                acked = self.outbox.acked() => acked?,
                read = self.reader.next(), if has_room => match read? {
                    Read::Unit(unit) => Box::pin(self.take(*unit)).await?,
                    Read::Lost(lost) => self.tell_gap(&lost).await?,
                },
                _ = timer.tick() => {
                    self.mark().await?;
                    self.look().await?;
                }
            }
        }
    }

    /// Makes of a message what is made of it, and queues that.
    async fn take(&mut self, mut unit: Unit) -> Result<(), Failure> {
        self.define(&unit.message).await?;
        let before = self.made(&unit);
        let taken = unit.taken.take();
        let bytes = unit.payload.len();
        let (rendered, parked) = large::work(bytes, || self.rendered(&unit))?;
        let after = self.made(&unit);
        let is_begun = self.stored > 0;
        let stored = usize::try_from(self.stored).unwrap_or(rendered.len());
        let stored = stored.min(rendered.len());
        self.stored -= stored as u64;
        if stored < rendered.len() {
            self.park(parked).await?;
        }
        // Nothing may stand between pieces; who has made the first ones has told their shape.
        if !rendered.is_empty() && !is_begun {
            self.introduce(&unit.message, before)?;
        }
        let position = match self.passed {
            Passed::UpTo(position) => position.max(unit.message.id),
            Passed::InPart(_) | Passed::Nothing => unit.message.id,
        };
        let mark = Mark {
            source_sequence: unit.last,
            left_out: self.deriver.left_out,
            transaction: self.deriver.transaction,
            position,
            ..self.outbox.last().clone()
        };
        self.outbox
            .push(rendered, stored, (before, after), mark, taken);
        Ok(())
    }

    /// What the next message says that it was made of.
    const fn made(&self, unit: &Unit) -> Made {
        Made {
            first: unit.first,
            last: unit.last,
            number: 1,
            of: 1,
            left_out: self.deriver.left_out,
            transaction: self.deriver.transaction,
            at: unit.message.id,
            before: unit.message.id,
            pieces: 0,
            policy: self.deriver.policy,
        }
    }

    /// What is made of a message, but for what of it is stored already.
    fn made_of(&mut self, unit: &Unit) -> Result<change::Made, Stop> {
        let at = match std::mem::replace(&mut self.passed, Passed::Nothing) {
            Passed::Nothing => None,
            Passed::InPart(at) => Some(at),
            Passed::UpTo(at) => {
                let id = unit.message.id;
                // A shape has the position of the change before it; told twice it does no harm, but not within that.
                let is_shape = unit.message.op == Operation::Schema;
                let is_told = id == at && is_shape && self.stored == 0;
                if id <= at {
                    self.passed = Passed::UpTo(at);
                }
                if id <= at && !is_told {
                    // What it leaves out counts in its transaction.
                    self.deriver.take(unit)?;
                    return Ok(change::Made::default());
                }
                Some(at)
            }
        };
        match at.map(|at| unit.cut(at)).transpose()?.flatten() {
            None => self.deriver.take(unit),
            Some((told, rest)) => {
                self.deriver.take(&told)?;
                self.deriver.take(&rest)
            }
        }
    }

    /// That, written in the group's format. A change that has no form in it is missing, which is told.
    fn rendered(&mut self, unit: &Unit) -> Result<(Vec<Rendered>, Vec<ToPark>), Stop> {
        let change::Made { outs, mut to_park } = self.made_of(unit)?;
        let tables = &self.deriver.tables;
        let mut all = Vec::with_capacity(outs.len());
        let mut outs = VecDeque::from(outs);
        while let Some(out) = outs.pop_front() {
            let error = match self.renderer.render(&out, tables) {
                Ok(mut rendered) => {
                    all.append(&mut rendered);
                    continue;
                }
                Err(error) => error,
            };
            let reason = error.to_string();
            if !error.is_too_large() || tables.action() == RowErrorAction::Stop {
                return Err(Stop(reason));
            }
            // Rows that are too large together may not be so alone.
            if !out.message.pack.is_empty() {
                let rows = self.deriver.one_by_one(unit, out.message)?;
                outs = rows.into_iter().chain(outs).collect();
                continue;
            }
            let gap = self.deriver.gap(&out.message, &reason);
            let rendered = self.renderer.render(&gap, tables);
            all.append(&mut rendered.map_err(|error| Stop(error.to_string()))?);
            to_park.push(change::to_park(&out.message, reason, unit.payload.clone()));
        }
        Ok((all, to_park))
    }

    /// Writes down up to where the own stream is made, where that is news. The stream's end says it too, so while the
    /// database is away the session goes on.
    async fn mark(&mut self) -> Result<(), Failure> {
        let stored = self.outbox.stored();
        if *stored == self.marked {
            return Ok(());
        }
        let pool = &self.deriving.state.pool;
        match derivation::mark(pool, &self.group.id, self.number, stored).await {
            Ok(true) => self.marked = stored.clone(),
            Ok(false) => return Err(OVERTAKEN.into()),
            Err(error) => {
                tracing::warn!(group = %self.group.id, task = %self.group.task_id, %error, "not marked how far the own stream is");
            }
        }
        Ok(())
    }

    /// Looks whether both streams are still those that the session began with.
    async fn look(&mut self) -> Result<(), Failure> {
        if self.looked_at.elapsed() < LOOK_EVERY {
            return Ok(());
        }
        self.looked_at = Instant::now();
        let data = &self.deriving.state.data;
        let source = own_stream::look(data, &task_stream(&self.group.task_id)).await?;
        let own = own_stream::look(data, &group_stream(&self.group.id)).await?;
        let (Some(source), Some(own)) = (source, own) else {
            return Err("a stream is gone".into());
        };
        let known = self.outbox.stored();
        if own_stream::made(&source) != known.source_made
            || own_stream::made(&own) != known.own_made
        {
            return Err("a stream was made anew".into());
        }
        own_stream::keep(data, &own, &source).await?;
        self.is_read().await
    }

    /// Whether what the task's stream holds comes. A broker that has forgotten who reads it tells nobody.
    async fn is_read(&mut self) -> Result<(), Failure> {
        let next = self.reader.awaits();
        let awaited = std::mem::replace(&mut self.awaited, next);
        if !self.outbox.is_empty() || self.reader.waits_for_room() {
            return Ok(());
        }
        if self.reader.is_stuck_in_pieces() {
            return Err("the rest of a change in pieces does not come".into());
        }
        // What has been stored during this look may be on its way.
        let is_missed = awaited == next && self.reader.has_next().await?;
        if is_missed && std::mem::replace(&mut self.is_missed, is_missed) {
            return Err("the task's stream holds messages, and none comes".into());
        }
        self.is_missed = is_missed;
        Ok(())
    }
}
