//! Stage 3: the task's ETL policy, applied to rows. Synchronous.
//!
//! A policy belongs to transactions, as the task's objects do: one that takes the place of another while the
//! task runs begins at a commit LSN, which is written down. So a row that is read again is told with the same
//! bytes.
//!
//! Before images go through it as well: what is masked is masked there too. Of an old row that is only its key
//! nothing but the names of its columns changes: a policy does not set key columns.

mod tables;

use std::sync::Arc;

use rowcast_domain::Lsn;
use rowcast_etl::{Cell, Datum as Value, Event, OldRow, Operation, Program, Told};
use rowcast_proto::change::TrackedObjects;
use rowcast_proto::message::RowErrorAction;

use self::tables::{Fitted, Tables};
use super::change::{Images, Relation, RowChange};
use super::decode::message::tuple_buffer::TupleBuffer;
use super::decode::message::{Datum, OldTuple, Tuple};

/// Applies the policies of one task.
#[derive(Debug)]
pub(crate) struct Transform {
    database: String,
    now: Tables,
    /// What applies to transactions that commit before `since`, until the first later one.
    before: Option<Tables>,
    since: Lsn,
    /// The tables as the source has them.
    sources: Vec<Arc<Relation>>,
    new: TupleBuffer,
    old: TupleBuffer,
}

/// Why a row cannot be told.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Its table, as the source has it.
    pub(crate) relation: Arc<Relation>,
    /// In a sentence, without values of the row.
    pub(crate) reason: String,
    /// What the user wants to become of it.
    pub(crate) action: RowErrorAction,
}

impl Transform {
    /// Applies what is written down; `database` is the one that the task tracks.
    pub(crate) fn new(record: &TrackedObjects, database: &str) -> Self {
        let tables = |etl: &Option<_>| Tables::new(etl.as_ref(), database);
        Self {
            database: database.to_owned(),
            now: tables(&record.etl),
            before: record.etl_since.map(|_since| tables(&record.etl_before)),
            since: record.etl_since.unwrap_or(Lsn::INVALID),
            sources: Vec::new(),
            new: TupleBuffer::default(),
            old: TupleBuffer::default(),
        }
    }

    /// Applies from the next transaction on what is written down anew; gives the tables in their new form.
    pub(crate) fn replace(&mut self, record: &TrackedObjects) -> Vec<Arc<Relation>> {
        let sources = std::mem::take(&mut self.sources);
        *self = Self::new(record, &self.database);
        // No earlier transaction follows.
        self.before = None;
        let told = sources.into_iter().flat_map(|source| self.define(source));
        told.collect()
    }

    /// Takes a table's shape, for the rows that follow. Gives the shapes that it is told in; the last of them is the
    /// one in force.
    pub(crate) fn define(&mut self, source: Arc<Relation>) -> Vec<Arc<Relation>> {
        self.sources.retain(|known| known.oid != source.oid);
        let now = self.now.define(&source);
        let before = self.before.as_mut().map(|before| before.define(&source));
        self.sources.push(source);
        [Some(now), before].into_iter().flatten().collect()
    }

    /// A transaction begins. Gives the tables in their new form where another policy applies from it on.
    pub(crate) fn begins(&mut self, commit_lsn: Lsn) -> Vec<Arc<Relation>> {
        if self.before.is_none() || commit_lsn < self.since {
            return Vec::new();
        }
        self.before = None;
        let told = self.sources.iter().map(|source| self.now.told(source));
        told.collect()
    }

    /// The form in which a table is told.
    pub(crate) fn told(&self, source: &Arc<Relation>) -> Arc<Relation> {
        self.before.as_ref().unwrap_or(&self.now).told(source)
    }

