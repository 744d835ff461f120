//! What of a group's own stream is made of a message of its task's stream. Pure: the same messages give the same, whoever
//! reads them and however often, which is what going on in the middle rests on.
//!
//! | message | becomes |
//! |---|---|
//! | insert, update, delete | what the policy makes of it, or nothing |
//! | pack | a pack of those that are told; a single one stands alone |
//! | schema | the shape that the policy gives the table |
//! | truncate | the same, in that shape |
//! | commit | the same, with the number of changes that are told |
//! | begin, heartbeat, ddl, message, gap | the same |
//! | pieces | are joined first, and what is made of the whole is cut again |

mod shape;

use std::sync::Arc;

use bytes::Bytes;
use rowcast_domain::{GroupId, Lsn, Position};
use rowcast_proto::change::{Gap, Operation};
use rowcast_proto::message::{GroupFormat, RowErrorAction};
use rowcast_proto::subject;

use super::format::{self, Packs};
use super::large::Taken;
use super::message::{Message, bare};
use super::row;
use super::tables::{Fit, Fitted, Tables};
use crate::store::group::Derived;

/// The policy fails on a row; as capture names it.
const ETL_FAILED: &str = "EtlFailed";

/// A whole message of the task's stream.
#[derive(Debug)]
pub(super) struct Unit {
    /// Sequence of its first piece.
    pub(super) first: u64,
    /// Sequence of its last piece, or its own.
    pub(super) last: u64,
    pub(super) subject: String,
    pub(super) message: Message,
    /// As it was stored, or its pieces joined.
    pub(super) payload: Bytes,
    /// Memory for it, where it is large.
    pub(super) taken: Option<Taken>,
}

impl Unit {
    /// A pack in two: the rows up to this position, and those behind it. `None` where all of it lies behind, or where it
    /// is none.
    ///
    /// # Errors
    /// Where the rest cannot be written.
    pub(super) fn cut(&self, at: Position) -> Result<Option<(Self, Self)>, Stop> {
        let is_behind = |row: &Message| row.lsn != at.commit_lsn || row.ordinal > at.ordinal;
        if self.message.pack.iter().all(is_behind) {
            return Ok(None);
        }
        let (rest, told) = self.message.pack.iter().cloned().partition(is_behind);
        let part = |rows: Vec<Message>| {
            let message = Message {
                pack: rows,
                schema: self.message.schema.clone(),
                table: self.message.table.clone(),
                ..bare(&self.message, Operation::Pack)
            };
            let payload = serde_json::to_vec(&message).map_err(|error| Stop(error.to_string()))?;
            Ok(Self {
                first: self.first,
                last: self.last,
                subject: self.subject.clone(),
                message,
                payload: payload.into(),
                taken: None,
            })
        };
        Ok(Some((part(told)?, part(rest)?)))
    }
}

/// A message of the own stream, still to be written in the group's format.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) subject: String,
    pub(super) message: Message,
    /// Its bytes, where it leaves as it came.
    pub(super) as_it_came: Option<Bytes>,
}

/// A change that cannot be told, and is to be parked before it is told that it is missing.
#[derive(Debug)]
pub(super) struct ToPark {
    pub(super) id: Position,
    pub(super) schema_id: String,
    pub(super) reason: String,
    pub(super) payload: Bytes,
}

/// What is made of a message.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) outs: Vec<Out>,
    pub(super) to_park: Vec<ToPark>,
}

/// The group has to stop, for this reason.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Stop(pub(super) String);

/// Makes the own stream of one group.
#[derive(Debug)]
pub(super) struct Deriver {
    group: GroupId,
    pub(super) tables: Tables,
    has_policy: bool,
    format: GroupFormat,
    /// How often the policy was changed.
    pub(super) policy: u64,
    /// How many changes of `transaction` were left out.
    pub(super) left_out: u64,
    /// Commit LSN of the transaction that was read last.
    pub(super) transaction: Lsn,
}

impl Deriver {
    pub(super) fn new(group: GroupId, derived: &Derived) -> Self {
        Self {
            group,
            tables: Tables::new(derived.etl.as_ref()),
            has_policy: derived.etl.is_some(),
            format: derived.format,
            policy: derived.version,
            left_out: 0,
            transaction: Lsn::INVALID,
        }
    }

