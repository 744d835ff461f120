//! One run of a worker: finds where to go on, and makes the group's own stream of its task's stream until something fails.
//!
//! ```text
//! task's stream ─▶ reader ─▶ policy ─▶ format ─▶ outbox ─▶ own stream
//!                                                  └─ acknowledged ─▶ mark in the table
//! ```
//!
//! After anything but an acknowledgement the session ends, and the next one reads the own stream's end.

use std::time::Duration;

use rowcast_bus::async_nats::HeaderMap;
use rowcast_bus::batch::BatchPublisher;
use rowcast_bus::park::Parked;
use rowcast_domain::{Lsn, Position};
use rowcast_proto::change::{Gap, Operation, TableSchema};
use rowcast_proto::derived::Made;
use rowcast_proto::message::{DerivationState, RowErrorAction};
use rowcast_proto::stream::{group_stream, task_stream};
use rowcast_proto::subject;
use rowcast_service::{BoxError, CancellationToken};
use tokio::time::{Instant, MissedTickBehavior};

use super::Deriving;
use super::begin::{self, Begin};
use super::change::{self, Deriver, Out, Stop, ToPark, Unit};
use super::failure::Failure;
use super::message::{Message, bare};
use super::outbox::Outbox;
use super::reader::Reader;
use super::render::{RenderError, Rendered, Renderer};
use crate::store::derivation::Mark;
use crate::store::group::{Derived, Group};
use crate::{own_stream, store};

/// How often the mark is written, where it has moved.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// How often both streams are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Who parks.
const BY: &str = "consumer-group";

/// What a session has ended with, where nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// There is no stream to read yet, or the group was deleted.
    NothingToRead,
    /// It was told to.
    Stopped,
}

/// Makes the own stream until told to stop.
///
/// # Errors
/// What has failed.
pub(super) async fn run(
    deriving: &Deriving,
    group: &Group,
    derived: &Derived,
    stop: &CancellationToken,
) -> Result<Ended, Failure> {
    let Some(begin) = begin::find(&deriving.state, group).await? else {
        return Ok(Ended::NothingToRead);
    };
    let mut session = Session::open(deriving, group, derived, begin).await?;
    let looking = tokio::time::interval(MARK_EVERY);
    let done = session.follow(looking, stop).await;
    // What is known to be stored is written down whatever has ended the session.
    session.mark().await;
    done?;
    Ok(Ended::Stopped)
}

struct Session<'a> {
    deriving: &'a Deriving,
    group: &'a Group,
    reader: Reader,
    deriver: Deriver,
    renderer: Renderer,
    outbox: Outbox,
    stored: u64,
    until: Option<Position>,
    marked: Mark,
    looked_at: Instant,
}

