//! How rows become messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How rows become messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// A message a row.
    #[default]
    Row,
    /// A message for up to 100 rows, or about 100 kB, of one transaction that follow each other: several
    /// times more rows in a second. Groups of such a task filter by themselves, and keys are not
    /// partitioned.
    Transaction,
}

impl Packing {
    /// Whether a row is a message.
    #[must_use]
    pub fn is_row(&self) -> bool {
        *self == Self::Row
    }
}

/// How a message of a task's stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON, which every client reads.
    #[default]
    Json,
    /// Protobuf, whose types clients generate from `change.proto`: smaller, and bytes and large integers
    /// need no detour by text.
    Protobuf,
}

impl Format {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
        }
    }

    /// Whether it is what is given where nothing is said.
    #[must_use]
    pub fn is_json(&self) -> bool {
        *self == Self::Json
    }
}

/// Key partitions where the user names no number.
#[must_use]
pub const fn default_partitions(packing: Packing) -> u32 {
    match packing {
        Packing::Row => 16,
        Packing::Transaction => 1,
    }
}