    /// The shapes that must be defined before this message can be taken.
    pub(super) fn wants(&self, message: &Message) -> Vec<String> {
        if !self.has_policy && !format::needs_shapes(self.format) && !self.introduces() {
            return Vec::new();
        }
        let all = std::iter::once(message).chain(&message.pack);
        let ids = all.filter_map(|message| message.schema_id.as_ref());
        let unknown = ids.filter(|id| self.tables.get(id).is_none());
        let mut unknown: Vec<String> = unknown.cloned().collect();
        if message.op == Operation::Schema {
            unknown.clear();
        }
        unknown.dedup();
        unknown
    }

    /// What is made of a message.
    ///
    /// # Errors
    /// Where the group has to stop before it.
    pub(super) fn take(&mut self, unit: &Unit) -> Result<Made, Stop> {
        let Unit {
            message, payload, ..
        } = unit;
        if message.op != Operation::Schema && message.lsn != self.transaction {
            self.transaction = message.lsn;
            self.left_out = 0;
        }
        let mut made = Made::default();
        match message.op {
            Operation::Insert | Operation::Update | Operation::Delete => {
                self.row(unit, message, payload, &mut made)?;
            }
            Operation::Pack => self.pack(unit, &mut made)?,
            Operation::Schema => self.schema(unit, &mut made)?,
            Operation::Truncate => self.truncate(unit, &mut made)?,
            Operation::Commit => self.commit(unit, &mut made)?,
            Operation::Ddl if !format::tells_ddl(self.format) => self.left_out += 1,
            Operation::Begin
            | Operation::Heartbeat
            | Operation::Ddl
            | Operation::Message
            | Operation::Gap => made.outs.push(self.same(unit)?),
            // It may hold rows: nothing is told that the policy was not applied to.
            Operation::Part | Operation::Unknown => {
                return Err(Stop(format!(
                    "message {} of the task's stream is of a kind that this version of consumer-group does not know",
                    unit.last
                )));
            }
        }
        Ok(made)
    }

    /// A row of a message of its own, or of a pack.
    fn row(
        &mut self,
        unit: &Unit,
        row: &Message,
        payload: &Bytes,
        made: &mut Made,
    ) -> Result<(), Stop> {
        let Some(fitted) = self.fitted(row)? else {
            made.outs.push(self.same(unit)?);
            return Ok(());
        };
        match (&fitted.fit, self.applied(row, &fitted)?) {
            (Fit::AsIs, _) => made.outs.push(self.same(unit)?),
            (Fit::Changed { .. } | Fit::Unfit(_), Applied::Told(told)) => {
                made.outs.push(self.out(unit, *told)?);
            }
            (Fit::Changed { .. } | Fit::Unfit(_), Applied::LeftOut) => self.left_out += 1,
            (Fit::Changed { .. } | Fit::Unfit(_), Applied::ToPark(reason)) => {
                made.outs.push(self.gap(row, &reason));
                made.to_park.push(to_park(row, reason, payload.clone()));
            }
        }
        Ok(())
    }

    fn pack(&mut self, unit: &Unit, made: &mut Made) -> Result<(), Stop> {
        let mut is_same = format::packs(self.format) == Packs::Any;
        let mut told = Vec::new();
        let mut before = Vec::new();
        for row in &unit.message.pack {
            let Some(fitted) = self.fitted(row)? else {
                told.push(row.clone());
                continue;
            };
            if !matches!(fitted.fit, Fit::AsIs) {
                is_same = false;
            }
            match self.applied(row, &fitted)? {
                Applied::Told(row) => told.push(*row),
                Applied::LeftOut => self.left_out += 1,
                Applied::ToPark(reason) => {
                    self.close_pack(unit, &mut told, &mut before)?;
                    before.push(self.gap(row, &reason));
                    let payload =
                        serde_json::to_vec(row).map_err(|error| Stop(error.to_string()))?;
                    made.to_park.push(to_park(row, reason, payload.into()));
                }
            }
        }
        if is_same {
            made.outs.push(self.same(unit)?);
            return Ok(());
        }
        self.close_pack(unit, &mut told, &mut before)?;
        made.outs.append(&mut before);
        Ok(())
    }