    /// The row as it is told; `None` where it is not.
    ///
    /// # Errors
    /// Where the policy does not fit the table, or the row does not fit the policy.
    pub(crate) fn row<'a>(
        &'a mut self,
        row: RowChange<'a>,
    ) -> Result<Option<RowChange<'a>>, Failed> {
        let Self {
            now,
            before,
            sources,
            new,
            old,
            ..
        } = self;
        let tables = before.as_ref().unwrap_or(now);
        let (fitted, oid) = (tables.fitted(row.relation.oid), row.relation.oid);
        let (program, told) = match fitted {
            None | Some(Fitted::AsIs) => return Ok(Some(row)),
            // One row after the other would be parked, or vanish: that is for the user to decide.
            Some(Fitted::Unfit(reason)) => {
                return failed(sources, oid, reason.clone(), RowErrorAction::Stop);
            }
            Some(Fitted::Changed { program, told }) => (program, told),
        };
        match apply(program, &row.relation.key, &row, (new, old)) {
            Err(reason) => failed(sources, oid, reason, tables.action()),
            Ok(None) => Ok(None),
            Ok(Some(written)) => Ok(Some(RowChange {
                relation: told,
                images: images(row.images, written, (new, old)),
                ..row
            })),
        }
    }
}

fn failed<T>(
    sources: &[Arc<Relation>],
    oid: u32,
    reason: String,
    action: RowErrorAction,
) -> Result<Option<T>, Failed> {
    let mut sources = sources.iter();
    match sources.find(|known| known.oid == oid) {
        Some(relation) => Err(Failed {
            relation: Arc::clone(relation),
            reason,
            action,
        }),
        // A table is fitted where it is defined, and nowhere else.
        None => Ok(None),
    }
}

/// Whether the old row was written beside the new one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Both,
    OnlyNew,
}

/// The images that were written.
fn images<'a>(
    sent: Images<'_>,
    written: Written,
    (new, old): (&'a TupleBuffer, &'a TupleBuffer),
) -> Images<'a> {
    let like = |sent: OldTuple<'_>| match sent {
        OldTuple::Key(_) => OldTuple::Key(old.tuple()),
        OldTuple::Full(_) => OldTuple::Full(old.tuple()),
    };
    match sent {
        Images::Insert { .. } => Images::Insert { new: new.tuple() },
        Images::Update { old: sent, .. } => Images::Update {
            old: sent.filter(|_| written == Written::Both).map(like),
            new: new.tuple(),
        },
        Images::Delete { old: sent } => Images::Delete { old: like(sent) },
    }
}

/// Writes the images as they are told; `None` where the row is not.
fn apply(
    program: &Program,
    key: &[bool],
    row: &RowChange<'_>,
    (new_out, old_out): (&mut TupleBuffer, &mut TupleBuffer),
) -> Result<Option<Written>, String> {
    let (operation, old, new) = match row.images {
        Images::Insert { new } => (Operation::Insert, None, Some(new)),
        Images::Update { old, new } => (Operation::Update, old, Some(new)),
        Images::Delete { old } => (Operation::Delete, Some(old), None),
    };
    let event = Event {
        operation,
        committed_at: row.transaction.committed_at,
        commit_lsn: row.transaction.commit_lsn.as_u64(),
        ordinal: row.ordinal,
    };
    let old = old.map(|old| match old {
        OldTuple::Full(tuple) => OldRow::Full(values(tuple)),
        OldTuple::Key(tuple) => OldRow::Key(values(tuple)),
    });
    let told = program.change(key, old, new.map(values), &event);
    let Some(Told { new, old }) = told.map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    write(new_out, new.as_deref())?;
    write(old_out, old.as_deref())?;
    Ok(Some(if old.is_some() {
        Written::Both
    } else {
        Written::OnlyNew
    }))
}

fn values(tuple: Tuple<'_>) -> Vec<Value<'_>> {
    tuple.datums().map(value).collect()
}

const fn value(datum: Datum<'_>) -> Value<'_> {
    match datum {
        Datum::Null => Value::Null,
        Datum::Unchanged => Value::Unchanged,
        Datum::Text(text) => Value::Text(text),
    }
}

fn write(out: &mut TupleBuffer, cells: Option<&[Cell<'_>]>) -> Result<(), String> {
    out.clear();
    for cell in cells.unwrap_or_default() {
        push(out, cell)?;
    }
    Ok(())
}

fn push(out: &mut TupleBuffer, cell: &Cell<'_>) -> Result<(), String> {
    let datum = match cell {
        Cell::Unchanged => Datum::Unchanged,
        Cell::Null => Datum::Null,
        Cell::Text(text) => Datum::Text(text),
    };
    let fits = out.push(datum);
    fits.then_some(())
        .ok_or_else(|| "the ETL policy makes a row that is too large".to_owned())
}

#[cfg(test)]
mod tests;
