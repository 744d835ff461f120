//! The domain event that the stages share.

use std::sync::Arc;

use rowcast_domain::{Lsn, Position};
use rowcast_proto::change::TableSchema;

use super::decode::message::{OldTuple, Tuple};

/// A transaction whose changes arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transaction {
    /// LSN of its commit record.
    pub(crate) commit_lsn: Lsn,
    /// Microseconds since 2000-01-01 UTC.
    pub(crate) committed_at: i64,
    /// Its id.
    pub(crate) xid: u32,
}

/// What the source tells, in commit order.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    /// A transaction begins.
    Begin(Transaction),
    /// A row changed.
    Row(RowChange<'a>),
    /// Tables were emptied; each takes a position of its own.
    Truncate {
        /// The transaction.
        transaction: Transaction,
        /// Ordinal of the first table; the others follow.
        first_ordinal: u64,
        /// The tables.
        relations: Vec<Arc<Relation>>,
        /// CASCADE was given.
        cascade: bool,
        /// RESTART IDENTITY was given.
        restart_identity: bool,
    },
    /// The transaction is complete.
    Commit {
        /// The transaction.
        transaction: Transaction,
        /// End of its commit record: what is confirmed.
        end_lsn: Lsn,
        /// Number of its changes.
        changes: u64,
    },
}

/// A change of one row.
#[derive(Debug)]
pub(crate) struct RowChange<'a> {
    /// The transaction.
    pub(crate) transaction: Transaction,
    /// Number of the change in it, from 1.
    pub(crate) ordinal: u64,
    /// The table.
    pub(crate) relation: &'a Relation,
    /// What happened.
    pub(crate) images: Images<'a>,
}

/// What happened to a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Images<'a> {
    /// It was inserted.
    Insert {
        /// The new row.
        new: Tuple<'a>,
    },
    /// It was updated.
    Update {
        /// What was sent of the old row.
        old: Option<OldTuple<'a>>,
        /// The new row.
        new: Tuple<'a>,
    },
    /// It was deleted.
    Delete {
        /// What was sent of the old row.
        old: OldTuple<'a>,
    },
}

impl RowChange<'_> {
    pub(crate) const fn position(&self) -> Position {
        Position::new(self.transaction.commit_lsn, self.ordinal)
    }
}

/// A table in one shape.
#[derive(Debug)]
pub(crate) struct Relation {
    /// The table's OID.
    pub(crate) oid: u32,
    /// What readers are told of it.
    pub(crate) schema: TableSchema,
    /// For each column, how its text becomes JSON.
    pub(crate) kinds: Vec<Kind>,
    /// For each column, whether it is part of the row's key: of the replica identity, or of the
    /// primary key where the identity is the whole row.
    pub(crate) key: Vec<bool>,
}

/// How a type's text becomes JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `t` or `f`.
    Bool,
    /// At most 32 bits: always a JSON number.
    Int,
    /// 64 bits: a number where a double holds it exactly, else a string.
    BigInt,
    /// A number unless NaN or infinite.
    Float,
    /// Already JSON.
    Json,
    /// `\x` and hexadecimal; base64 in JSON.
    Bytea,
    /// ISO 8601 without a zone.
    Timestamp,
    /// ISO 8601 in UTC.
    TimestampTz,
    /// The server's text as a string: everything else.
    Text,
    /// An array.
    Array(Box<Kind>),
    /// An object of named fields.
    Composite(Arc<[(String, Kind)]>),
}