    /// Tells the rows that wait: several as a pack, as far as the format has packs.
    fn close_pack(
        &self,
        unit: &Unit,
        rows: &mut Vec<Message>,
        outs: &mut Vec<Out>,
    ) -> Result<(), Stop> {
        for rows in self.together(std::mem::take(rows)) {
            let Some(last) = rows.last().filter(|_last| rows.len() > 1) else {
                for row in rows {
                    outs.push(self.of_row(unit, row)?);
                }
                continue;
            };
            let pack = Message {
                schema: unit.message.schema.clone(),
                table: unit.message.table.clone(),
                pack: Vec::new(),
                ..bare(last, Operation::Pack)
            };
            let pack = Message { pack: rows, ..pack };
            outs.push(self.out(unit, pack)?);
        }
        Ok(())
    }

    /// Rows in their order, those together that the format can tell in one message.
    fn together(&self, rows: Vec<Message>) -> Vec<Vec<Message>> {
        let is_one = |last: &Message, next: &Message| match format::packs(self.format) {
            Packs::Any => true,
            Packs::OfOneShape => last.schema_id == next.schema_id,
            Packs::None => false,
        };
        let mut all: Vec<Vec<Message>> = Vec::new();
        for row in rows {
            let last = all.last().and_then(|together| together.last());
            let goes_on = last.is_some_and(|last| is_one(last, &row));
            if let Some(together) = all.last_mut().filter(|_together| goes_on) {
                together.push(row);
            } else {
                all.push(vec![row]);
            }
        }
        all
    }

    /// The rows of a pack, a message each.
    ///
    /// # Errors
    /// Where it holds what is no row.
    pub(super) fn one_by_one(&self, unit: &Unit, pack: Message) -> Result<Vec<Out>, Stop> {
        let rows = pack.pack.into_iter();
        rows.map(|row| self.of_row(unit, row)).collect()
    }

    fn schema(&mut self, unit: &Unit, made: &mut Made) -> Result<(), Stop> {
        let message = &unit.message;
        let Some(definition) = &message.definition else {
            return Err(Stop("a shape without a definition".to_owned()));
        };
        let fitted = self.tables.define(definition.clone(), &message.database);
        if !format::tells_shapes(self.format) {
            return Ok(());
        }
        let out = match fitted.fit {
            Fit::AsIs | Fit::Unfit(_) => self.same(unit)?,
            Fit::Changed { .. } => {
                let told = fitted.told().clone();
                let message = Message {
                    schema_id: Some(told.id.clone()),
                    definition: Some(told),
                    ..bare(message, Operation::Schema)
                };
                self.out(unit, message)?
            }
        };
        made.outs.push(out);
        Ok(())
    }

    fn truncate(&self, unit: &Unit, made: &mut Made) -> Result<(), Stop> {
        let told = self.fitted(&unit.message)?;
        let out = match told.filter(|fitted| matches!(fitted.fit, Fit::Changed { .. })) {
            None => self.same(unit)?,
            Some(fitted) => {
                let message = Message {
                    schema_id: Some(fitted.told().id.clone()),
                    ..unit.message.clone()
                };
                self.out(unit, message)?
            }
        };
        made.outs.push(out);
        Ok(())
    }

    fn commit(&mut self, unit: &Unit, made: &mut Made) -> Result<(), Stop> {
        let left_out = std::mem::take(&mut self.left_out);
        let out = match unit.message.changes {
            Some(changes) if left_out > 0 => {
                let message = Message {
                    changes: Some(changes.saturating_sub(left_out)),
                    ..unit.message.clone()
                };
                self.out(unit, message)?
            }
            Some(_) | None => self.same(unit)?,
        };
        made.outs.push(out);
        Ok(())
    }

    /// The row's table; `None` where nothing needs to be known of it.
    fn fitted(&self, row: &Message) -> Result<Option<Arc<Fitted>>, Stop> {
        if !self.has_policy {
            return Ok(None);
        }
        let id = row.schema_id.as_deref().unwrap_or_default();
        match self.tables.get(id) {
            Some(fitted) => Ok(Some(fitted)),
            None => Err(Stop(format!("the shape {id} of {} is not known", row.id))),
        }
    }

