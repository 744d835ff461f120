//! One output of `test_decoding` as values (PostgreSQL docs, appendix F, "`test_decoding`"; the format
//! itself is only in its source, `contrib/test_decoding/test_decoding.c`).
//!
//! Pure and total: any bytes give a line or an error that names the byte. Each byte is looked at a
//! bounded number of times. Values borrow from the line.
//!
//! Expected options: `include-xids` and `include-timestamp`.

use std::borrow::Cow;

use super::commit_time;

/// PostgreSQL's `MaxHeapAttributeNumber`, and one more for the OID of a row `WITH OIDS`.
const COLUMNS_MAX: usize = 1601;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A transaction starts to arrive.
    Begin {
        /// Its id.
        xid: u32,
    },
    /// A transaction has arrived.
    Commit {
        /// Its id.
        xid: u32,
        /// Microseconds since 2000-01-01 UTC.
        committed_at: i64,
    },
    /// A row changed.
    Change(Change<'a>),
    /// Tables were emptied; decoded since PostgreSQL 11.
    Truncate {
        /// The tables.
        tables: Vec<QualifiedName<'a>>,
        /// CASCADE was given.
        cascade: bool,
        /// RESTART IDENTITY was given.
        restart_identity: bool,
    },
    /// A logical message, in a transaction or beside them; since PostgreSQL 9.6. What it holds may
    /// be no text at all.
    Message,
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    /// The table.
    pub(crate) table: QualifiedName<'a>,
    /// What happened.
    pub(crate) operation: Operation<'a>,
}

/// What happened to a row. New rows have all columns; old rows only those that the replica identity
/// keeps and that are not null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    /// It was inserted.
    Insert {
        /// The new row.
        new: Vec<Column<'a>>,
    },
    /// It was updated.
    Update {
        /// What the server tells of the old row; only where the identity changed or is FULL.
        old: Option<Vec<Column<'a>>>,
        /// The new row.
        new: Vec<Column<'a>>,
    },
    /// It was deleted.
    Delete {
        /// What the server tells of the old row; nothing where the table has no replica identity.
        old: Option<Vec<Column<'a>>>,
    },
}

/// A table's name, as the server quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QualifiedName<'a> {
    /// Both parts with the dot, as written.
    pub(crate) written: &'a str,
    /// The schema.
    pub(crate) schema: Identifier<'a>,
    /// The table.
    pub(crate) table: Identifier<'a>,
}

/// A name, as the server quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identifier<'a> {
    /// It needs no quotes.
    Bare(&'a str),
    /// What stands between the quotes; a quote within it is doubled.
    Quoted(&'a str),
}

/// One column of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column<'a> {
    /// Its name.
    pub(crate) name: Identifier<'a>,
    /// Its type, as `format_type` writes it without a modifier.
    pub(crate) type_name: &'a str,
    /// Its value.
    pub(crate) value: Value<'a>,
}

/// The value of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// NULL.
    Null,
    /// Unchanged and not in the WAL (TOAST).
    Unchanged,
    /// The type's own text.
    Plain(&'a str),
    /// The type's own text, with each single quote doubled.
    Quoted(&'a str),
}

/// The bytes are no line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the line should begin {expected}")]
pub(crate) struct MalformedLine {
    /// Offset in bytes.
    pub(crate) at: usize,
    /// What should stand there.
    pub(crate) expected: &'static str,
}

/// Reads one output.
///
/// `test_decoding` writes in the database's encoding, whatever the client asks for, so a database in
/// another one than UTF-8 can be read only as far as its texts are ASCII.
///
/// # Errors
/// Where the bytes are no output of `test_decoding` with the expected options.
pub(crate) fn parse(bytes: &[u8]) -> Result<Line<'_>, MalformedLine> {
    if bytes.starts_with(b"message: ") {
        return Ok(Line::Message);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| MalformedLine {
        at: error.valid_up_to(),
        expected: "UTF-8 text",
    })?;
    let mut cursor = Cursor { text, at: 0 };
    let line = if cursor.eat("BEGIN ") {
        Line::Begin { xid: cursor.xid()? }
    } else if cursor.eat("COMMIT ") {
        cursor.commit()?
    } else {
        cursor.expect("table ", "BEGIN, COMMIT, table or message")?;
        cursor.table_line()?
    };
    if cursor.rest().is_empty() {
        Ok(line)
    } else {
        Err(cursor.unexpected("the end of the line"))
    }
}