impl<'a> Session<'a> {
    async fn open(
        deriving: &'a Deriving,
        group: &'a Group,
        derived: &Derived,
        begin: Begin,
    ) -> Result<Self, Failure> {
        let state = &deriving.state;
        let Begin {
            mark,
            next,
            stored,
            until,
            lost_up_to,
        } = begin;
        let mut deriver = Deriver::new(group.id.clone(), derived);
        deriver.left_out = mark.left_out;
        deriver.transaction = mark.transaction;
        let publisher = BatchPublisher::new(&state.data, mark.own_sequence + stored);
        let max_payload = state.data.client().server_info().max_payload;
        let begins_at = lost_up_to.map_or(next, |lost| lost + 1);
        let mut session = Self {
            deriving,
            group,
            reader: Reader::open(&state.data, &group.task_id, &group.id, begins_at).await?,
            deriver,
            renderer: Renderer::new(group.task_id.clone(), derived.format, max_payload),
            outbox: Outbox::new(publisher, mark.clone()),
            stored,
            until,
            marked: Mark::default(),
            looked_at: Instant::now(),
        };
        let mut reason = String::new();
        if let Some(lost_up_to) = lost_up_to {
            reason = format!(
                "retention has removed the messages {next} to {lost_up_to} of the task's stream before they were taken"
            );
            session.tell_gap((next, lost_up_to), &mark, &reason).await?;
        }
        store::derivation::tell(&state.pool, &group.id, DerivationState::Running, &reason).await?;
        session.mark().await;
        tracing::info!(group = %group.id, task = %group.task_id, next = begins_at, end = mark.own_sequence + stored, stored, "own stream is being made");
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
                unit = self.reader.next(), if has_room => self.take(unit?).await?,
                _ = timer.tick() => {
                    self.mark().await;
                    self.look().await?;
                }
            }
        }
    }

    /// Makes of a message what is made of it, and queues that.
    async fn take(&mut self, unit: Unit) -> Result<(), Failure> {
        for id in self.deriver.wants(&unit.message) {
            let definition = self.shape(&id).await?;
            self.deriver
                .tables
                .define(definition, &unit.message.database);
        }
        let before = self.made(&unit);
        let made = self.deriver.take(&unit)?;
        let after = self.made(&unit);
        let (rendered, parked) = self.rendered(&unit, made)?;
        let (rendered, stored) = self.not_stored(&unit.message, rendered);
        if stored < rendered.len() {
            self.park(parked).await?;
        }
        let mark = Mark {
            source_sequence: unit.last,
            left_out: self.deriver.left_out,
            transaction: self.deriver.transaction,
            position: unit.message.id,
            ..self.outbox.last().clone()
        };
        self.outbox.push(rendered, stored, (before, after), mark);
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
        }
    }

    /// What of the messages that are made of this one is not passed over, and how many of that the own stream has
    /// already.
    fn not_stored(&mut self, message: &Message, made: Vec<Rendered>) -> (Vec<Rendered>, usize) {
        if let Some(until) = self.until {
            // A shape has the position of the change before it; told twice it does no harm, but not within that.
            let is_shape = message.op == Operation::Schema;
            let is_in_part = self.stored > 0;
            if message.id < until || (message.id == until && is_shape == is_in_part) {
                return (Vec::new(), 0);
            }
            if message.id == until && is_shape {
                return (made, 0);
            }
            self.until = None;
            if message.id > until {
                self.outbox.pass_over(std::mem::take(&mut self.stored));
            }
        }
        let stored = usize::try_from(self.stored).unwrap_or(made.len());
        let stored = stored.min(made.len());
        self.stored -= stored as u64;
        (made, stored)
    }

    /// Written in the group's format. A change that has no form in it is missing, which is told.
    fn rendered(
        &self,
        unit: &Unit,
        made: change::Made,
    ) -> Result<(Vec<Rendered>, Vec<ToPark>), Failure> {
        let change::Made { outs, mut to_park } = made;
        let tables = &self.deriver.tables;
        let mut all = Vec::with_capacity(outs.len());
        for out in outs {
            match self.renderer.render(&out, tables) {
                Ok(mut rendered) => all.append(&mut rendered),
                Err(RenderError::Json(error)) => return Err(Stop(error.to_string()).into()),
                Err(error @ RenderError::TooLarge(_, _)) => {
                    let reason = error.to_string();
                    if tables.action() == RowErrorAction::Stop {
                        return Err(Stop(reason).into());
                    }
                    let gap = self.deriver.gap(&out.message, &reason);
                    let rendered = self.renderer.render(&gap, tables);
                    all.append(&mut rendered.map_err(|error| Stop(error.to_string()))?);
                    to_park.push(change::to_park(&out.message, reason, unit.payload.clone()));
                }
            }
        }
        Ok((all, to_park))
    }

    async fn park(&self, all: Vec<ToPark>) -> Result<(), Failure> {
        if all.is_empty() {
            return Ok(());
        }
        let number = all.len() as u64;
        for ToPark {
            id,
            schema_id,
            reason,
            payload,
        } in all
        {
            let mut headers = HeaderMap::new();
            headers.insert("Rowcast-Id", id.to_string().as_str());
            headers.insert("Rowcast-Schema", schema_id.as_str());
            headers.insert("Rowcast-Group", self.group.id.as_str());
            let parked = Parked {
                by: BY,
                from: &subject::group_changes(&self.group.id),
                reason: &reason,
                headers,
                payload,
            };
            parked.store(&self.deriving.control).await?;
        }
        store::derivation::parked(&self.deriving.state.pool, &self.group.id, number).await?;
        Ok(())
    }

    /// A shape that was told before where we began.
    async fn shape(&self, id: &str) -> Result<TableSchema, Failure> {
        let key = format!("{}.{}", self.group.task_id, subject::escape(id));
        let found = self
            .deriving
            .schemas
            .get(key)
            .await
            .map_err(BoxError::from)?;
        let found = found.ok_or_else(|| BoxError::from(format!("the shape {id} is not known")))?;
        Ok(serde_json::from_slice(&found).map_err(BoxError::from)?)
    }

    /// Tells that messages of the task's stream are missing, before the first that is there.
    async fn tell_gap(
        &mut self,
        (from, to): (u64, u64),
        mark: &Mark,
        reason: &str,
    ) -> Result<(), Failure> {
        let state = &self.deriving.state;
        let name = task_stream(&self.group.task_id);
        let stream = state.data.jetstream().get_stream_no_info(name).await;
        let stream = stream.map_err(BoxError::from)?;
        let first = stream
            .get_raw_message(to + 1)
            .await
            .map_err(BoxError::from)?;
        let first = super::message::read(&first.payload)?;
        let position = first.id;
        let gap = Gap {
            code: "Gap".to_owned(),
            cause: reason.to_owned(),
            from: mark.position.commit_lsn,
            to: position.commit_lsn,
        };
        let before = Position::new(position.commit_lsn, position.ordinal.saturating_sub(1));
        let message = Message {
            id: before,
            ordinal: before.ordinal,
            schema: None,
            table: None,
            xid: None,
            gap: Some(gap),
            ..bare(&first, Operation::Gap)
        };
        let out = Out {
            subject: subject::derived_gap(&self.group.id, None),
            message,
            as_it_came: None,
        };
        let rendered = self.renderer.render(&out, &self.deriver.tables);
        let rendered = rendered.map_err(|error| Stop(error.to_string()))?;
        let made = Made {
            first: from,
            last: to,
            number: 1,
            of: 1,
            left_out: 0,
            transaction: Lsn::INVALID,
        };
        self.deriver.left_out = 0;
        self.deriver.transaction = Lsn::INVALID;
        self.outbox.pass_over(std::mem::take(&mut self.stored));
        let mark = Mark {
            source_sequence: to,
            left_out: 0,
            transaction: Lsn::INVALID,
            position: before,
            ..mark.clone()
        };
        self.outbox.push(rendered, 0, (made, made), mark);
        Ok(())
    }

    /// Writes down up to where the own stream is made, where that is news. The stream's end says it too, so while the
    /// database is away the session goes on.
    async fn mark(&mut self) {
        let stored = self.outbox.stored();
        if *stored == self.marked {
            return;
        }
        match store::derivation::mark(&self.deriving.state.pool, &self.group.id, stored).await {
            Ok(()) => self.marked = stored.clone(),
            Err(error) => {
                tracing::warn!(group = %self.group.id, task = %self.group.task_id, %error, "not marked how far the own stream is");
            }
        }
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
        Ok(())
    }
}
