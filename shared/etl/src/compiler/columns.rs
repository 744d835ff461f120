//! The columns of a row at a point of a script, and what they are after branches meet.

use std::rc::Rc;

use crate::{diagnostic::Span, kind::either_type, table::Column};

/// The columns at a point of a script, in the order of their slots.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    live: Vec<Live>,
    /// Whether no row comes here, because each was dropped before.
    pub(super) ended: bool,
}

/// A column at a point of a script.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) name: Rc<str>,
    pub(super) slot: usize,
    /// Which column of the table it is.
    pub(super) source: Option<usize>,
    pub(super) key: bool,
    /// The type, unless it is a new column that was set to nothing but null.
    pub(super) oid: Option<u32>,
    /// Whether it may still have the value that it had in the table.
    pub(super) original: bool,
    /// Where it was set last.
    pub(super) set_at: Option<Span>,
}

/// A column that would have values of two types that no type holds.
pub(super) struct Conflict {
    pub(super) name: Rc<str>,
    pub(super) span: Span,
}

impl Columns {
    pub(super) fn of(columns: &[Column<'_>]) -> Self {
        let live = columns.iter().enumerate().map(|(index, column)| Live {
            name: Rc::from(column.name),
            slot: index,
            source: Some(index),
            key: column.key,
            oid: Some(column.type_oid),
            original: true,
            set_at: None,
        });
        Self {
            live: live.collect(),
            ended: false,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Live> {
        self.live.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Live> {
        self.live.iter().find(|live| live.name.as_ref() == name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Live> {
        self.live.iter_mut().find(|live| live.name.as_ref() == name)
    }

    pub(super) fn add(&mut self, live: Live) {
        let at = self.live.partition_point(|one| one.slot < live.slot);
        self.live.insert(at, live);
    }

    pub(super) fn retain(&mut self, keeps: impl FnMut(&Live) -> bool) {
        self.live.retain(keeps);
    }

    /// What the columns are after either of two branches.
    pub(super) fn or(self, other: Columns, conflicts: &mut Vec<Conflict>) -> Columns {
        if self.ended {
            return other;
        }
        if other.ended {
            return self;
        }
        let mut merged = Vec::with_capacity(self.live.len());
        let mut rest = other.live.into_iter().peekable();
        for one in self.live {
            while let Some(only) = rest.next_if(|next| next.slot < one.slot) {
                merged.push(only);
            }
            match rest.next_if(|next| next.slot == one.slot) {
                Some(other) => merged.push(either(one, &other, conflicts)),
                None => merged.push(one),
            }
        }
        merged.extend(rest);
        Columns {
            live: merged,
            ended: false,
        }
    }
}

fn either(one: Live, other: &Live, conflicts: &mut Vec<Conflict>) -> Live {
    let set_at = other.set_at.or(one.set_at);
    let oid = match (one.oid, other.oid) {
        (Some(first), Some(second)) => {
            let oid = either_type(first, second);
            if oid.is_none() {
                let name = Rc::clone(&one.name);
                let span = set_at.unwrap_or_default();
                conflicts.push(Conflict { name, span });
            }
            oid.or(one.oid)
        }
        (oid, None) | (None, oid) => oid,
    };
    Live {
        oid,
        original: one.original || other.original,
        set_at,
        ..one
    }
}
