//! The reading side: pgoutput messages as owned values, with the table each is of.

use std::collections::HashMap;

use rowcast_domain::Lsn;

use crate::pipeline::decode::message::{self as pgoutput, Datum, Message, Tuple};
use crate::pipeline::translate::Transaction;

/// A pgoutput message without what is borrowed, and with the table it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Begin {
        lsn: Lsn,
        committed_at: i64,
        xid: u32,
    },
    Commit {
        end_lsn: Lsn,
    },
    Row {
        table: Told,
        old: Option<Old>,
        new: Option<Row>,
    },
    Truncate {
        tables: Vec<Told>,
        cascade: bool,
        restart_identity: bool,
    },
}

impl Event {
    /// The table of a row.
    pub(super) fn table(&self) -> &Told {
        let Self::Row { table, .. } = self else {
            panic!("{self:?} is no row")
        };
        table
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Old {
    Key(Row),
    Full(Row),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Unchanged,
    Text(String),
}

pub(super) type Row = Vec<Cell>;

/// A table as the last Relation message told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) replica_identity: char,
    /// Name, type OID, modifier, identity.
    pub(super) columns: Vec<(String, u32, i32, bool)>,
}

/// The reading side of a session.
#[derive(Debug, Default)]
pub(super) struct Reader {
    relations: HashMap<u32, Told>,
    pub(super) relation_messages: usize,
}

impl Reader {
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<Event> {
        let told = |oid: u32, relations: &HashMap<u32, Told>| relations[&oid].clone();
        Some(match pgoutput::parse(bytes).unwrap() {
            Message::Begin {
                commit_lsn: lsn,
                committed_at,
                xid,
            } => Event::Begin {
                lsn,
                committed_at,
                xid,
            },
            Message::Commit { end_lsn, .. } => Event::Commit { end_lsn },
            Message::Origin | Message::Type | Message::Logical { .. } => return None,
            Message::Relation(body) => {
                let columns = body.columns.iter().map(|column| {
                    let name = column.name.to_owned();
                    (name, column.type_oid, column.modifier, column.identity)
                });
                let told = Told {
                    oid: body.oid,
                    name: format!("{}.{}", body.schema, body.table),
                    replica_identity: body.replica_identity.into(),
                    columns: columns.collect(),
                };
                self.relations.insert(body.oid, told);
                self.relation_messages += 1;
                return None;
            }
            Message::Insert { relation, new } => Event::Row {
                table: told(relation, &self.relations),
                old: None,
                new: Some(row(new)),
            },
            Message::Update { relation, old, new } => Event::Row {
                table: told(relation, &self.relations),
                old: old.map(old_row),
                new: Some(row(new)),
            },
            Message::Delete { relation, old } => Event::Row {
                table: told(relation, &self.relations),
                old: Some(old_row(old)),
                new: None,
            },
            Message::Truncate {
                relations,
                cascade,
                restart_identity,
            } => Event::Truncate {
                tables: relations
                    .iter()
                    .map(|&oid| told(oid, &self.relations))
                    .collect(),
                cascade,
                restart_identity,
            },
        })
    }

    pub(super) fn transaction(&mut self, mut transaction: Transaction) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(message) = transaction.next().unwrap() {
            events.extend(self.read(message));
        }
        events
    }
}

fn row(tuple: Tuple<'_>) -> Row {
    tuple
        .datums()
        .map(|datum| match datum {
            Datum::Null => Cell::Null,
            Datum::Unchanged => Cell::Unchanged,
            Datum::Text(text) => cell(text),
        })
        .collect()
}

fn old_row(old: pgoutput::OldTuple<'_>) -> Old {
    match old {
        pgoutput::OldTuple::Key(tuple) => Old::Key(row(tuple)),
        pgoutput::OldTuple::Full(tuple) => Old::Full(row(tuple)),
    }
}

pub(super) fn cell(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}
