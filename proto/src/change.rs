//! The messages of a task's stream, as a reader sees them.
//!
//! Capture writes them in one pass without these types; the golden samples hold both to one form.

use std::collections::BTreeMap;

use rowcast_domain::{Lsn, Position};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// A row was inserted.
    Insert,
    /// A row was updated.
    Update,
    /// A row was deleted.
    Delete,
    /// A table was emptied.
    Truncate,
    /// A table has this shape from here on.
    Schema,
    /// A transaction begins.
    Begin,
    /// A transaction ends.
    Commit,
    /// Nothing happened up to this LSN.
    Heartbeat,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What the before image of a change holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BeforeImage {
    /// The whole old row.
    Full,
    /// The old key.
    Key,
    /// Nothing.
    None,
}

/// One message of a task's stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The position as text; unique in the stream for everything but schema messages.
    pub id: Position,
    /// What happened.
    pub op: Operation,
    /// The database.
    pub database: String,
    /// The schema; absent on begin, commit and heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The table; absent on begin, commit and heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// LSN of the transaction's commit record; of the end of WAL on a heartbeat.
    pub lsn: Lsn,
    /// Number of the change in its transaction, from 1.
    pub ordinal: u64,
    /// The transaction's id; absent on a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xid: Option<u32>,
    /// When the transaction was committed, RFC 3339 with microseconds.
    pub committed_at: String,
    /// The table's shape; see [`TableSchema`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<String>,
    /// The key of the row: new on insert and update, old on delete. Absent without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Row>,
    /// The row before, as far as [`BeforeImage`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Row>,
    /// What `before` holds; on update and delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_image: Option<BeforeImage>,
    /// The row after; on insert and update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Row>,
    /// Columns whose unchanged value PostgreSQL did not send (TOAST): neither null nor in `after`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<String>,
    /// On truncate: whether CASCADE was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cascade: Option<bool>,
    /// On truncate: whether RESTART IDENTITY was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_identity: Option<bool>,
    /// On commit: number of changes in the transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<u64>,
    /// On schema: the table's columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<TableSchema>,
}

/// Column name to value.
pub type Row = BTreeMap<String, Value>;

/// The shape of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    /// Stable name of this shape: the table and a hash of what follows.
    pub id: String,
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// PostgreSQL's replica identity: default, nothing, full, index.
    pub replica_identity: String,
    /// In the table's order.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// OID of its type.
    pub type_oid: u32,
    /// The type's name; `oid:<number>` where unknown.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Type modifier, −1 for none.
    pub modifier: i32,
    /// Whether it is part of the replica identity's key.
    pub key: bool,
}

/// How far capture has brought a task; written with every confirmation to PostgreSQL.
///
/// Takes the place of the stream's tail where retention has emptied the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// `IDENTIFY_SYSTEM` of the source.
    pub system_id: String,
    /// Timeline of the source.
    pub timeline: u32,
    /// Position of the last acknowledged message.
    pub position: Position,
    /// Its stream sequence.
    pub sequence: u64,
    /// LSN reported to PostgreSQL as flushed.
    pub reported_lsn: Lsn,
}
