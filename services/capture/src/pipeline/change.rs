//! The domain event that the stages share.

use std::sync::Arc;

use rowcast_domain::{Lsn, Position, TableName};
use rowcast_proto::change::{Ddl, TableSchema};

use super::decode::message::{OldTuple, Tuple};

/// A transaction whose changes arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
        /// The tables, each with its number in the transaction.
        relations: Vec<(u64, Arc<Relation>)>,
        /// CASCADE was given.
        cascade: bool,
        /// RESTART IDENTITY was given.
        restart_identity: bool,
    },
    /// A command changed the schema.
    Ddl(Box<DdlChange>),
    /// An application wrote a message into the WAL.
    Message(WalMessage<'a>),
    /// The transaction is complete.
    Commit {
        /// The transaction.
        transaction: Transaction,
        /// End of its commit record: what is confirmed.
        end_lsn: Lsn,
        /// Number of its changes, those included that the task does not track.
        changes: u64,
        /// Number of its changes that the task tracks.
        tracked: u64,
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

/// A change of the schema, with the transaction that it belongs to.
#[derive(Debug)]
pub(crate) struct DdlChange {
    /// The transaction.
    pub(crate) transaction: Transaction,
    /// Number of the change in it.
    pub(crate) ordinal: u64,
    /// Schema of the object, where it has one.
    pub(crate) schema: Option<String>,
    /// The table that it is about, where there is one.
    pub(crate) table: Option<String>,
    /// The command.
    pub(crate) ddl: Ddl,
}

/// What an application wrote into the WAL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WalMessage<'a> {
    /// Its transaction and its number there; `None` for one that was written outside of any, or that
    /// stays where its transaction was rolled back.
    pub(crate) transaction: Option<(Transaction, u64)>,
    /// End of its WAL record.
    pub(crate) lsn: Lsn,
    /// Its prefix.
    pub(crate) prefix: &'a str,
    /// Its content.
    pub(crate) content: &'a [u8],
}

impl DdlChange {
    pub(crate) const fn position(&self) -> Position {
        Position::new(self.transaction.commit_lsn, self.ordinal)
    }
}

impl WalMessage<'_> {
    /// A message without a transaction stands before the one that commits at the same LSN.
    pub(crate) const fn position(&self) -> Position {
        match self.transaction {
            Some((transaction, ordinal)) => Position::new(transaction.commit_lsn, ordinal),
            None => Position::new(self.lsn, 0),
        }
    }
}

impl Images<'_> {
    /// Whether every image has this many columns.
    pub(crate) fn fit(self, columns: usize) -> bool {
        match self {
            Images::Insert { new } | Images::Update { old: None, new } => new.len() == columns,
            Images::Update {
                old: Some(old),
                new,
            } => old.tuple().len() == columns && new.len() == columns,
            Images::Delete { old } => old.tuple().len() == columns,
        }
    }
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
    /// Its own name, where `schema` has that of the partitioned table above it: what empties one
    /// partition must not be told of all of them.
    pub(crate) partition: Option<TableName>,
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
