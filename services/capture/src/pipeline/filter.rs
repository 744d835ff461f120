//! Which of the decoded changes the task tracks.
//!
//! The publication is only a coarse filter: one of all tables cannot leave any out, and a transaction
//! that was open while the task's objects changed is decoded by both. What is told follows the commit
//! LSN alone, so that a change of the objects takes effect between two transactions.

use std::collections::{BTreeSet, HashSet};

use rowcast_domain::{Lsn, Selector};
use rowcast_proto::change::TrackedObjects;
use rowcast_proto::message::ObjectSelection;

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
    /// Whether schema changes are told.
    pub(crate) schema_changes: bool,
}

/// The tables of one version of the task's objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tracked {
    /// By name.
    pub(crate) selector: Selector,
    /// By OID: a table that was renamed after the task took it stays in the task.
    pub(crate) tables: HashSet<u32>,
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
    pub(crate) fn new(record: &TrackedObjects, schema_changes: bool) -> Self {
        let tracked = |objects: &ObjectSelection, tables: &BTreeSet<u32>| Tracked {
            selector: objects.into(),
            tables: tables.iter().copied().collect(),
        };
        let before = record.before.as_ref();
        Self {
            now: tracked(&record.objects, &record.tables),
            before: before.map(|objects| tracked(objects, &record.tables_before)),
            since: record.since,
            schema_changes,
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
        Self::new(&record, true)
    }
}
