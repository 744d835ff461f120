//! A table's full name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Schema and table as PostgreSQL stores them: unquoted, case kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// The schema's name.
    pub schema: String,
    /// The table's name.
    pub table: String,
}

impl TableName {
    /// Joins schema and table.
    #[must_use]
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            table: table.into(),
        }
    }

    /// The name as SQL: both parts quoted (PostgreSQL docs, "Identifiers and Key Words").
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", Self::quote(&self.schema), Self::quote(&self.table))
    }

    /// Quotes one identifier for SQL.
    #[must_use]
    pub fn quote(identifier: &str) -> String {
        format!("\"{}\"", identifier.replace('"', "\"\""))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_dots_kept_inside() {
        assert_eq!(TableName::new("a.b", "c\"d").quoted(), r#""a.b"."c""d""#);
    }
}
