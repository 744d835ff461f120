//! What a source has.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What of a source is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObjectLevel {
    /// The server's databases that the account may connect to.
    Databases,
    /// Schemas of one database that can be tracked.
    Schemas,
    /// Tables of one database.
    #[default]
    Tables,
}

/// A schema of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaSummary {
    /// Its name.
    pub name: String,
    /// How many tables it has, partitions left out.
    pub tables: u64,
}

/// A table of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableSummary {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `table` or `partitioned`.
    pub kind: String,
    /// Of a partition: the topmost table above it, as `<schema>.<table>`. It is tracked under that
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_of: Option<String>,
    /// Whether its changes are in the WAL: an unlogged table cannot be tracked.
    pub logged: bool,
    /// Rows as of the last VACUUM or ANALYZE, partitions summed up; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Size in bytes without indexes, as of then.
    pub size_bytes: u64,
    /// Columns of the primary key, in its order.
    pub primary_key: Vec<String>,
    /// `default`, `nothing`, `full` or `index`.
    pub replica_identity: String,
    /// Columns that identify an updated or deleted row; empty with `full`, and where nothing does.
    pub key_columns: Vec<String>,
    /// How many columns it has.
    pub columns: u32,
}

/// `GET /sources/{id}/objects`: one of the lists, by name; the others are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceObjects {
    /// The database looked into.
    pub database: String,
    /// Of the level `databases`.
    pub databases: Vec<String>,
    /// Of the level `schemas`.
    pub schemas: Vec<SchemaSummary>,
    /// Of the level `tables`.
    pub tables: Vec<TableSummary>,
    /// `cursor` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