impl<'a> Identifier<'a> {
    /// The name itself.
    pub(crate) fn name(self) -> Cow<'a, str> {
        match self {
            Self::Bare(name) => Cow::Borrowed(name),
            Self::Quoted(inside) if inside.contains('"') => {
                Cow::Owned(inside.replace("\"\"", "\""))
            }
            Self::Quoted(inside) => Cow::Borrowed(inside),
        }
    }

    /// Whether this is that name, without making a copy.
    pub(crate) fn is(self, name: &str) -> bool {
        match self {
            Self::Bare(bare) => bare == name,
            Self::Quoted(_) => self.name() == name,
        }
    }
}

struct Cursor<'a> {
    text: &'a str,
    /// Always between two characters.
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    const fn unexpected(&self, expected: &'static str) -> MalformedLine {
        MalformedLine {
            at: self.at,
            expected,
        }
    }

    fn eat(&mut self, literal: &str) -> bool {
        let found = self.rest().starts_with(literal);
        if found {
            self.at += literal.len();
        }
        found
    }

    fn expect(&mut self, literal: &str, expected: &'static str) -> Result<(), MalformedLine> {
        if self.eat(literal) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    /// What matches from here on; at least one byte. The bytes must be ASCII.
    fn run(
        &mut self,
        matches: impl Fn(u8) -> bool,
        expected: &'static str,
    ) -> Result<&'a str, MalformedLine> {
        let rest = self.rest();
        let length = rest
            .bytes()
            .position(|byte| !matches(byte))
            .unwrap_or(rest.len());
        match rest.get(..length) {
            Some(run) if length > 0 => {
                self.at += length;
                Ok(run)
            }
            Some(_) | None => Err(self.unexpected(expected)),
        }
    }

    /// What stands up to the next single `quote`; two of them are part of it. The opening one is
    /// behind us.
    fn quoted(&mut self, quote: char, expected: &'static str) -> Result<&'a str, MalformedLine> {
        let start = self.at;
        loop {
            let Some(length) = self.rest().find(quote) else {
                self.at = self.text.len();
                return Err(self.unexpected(expected));
            };
            let end = self.at + length;
            self.at = end + 1;
            if !self.rest().starts_with(quote) {
                return Ok(self.text.get(start..end).unwrap_or_default());
            }
            self.at += 1;
        }
    }

    fn xid(&mut self) -> Result<u32, MalformedLine> {
        const EXPECTED: &str = "a transaction id";
        let wrong = self.unexpected(EXPECTED);
        let digits = self.run(|byte| byte.is_ascii_digit(), EXPECTED)?;
        digits.parse().map_err(|_error| wrong)
    }

    fn commit(&mut self) -> Result<Line<'a>, MalformedLine> {
        let xid = self.xid()?;
        self.expect(" (at ", "the time of the commit")?;
        let wrong = self.unexpected("a time");
        let time = self.run(|byte| byte != b')' && byte.is_ascii(), "a time")?;
        let committed_at = commit_time::parse(time).ok_or(wrong)?;
        self.expect(")", "a closing parenthesis")?;
        Ok(Line::Commit { xid, committed_at })
    }

    fn table_line(&mut self) -> Result<Line<'a>, MalformedLine> {
        let table = self.qualified_name()?;
        if self.rest().starts_with(',') {
            let mut tables = vec![table];
            while self.eat(", ") {
                tables.push(self.qualified_name()?);
            }
            self.expect(": TRUNCATE:", "a truncate of several tables")?;
            return self.truncate(tables);
        }
        self.expect(": ", "an operation")?;
        if self.eat("TRUNCATE:") {
            return self.truncate(vec![table]);
        }
        let operation = self.operation()?;
        Ok(Line::Change(Change { table, operation }))
    }

    fn truncate(&mut self, tables: Vec<QualifiedName<'a>>) -> Result<Line<'a>, MalformedLine> {
        let restart_identity = self.eat(" restart_seqs");
        let cascade = self.eat(" cascade");
        if !restart_identity && !cascade {
            self.expect(" (no-flags)", "flags of a truncate")?;
        }
        Ok(Line::Truncate {
            tables,
            cascade,
            restart_identity,
        })
    }

    fn operation(&mut self) -> Result<Operation<'a>, MalformedLine> {
        // Of new rows there is always data with wal_level = logical, the only one that decodes.
        const NEW_TUPLE: &str = " new-tuple:";
        if self.eat("INSERT:") {
            let new = self.columns(None)?;
            return Ok(Operation::Insert { new });
        }
        if self.eat("UPDATE:") {
            let old = if self.eat(" old-key:") {
                let old = self.columns(Some(NEW_TUPLE))?;
                self.expect(NEW_TUPLE, "the new row")?;
                Some(old)
            } else {
                None
            };
            let new = self.columns(None)?;
            return Ok(Operation::Update { old, new });
        }
        self.expect("DELETE:", "INSERT, UPDATE, DELETE or TRUNCATE")?;
        let old = if self.eat(" (no-tuple-data)") {
            None
        } else {
            Some(self.columns(None)?)
        };
        Ok(Operation::Delete { old })
    }

    /// Columns up to `until`, or to the end of the line. Words with a hyphen end the list without
    /// doubt: as a column's name they would be quoted.
    fn columns(&mut self, until: Option<&str>) -> Result<Vec<Column<'a>>, MalformedLine> {
        let mut columns = Vec::new();
        loop {
            let rest = self.rest();
            if rest.is_empty() || until.is_some_and(|until| rest.starts_with(until)) {
                return Ok(columns);
            }
            if columns.len() == COLUMNS_MAX {
                return Err(self.unexpected("the end of a row of 1600 columns"));
            }
            self.expect(" ", "a space before a column")?;
            columns.push(self.column()?);
        }
    }

    fn column(&mut self) -> Result<Column<'a>, MalformedLine> {
        let name = self.identifier()?;
        self.expect("[", "a type in brackets")?;
        let type_name = self.type_name()?;
        self.expect(":", "a colon before a value")?;
        Ok(Column {
            name,
            type_name,
            value: self.value()?,
        })
    }

    fn qualified_name(&mut self) -> Result<QualifiedName<'a>, MalformedLine> {
        let start = self.at;
        let schema = self.identifier()?;
        self.expect(".", "a dot after a schema")?;
        let table = self.identifier()?;
        let written = self.text.get(start..self.at).unwrap_or_default();
        Ok(QualifiedName {
            written,
            schema,
            table,
        })
    }

    /// PostgreSQL leaves only lower-case letters, digits and underscores without quotes.
    fn identifier(&mut self) -> Result<Identifier<'a>, MalformedLine> {
        if !self.eat("\"") {
            let bare =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            return self.run(bare, "a name").map(Identifier::Bare);
        }
        let start = self.at;
        let inside = self.quoted('"', "the end of a quoted name")?;
        // Names end with a zero byte in pgoutput.
        match inside.find('\0') {
            Some(zero) => Err(MalformedLine {
                at: start + zero,
                expected: "a character of a name",
            }),
            None => Ok(Identifier::Quoted(inside)),
        }
    }

    /// Up to the bracket that closes the one behind us. Arrays have brackets of their own, and a
    /// quoted name may have any.
    fn type_name(&mut self) -> Result<&'a str, MalformedLine> {
        let start = self.at;
        let mut open = 1_usize;
        loop {
            let Some(length) = self.rest().find(['[', ']', '"']) else {
                self.at = self.text.len();
                return Err(self.unexpected("the end of a type"));
            };
            self.at += length;
            if self.eat("[") {
                open += 1;
            } else if self.eat("]") {
                open -= 1;
                if open == 0 {
                    return Ok(self.text.get(start..self.at - 1).unwrap_or_default());
                }
            } else {
                self.at += 1;
                self.quoted('"', "the end of a quoted type")?;
            }
        }
    }

    fn value(&mut self) -> Result<Value<'a>, MalformedLine> {
        if self.eat("'") {
            return self
                .quoted('\'', "the end of a quoted value")
                .map(Value::Quoted);
        }
        if self.eat("B'") {
            return self
                .quoted('\'', "the end of a bit string")
                .map(Value::Plain);
        }
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        Ok(match self.run(bare, "a value")? {
            "null" => Value::Null,
            "unchanged-toast-datum" => Value::Unchanged,
            // Only booleans are written so; their own text is one letter.
            "true" => Value::Plain("t"),
            "false" => Value::Plain("f"),
            number => Value::Plain(number),
        })
    }
}

#[cfg(test)]
mod tests;
