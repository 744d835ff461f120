//! The messages of a task's stream, as a reader sees them.
//!
//! Capture writes them in one pass without these types; the golden samples hold both to one form. In a task
//! whose format is protobuf they are [`protobuf::Change`], which [`Change::read`] reads too.

mod document;
pub mod protobuf;

use std::collections::{BTreeMap, BTreeSet};

use rowcast_domain::{Lsn, Position};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{ChangeTypes, EtlPolicy, ObjectSelection};

pub use self::protobuf::{ReadError, is_json};

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
    /// A command changed the schema.
    Ddl,
    /// An application wrote a message into the WAL.
    Message,
    /// Changes are missing before this LSN, and the user has accepted it.
    Gap,
    /// This is a piece of a message that is too large for the broker; see [`Part`].
    Part,
    /// Several rows of one transaction, in [`Change::pack`].
    Pack,
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
///
/// `R` is what holds a row: for most readers column name to value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change<R = Row> {
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
    pub key: Option<R>,
    /// The row before, as far as [`BeforeImage`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<R>,
    /// What `before` holds; on update and delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_image: Option<BeforeImage>,
    /// The row after; on insert and update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<R>,
    /// Columns whose unchanged value PostgreSQL did not send (TOAST): neither null nor in `after`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<String>,
    /// Documents of json and jsonb columns that do not simply stand in their row; see [`Documents`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Documents>,
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
    /// On ddl: the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ddl: Option<Ddl>,
    /// On message: what the application wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<LogicalMessage>,
    /// On gap: what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
    /// On part: the piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// On pack: changes of rows that follow each other in the transaction, each as it would be alone;
    /// the pack's `id` is that of the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pack: Vec<Self>,
}

impl Change {
    /// Reads a message of a task's stream, whichever format the task has.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn read(payload: &[u8]) -> Result<Self, ReadError> {
        protobuf::read(payload)
    }
}

/// Column name to value.
pub type Row = BTreeMap<String, Value>;

/// Columns of type json and jsonb, and domains over them, whose value in a row is not simply the
/// document. What is not named here is the document itself, and its null is SQL's NULL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Documents {
    /// Columns of `key`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub key: BTreeMap<String, DocumentForm>,
    /// Columns of `before`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub before: BTreeMap<String, DocumentForm>,
    /// Columns of `after`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub after: BTreeMap<String, DocumentForm>,
}

/// What a document's value in a row is, where it is not the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DocumentForm {
    /// The null that stands there is the document `null`, not SQL's NULL.
    Null,
    /// A string that holds the document's text, because a reader of JSON could refuse the document: it
    /// holds a lone surrogate, a number greater than any double, or more than 64 levels.
    Text,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// A command that changed the schema, as an event trigger on the source saw it.
///
/// See PostgreSQL docs, "Event Triggers". It tells; only the `schema` messages are the truth, for any
/// role of the source may write such a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ddl {
    /// The command tag, as `ALTER TABLE`.
    pub command: String,
    /// Kind of the object, as `table`, `index`, `table column`.
    pub object_type: String,
    /// Identity of the object, quoted and schema-qualified as SQL.
    pub object: String,
    /// What the client submitted: with several commands at once, or a call of a function, all of it.
    pub text: String,
    /// The role that was logged in.
    pub user: String,
    /// The command dropped the object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
    /// The command rewrote the table: stored rows changed without changes of rows in the stream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rewritten: bool,
}

/// What an application wrote with `pg_logical_emit_message` (PostgreSQL docs, "System Administration
/// Functions").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogicalMessage {
    /// Its prefix.
    pub prefix: String,
    /// Whether it belongs to a transaction; if not, it is in the stream even where the transaction that
    /// wrote it was rolled back.
    pub transactional: bool,
    /// Its content, where that is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its content in base64, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// Changes that are not in the stream. The user was told and decided to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Name of the stop that the user accepted, as `Gap`.
    pub code: String,
    /// What happened, in a sentence.
    pub cause: String,
    /// Everything that committed before is in the stream.
    pub from: Lsn,
    /// Everything that commits from here on will be.
    pub to: Lsn,
}

/// A piece of a message that is larger than the broker takes.
///
/// The pieces have the subject of the whole, follow each other in the stream, and joined by `offset` give the whole message's bytes.
///
/// A piece with `offset` 0 begins anew: what was collected of the same `id` is void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Operation of the whole message.
    pub op: Operation,
    /// Where the piece begins in the whole, in bytes.
    pub offset: u64,
    /// Size of the whole in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole, hexadecimal.
    pub sha256: String,
    /// The piece, in base64.
    pub data: String,
}

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
    /// The last acknowledged message, where the broker may still lose it and `position` is an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
}

/// A message that the stream has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Its position.
    pub position: Position,
    /// Its stream sequence.
    pub sequence: u64,
}

/// What a task tracks, as capture has made it true; beside the checkpoint.
///
/// Transactions that commit at `since` or later are told by `objects`, those before by `before`: after
/// a crash between a change of the objects and its confirmation both are read again in the same way.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrackedObjects {
    /// What is tracked.
    pub objects: ObjectSelection,
    /// OIDs of the tables that were taken by name: renamed, they are tracked all the same.
    #[serde(default)]
    pub tables: BTreeSet<u32>,
    /// Where `objects` begins to apply.
    pub since: Lsn,
    /// What was tracked until `since`; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ObjectSelection>,
    /// OIDs of the tables that were taken by name until `since`.
    #[serde(default)]
    pub tables_before: BTreeSet<u32>,
    /// What is done with each row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etl: Option<EtlPolicy>,
    /// Where `etl` begins to apply: commit LSN of a transaction. Absent where it applies to all that is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etl_since: Option<Lsn>,
    /// What was done with each row until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etl_before: Option<EtlPolicy>,
    /// Which changes are told from `since` on; absent where an earlier version wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_types: Option<ChangeTypes>,
    /// Which changes were told until `since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_types_before: Option<ChangeTypes>,
    /// What the publication looked like when it was last right; empty without a publication.
    #[serde(default)]
    pub publication: String,
    /// Version of the wish whose accepted stop is being acted on; see `accepted`.
    #[serde(default)]
    pub acting: u64,
    /// Version of the wish whose accepted stop was acted on: one decision is for one stop.
    #[serde(default)]
    pub accepted: u64,
    /// Where the publication of the log of schema changes began; before 14 and where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_since: Option<Lsn>,
}
