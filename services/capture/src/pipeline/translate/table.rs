//! What a line says of a table, what the source's catalog adds, and the two as one shape.

use super::line::{Change, Column, Operation, QualifiedName};

/// PostgreSQL's letter for REPLICA IDENTITY FULL in `pg_class.relreplident`.
const IDENTITY_FULL: u8 = b'f';

/// A table as a line names it: what is asked of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableText {
    /// Schema.
    pub(crate) schema: String,
    /// Name.
    pub(crate) table: String,
    /// The columns in the line, in the table's order.
    pub(crate) columns: Vec<ColumnText>,
    /// Whether these are all columns. A deletion shows only the old row's, a truncate none.
    pub(crate) complete: bool,
    /// Schema and name as the server quotes them.
    pub(super) written: String,
}

/// A column as a line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnText {
    /// Its name.
    pub(crate) name: String,
    /// Its type, as `format_type` writes it without a modifier.
    pub(crate) type_name: String,
}

/// What the text does not tell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableFacts {
    /// Its OID.
    pub(crate) oid: u32,
    /// It is a materialized view, whose rows `test_decoding` writes and pgoutput never does.
    pub(crate) is_view: bool,
    /// `pg_class.relreplident`: d, n, f or i.
    pub(crate) replica_identity: u8,
    /// Its columns, in the table's order: those of a complete text, or all that an incomplete one
    /// is a part of.
    pub(crate) columns: Vec<ColumnFacts>,
}

/// What the text does not tell of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnFacts {
    /// Its name and type.
    pub(crate) text: ColumnText,
    /// OID of its type.
    pub(crate) type_oid: u32,
    /// Its type modifier; -1 where there is none.
    pub(crate) modifier: i32,
    /// Part of the replica identity; of a FULL one, of the primary key.
    pub(crate) identity: bool,
    /// It is the OID of a row `WITH OIDS`, which `test_decoding` writes as a column and pgoutput
    /// never does.
    pub(crate) hidden: bool,
}

/// A table's shape in this session.
#[derive(Debug)]
pub(super) struct Shape {
    /// No other shape of this session has it.
    pub(super) number: u64,
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) facts: TableFacts,
    /// The catalog was asked once more because of a line that these facts do not explain, and
    /// nothing changed for it: the line is older than what the catalog says.
    pub(super) doubted: bool,
}

/// What an old row is in pgoutput.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldRow {
    /// The replica identity alone.
    Key,
    /// The whole row.
    Full,
}

impl TableText {
    /// The table of a change.
    pub(super) fn of_change(change: &Change<'_>) -> Self {
        let (columns, complete) = match &change.operation {
            Operation::Insert { new } | Operation::Update { new, .. } => (new.as_slice(), true),
            Operation::Delete { old: Some(old) } => (old.as_slice(), false),
            Operation::Delete { old: None } => (&[][..], false),
        };
        Self::new(change.table, columns, complete)
    }

    /// A table that is only named.
    pub(super) fn named(table: QualifiedName<'_>) -> Self {
        Self::new(table, &[], false)
    }

    fn new(table: QualifiedName<'_>, columns: &[Column<'_>], complete: bool) -> Self {
        Self {
            schema: table.schema.name().into_owned(),
            table: table.table.name().into_owned(),
            columns: columns
                .iter()
                .map(|column| ColumnText {
                    name: column.name.name().into_owned(),
                    type_name: column.type_name.to_owned(),
                })
                .collect(),
            complete,
            written: table.written.to_owned(),
        }
    }

    /// Whether a table with these columns can have written the line.
    pub(crate) fn fits(&self, columns: &[ColumnFacts]) -> bool {
        if self.complete {
            self.columns
                .iter()
                .eq(columns.iter().map(|column| &column.text))
        } else {
            let mut columns = columns.iter().map(|column| &column.text);
            self.columns
                .iter()
                .all(|wanted| columns.any(|column| column == wanted))
        }
    }
}

impl ColumnFacts {
    pub(super) fn is(&self, column: &Column<'_>) -> bool {
        self.text.type_name == column.type_name && column.name.is(&self.text.name)
    }
}

impl Shape {
    /// Whether the change is of a table of this shape, as far as the line tells.
    pub(super) fn fits(&self, operation: &Operation<'_>) -> bool {
        self.has_columns(operation) && (self.doubted || self.explains(operation))
    }

    fn has_columns(&self, operation: &Operation<'_>) -> bool {
        let columns = &self.facts.columns;
        match operation {
            Operation::Insert { new } | Operation::Update { new, .. } => {
                columns.len() == new.len()
                    && columns.iter().zip(new).all(|(column, new)| column.is(new))
            }
            Operation::Delete { old: Some(old) } => self.covers(old),
            Operation::Delete { old: None } => true,
        }
    }

    /// Whether the replica identity is one under which the server writes such a line. Nothing else
    /// tells that it was changed.
    fn explains(&self, operation: &Operation<'_>) -> bool {
        let full = self.is_full();
        match operation {
            Operation::Insert { .. } | Operation::Delete { old: None } => true,
            // Under FULL each update has its old row.
            Operation::Update { old: None, .. } => !full,
            Operation::Update { old: Some(old), .. } | Operation::Delete { old: Some(old) } => {
                full || !self.knows_identity() || self.old_row(old) == OldRow::Key
            }
        }
    }

    /// Whether the table has REPLICA IDENTITY FULL, as the catalog says.
    pub(super) const fn is_full(&self) -> bool {
        self.facts.replica_identity == IDENTITY_FULL
    }

    fn knows_identity(&self) -> bool {
        self.facts.columns.iter().any(|column| column.identity)
    }

    /// Whether these are columns of the table, in its order.
    pub(super) fn covers(&self, row: &[Column<'_>]) -> bool {
        let mut columns = self.facts.columns.iter();
        row.iter()
            .all(|wanted| columns.any(|column| column.is(wanted)))
    }

    /// What an old row with these columns is.
    ///
    /// The catalog tells today's identity. Where the row has columns beside it all the same, the
    /// table had REPLICA IDENTITY FULL when it was written. Where today's FULL is doubted and the
    /// row has only columns of the key, it is called a key: that is true of both.
    pub(super) fn old_row(&self, row: &[Column<'_>]) -> OldRow {
        if self.is_full() && !(self.doubted && self.knows_identity()) {
            return OldRow::Full;
        }
        let mut columns = self.facts.columns.iter();
        let beside = row.iter().any(|old| {
            columns
                .find(|column| column.is(old))
                .is_some_and(|column| !column.identity && !column.hidden)
        });
        if beside { OldRow::Full } else { OldRow::Key }
    }

    /// Takes the columns of an old row for the identity where the catalog knows none, as of a table
    /// that is gone: the server prints exactly those. Tells whether that changed the shape.
    pub(super) fn learn_identity(&mut self, row: &[Column<'_>]) -> bool {
        if self.is_full() || self.knows_identity() {
            return false;
        }
        let mut learned = false;
        let mut columns = self.facts.columns.iter_mut();
        for old in row {
            if let Some(column) = columns.find(|column| column.is(old))
                && !column.hidden
            {
                column.identity = true;
                learned = true;
            }
        }
        learned
    }
}
