//! What a script is compiled for and run over.

/// The shape of a table.
#[derive(Debug, Clone)]
pub struct Table<'a> {
    /// The database.
    pub database: &'a str,
    /// The schema.
    pub schema: &'a str,
    /// The table's own name.
    pub table: &'a str,
    /// Its columns in order.
    pub columns: Vec<Column<'a>>,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// The OID of its type.
    pub type_oid: u32,
    /// Whether it belongs to the key that identifies a row.
    pub key: bool,
}

/// What is known of one column of one image of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datum<'a> {
    /// Nothing: PostgreSQL did not send it.
    Unchanged,
    /// It is null.
    Null,
    /// It has this text, in PostgreSQL's own form.
    Text(&'a str),
}

/// What a script is run over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// A row. What was not sent of it cannot be judged by.
    Row,
    /// What was sent of an old row is its key alone: it is judged by that.
    Key,
}

/// What happened to a row, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub operation: Operation,
    /// When its transaction was committed, in microseconds since 2000-01-01 UTC.
    pub committed_at: i64,
    /// Where in the log its transaction was committed.
    pub commit_lsn: u64,
    /// Which change of its transaction it is.
    pub ordinal: u64,
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It was inserted.
    Insert,
    /// It was updated.
    Update,
    /// It was deleted.
    Delete,
}

impl Operation {
    /// What a script sees of it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Operation::Insert => "INSERT",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_the_names_that_scripts_compare() {
        let operations = [Operation::Insert, Operation::Update, Operation::Delete];
        let names = operations.map(Operation::as_str);
        assert_eq!(names, ["INSERT", "UPDATE", "DELETE"]);
    }
}
