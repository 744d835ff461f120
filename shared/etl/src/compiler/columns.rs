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

#[cfg(test)]
mod tests {
    use super::*;

    const JSONB: u32 = 3802;

    fn columns() -> Columns {
        let column = |name, type_oid| Column {
            name,
            type_oid,
            key: false,
        };
        Columns::of(&[column("a", 23), column("b", JSONB)])
    }

    fn added(name: &str, slot: usize) -> Live {
        Live {
            name: Rc::from(name),
            slot,
            source: None,
            key: false,
            oid: Some(25),
            original: false,
            set_at: None,
        }
    }

    #[test]
    fn branches_meet_in_the_order_of_slots() {
        let (mut one, mut other) = (columns(), columns());
        one.add(added("d", 3));
        other.add(added("e", 4));
        other.add(added("c", 2));
        let merged = one.or(other, &mut Vec::new());
        let names: Vec<&str> = merged.iter().map(|live| live.name.as_ref()).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_branch_that_drops_its_rows_does_not_count() {
        let (mut one, mut other) = (columns(), columns());
        one.get_mut("b").unwrap().oid = Some(25);
        other.ended = true;
        let mut conflicts = Vec::new();
        let merged = one.or(other, &mut conflicts);
        assert!(conflicts.is_empty() && !merged.ended);
        assert_eq!(merged.get("b").unwrap().oid, Some(25));
    }

    #[test]
    fn types_that_do_not_go_together_are_a_conflict() {
        let mut one = columns();
        let span = Span { from: 3, to: 9 };
        let live = one.get_mut("b").unwrap();
        (live.oid, live.set_at) = (Some(25), Some(span));
        let mut conflicts = Vec::new();
        columns().or(one, &mut conflicts);
        let [conflict] = conflicts.as_slice() else {
            panic!("{} conflicts", conflicts.len());
        };
        assert_eq!((conflict.name.as_ref(), conflict.span), ("b", span));
    }
}