    fn applied(&self, row: &Message, fitted: &Fitted) -> Result<Applied, Stop> {
        let program = match &fitted.fit {
            Fit::AsIs => return Ok(Applied::Told(Box::new(row.clone()))),
            // One row after the other would be parked, or vanish: that is for the user to decide.
            Fit::Unfit(reason) => return Err(Stop(reason.clone())),
            Fit::Changed { program, .. } => program,
        };
        let reason = match row::transform(row, fitted, program) {
            Ok(Some(told)) => return Ok(Applied::Told(Box::new(told))),
            Ok(None) => return Ok(Applied::LeftOut),
            Err(reason) => reason,
        };
        match self.tables.action() {
            RowErrorAction::Drop => Ok(Applied::LeftOut),
            RowErrorAction::Stop => Err(Stop(format!(
                "the ETL policy fails on the change {} of {}.{}: {reason}",
                row.id, fitted.source.schema, fitted.source.table
            ))),
            RowErrorAction::Unspecified | RowErrorAction::Park => Ok(Applied::ToPark(reason)),
        }
    }

    /// The message as it came.
    fn same(&self, unit: &Unit) -> Result<Out, Stop> {
        let message = &unit.message;
        if !format::leaves_as_it_came(self.format, &unit.payload) {
            return self.out(unit, message.clone());
        }
        // Its bytes are told: of what it says no more is needed than where it stands.
        let head = Message {
            schema_id: message.schema_id.clone(),
            ..bare(message, message.op)
        };
        let mut out = self.out(unit, head)?;
        out.as_it_came = Some(unit.payload.clone());
        Ok(out)
    }

    /// A message in the place of the one that was read.
    fn out(&self, unit: &Unit, message: Message) -> Result<Out, Stop> {
        let subject = subject::derived(&self.group, &unit.subject)
            .ok_or_else(|| Stop(format!("a message on the subject {}", unit.subject)))?;
        Ok(Out {
            subject,
            message,
            as_it_came: None,
        })
    }

    /// A row of a pack, on a subject of its own.
    fn of_row(&self, unit: &Unit, row: Message) -> Result<Out, Stop> {
        let op = match row.op {
            Operation::Insert => subject::Op::Insert,
            Operation::Update => subject::Op::Update,
            Operation::Delete => subject::Op::Delete,
            Operation::Truncate
            | Operation::Schema
            | Operation::Begin
            | Operation::Commit
            | Operation::Heartbeat
            | Operation::Ddl
            | Operation::Message
            | Operation::Gap
            | Operation::Part
            | Operation::Pack
            | Operation::Unknown => return Err(Stop("a pack of what is no row".to_owned())),
        };
        let subject = subject::derived_row(&self.group, &unit.subject, &object(&row), op)
            .ok_or_else(|| Stop(format!("a pack on the subject {}", unit.subject)))?;
        Ok(Out {
            subject,
            message: row,
            as_it_came: None,
        })
    }

    /// What stands in the place of a change that cannot be told.
    pub(super) fn gap(&self, row: &Message, reason: &str) -> Out {
        let gap = Gap {
            code: ETL_FAILED.to_owned(),
            cause: reason.to_owned(),
            from: row.lsn,
            to: row.lsn,
        };
        Out {
            subject: subject::derived_gap(&self.group, Some(&object(row))),
            message: Message {
                gap: Some(gap),
                ..bare(row, Operation::Gap)
            },
            as_it_came: None,
        }
    }
}

/// What the policy makes of a row.
enum Applied {
    Told(Box<Message>),
    LeftOut,
    ToPark(String),
}

fn object(row: &Message) -> String {
    let (schema, table) = (row.schema.as_deref(), row.table.as_deref());
    subject::object(schema.unwrap_or_default(), table.unwrap_or_default())
}

pub(super) fn to_park(row: &Message, reason: String, payload: Bytes) -> ToPark {
    ToPark {
        id: row.id,
        schema_id: row.schema_id.clone().unwrap_or_default(),
        reason,
        payload,
    }
}

#[cfg(test)]
mod tests;
