//! Which of the decoded changes the task tracks.
//!
//! The publication is only a coarse filter: one of all tables cannot leave any out, and a transaction
//! that was open while the task's objects changed is decoded by both. What is told follows the commit
//! LSN alone, so that a change of the objects, or of the kinds of changes, takes effect between two transactions.

use std::collections::{BTreeSet, HashSet};

use rowcast_domain::{Lsn, Selector};
use rowcast_proto::change::TrackedObjects;
use rowcast_proto::message::{ChangeTypes, ObjectSelection};

use super::change::Relation;

/// What a task tracks, now and before the last change of its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// What is tracked of transactions that commit at `since` or later.
    pub(crate) now: Tracked,
    /// What is tracked of transactions that commit earlier.
    pub(crate) before: Option<Tracked>,
    /// Where `now` begins.
    pub(crate) since: Lsn,
}

/// The tables of one version of the task's objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tracked {
    /// By name.
    pub(crate) selector: Selector,
    /// By OID: a table that was renamed after the task took it stays in the task.
    pub(crate) tables: HashSet<u32>,
    /// Which changes of them are told.
    pub(crate) kinds: Kinds,
    /// Whether schema changes are told.
    pub(crate) schema_changes: bool,
}

/// Kinds of changes of rows, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const INSERT: Self = Self(1);
    pub(crate) const UPDATE: Self = Self(2);
    pub(crate) const DELETE: Self = Self(4);
    pub(crate) const TRUNCATE: Self = Self(8);

    /// Whether this kind is one of them.
    pub(crate) const fn has(self, kind: Self) -> bool {
        self.0 & kind.0 != 0
    }
}

impl From<&ChangeTypes> for Kinds {
    /// A kind that a newer version knows is never sent.
    fn from(types: &ChangeTypes) -> Self {
        let kinds = types.data.iter().map(|name| match name.as_str() {
            "insert" => Self::INSERT.0,
            "update" => Self::UPDATE.0,
            "delete" => Self::DELETE.0,
            "truncate" => Self::TRUNCATE.0,
            _ => 0,
        });
        Self(kinds.fold(0, std::ops::BitOr::bitor))
    }
}

impl Tracked {
    /// Whether changes of the table are told.
    pub(crate) fn holds(&self, relation: &Relation) -> bool {
        let schema = &relation.schema;
        self.tables.contains(&relation.oid) || self.selector.matches(&schema.schema, &schema.table)
    }
}

impl Filter {
    /// Tracks what is written down.
    pub(crate) fn new(record: &TrackedObjects) -> Self {
        let tracked =
            |objects: &ObjectSelection, tables: &BTreeSet<u32>, types: Option<&ChangeTypes>| {
                let everything = every_change();
                let types = types.unwrap_or(&everything);
                Tracked {
                    selector: objects.into(),
                    tables: tables.iter().copied().collect(),
                    kinds: types.into(),
                    schema_changes: types.schema,
                }
            };
        let types = record.change_types.as_ref();
        let before = record.before.as_ref();
        let types_before = record.change_types_before.as_ref().or(types);
        Self {
            now: tracked(&record.objects, &record.tables, types),
            before: before.map(|objects| tracked(objects, &record.tables_before, types_before)),
            since: record.since,
        }
    }

    /// Whether the transaction is told by the objects before the last change.
    pub(crate) fn is_before(&self, commit_lsn: Lsn) -> bool {
        self.before.is_some() && commit_lsn < self.since
    }

    /// What is tracked of a transaction; `before` as [`Filter::is_before`] tells.
    pub(crate) fn tracked(&self, before: bool) -> &Tracked {
        match &self.before {
            Some(tracked) if before => tracked,
            Some(_) | None => &self.now,
        }
    }
}

impl Default for Filter {
    /// Everything.
    fn default() -> Self {
        let objects = ObjectSelection {
            all: true,
            ..ObjectSelection::default()
        };
        let record = TrackedObjects {
            objects,
            ..TrackedObjects::default()
        };
        Self::new(&record)
    }
}

fn every_change() -> ChangeTypes {
    let kinds = ["insert", "update", "delete", "truncate"];
    ChangeTypes {
        data: kinds.map(str::to_owned).to_vec(),
        schema: true,
    }
}
