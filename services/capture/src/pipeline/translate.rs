//! `test_decoding` to pgoutput, for servers before PostgreSQL 10, which have no other plugin
//! (PostgreSQL docs, appendix F, "`test_decoding`").
//!
//! ```text
//! line ─▶ Translator ─▶ spool ─┐ at COMMIT
//!             ▲                └─▶ Transaction: B, then R I U D T as they came, C
//!             └── define ◀── lookup ◀── what the text does not tell: OIDs, types, identity
//! ```
//!
//! pgoutput tells a transaction's commit before its changes, `test_decoding` after them: so changes
//! wait in a [`spool`] until the commit is known. What comes out is parsed by the same stage 2.
//!
//! What differs from pgoutput: the LSN of a transaction is the end of its commit record, for the
//! text tells no other. There is no publication: all tables of the database come, and all are passed on,
//! so that the number of a change in its transaction does not depend on the task's objects. A row
//! `WITH OIDS` loses its OID, as in pgoutput. Logical messages (9.6 and later) and the rows of
//! materialized views are left out.

pub(crate) mod line;
mod commit_time;
pub(crate) mod table;
mod message;
pub(crate) mod spool;
pub(crate) mod lookup;
mod translation;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use rowcast_domain::Lsn;

use self::line::{Change, Line, MalformedLine, Operation, QualifiedName};
use self::spool::{Spool, SpoolReader};
use self::table::{Shape, TableFacts, TableText};

pub(crate) use self::translation::Translation;

/// What is kept of the buffer for one message, in bytes: a large row does not hold its memory.
const SCRATCH_MAX: usize = 1 << 20;

/// What became of a line.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was taken.
    Taken,
    /// It was not: the table must be given to [`Translator::define`], and then the line again.
    NeedsTable(TableText),
    /// It ends a transaction.
    Transaction(Transaction),
}

/// A line that cannot be translated: nothing after it can be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TranslateError {
    /// It is no output of `test_decoding`.
    #[error("the line at {lsn} cannot be read")]
    Malformed {
        /// Where in the WAL.
        lsn: Lsn,
        /// What is wrong.
        #[source]
        source: MalformedLine,
    },
    /// Lines come in an order that the plugin never writes.
    #[error("the line at {lsn} does not fit what came before: {problem}")]
    OutOfOrder {
        /// Where in the WAL.
        lsn: Lsn,
        /// What does not fit.
        problem: &'static str,
    },
    /// A table was described with other columns than asked for.
    #[error("the catalog's columns of {0} are not those in the line")]
    Unfit(String),
    /// The transaction cannot be kept until its commit.
    #[error("a transaction cannot be kept on disk until its commit")]
    Spool(#[from] io::Error),
}

/// Turns lines into transactions of pgoutput messages. Its state is the open transaction and the
/// tables seen in this session.
#[derive(Debug)]
pub(crate) struct Translator {
    folder: PathBuf,
    open: Option<Open>,
    /// By name, as the server quotes it. As many as the database has tables.
    tables: HashMap<String, Shape>,
    /// Which shape the reader knows by an OID: one OID can have two names in a session, as after a
    /// rename.
    announced: HashMap<u32, u64>,
    /// Numbers given to shapes.
    shapes: u64,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    xid: u32,
    spool: Spool,
}

/// A whole transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    commit_lsn: Lsn,
    begin: Vec<u8>,
    messages: SpoolReader,
    commit: Vec<u8>,
    next: Next,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Begin,
    Message,
    End,
}

impl Translator {
    /// Transactions that are too large for memory are kept in `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            open: None,
            tables: HashMap::new(),
            announced: HashMap::new(),
            shapes: 0,
            scratch: Vec::new(),
        }
    }

    /// Takes one output of the plugin; `lsn` is where its frame starts.
    ///
    /// # Errors
    /// Where it cannot be translated or kept.
    pub(crate) fn take(&mut self, lsn: Lsn, line: &[u8]) -> Result<Outcome, TranslateError> {
        let line = line::parse(line).map_err(|source| TranslateError::Malformed { lsn, source })?;
        let wrong = |problem| TranslateError::OutOfOrder { lsn, problem };
        match line {
            Line::Begin { xid } => {
                if self.open.is_some() {
                    return Err(wrong("a transaction begins within another"));
                }
                let spool = Spool::new(&self.folder);
                self.open = Some(Open { xid, spool });
                Ok(Outcome::Taken)
            }
            Line::Commit { xid, committed_at } => {
                let open = self
                    .open
                    .take()
                    .ok_or_else(|| wrong("a commit without a transaction"))?;
                if open.xid != xid {
                    return Err(wrong("a commit of another transaction"));
                }
                let transaction = Transaction::new(open, lsn, committed_at)?;
                Ok(Outcome::Transaction(transaction))
            }
            Line::Change(change) => self.change(lsn, &change),
            Line::Truncate {
                tables,
                cascade,
                restart_identity,
            } => self.truncate(lsn, &tables, cascade, restart_identity),
            Line::Message => Ok(Outcome::Taken),
        }
    }

    /// Takes what the catalog knows of a table that was asked for.
    ///
    /// # Errors
    /// Where the facts are of other columns: the same line would ask for ever.
    pub(crate) fn define(
        &mut self,
        text: TableText,
        facts: TableFacts,
    ) -> Result<(), TranslateError> {
        if !text.fits(&facts.columns) || u16::try_from(facts.columns.len()).is_err() {
            return Err(TranslateError::Unfit(text.written));
        }
        let unchanged = matches!(
            self.tables.get(&text.written),
            Some(shape) if shape.facts == facts
        );
        self.shapes += 1;
        let shape = Shape {
            number: self.shapes,
            schema: text.schema,
            table: text.table,
            facts,
            doubted: unchanged,
        };
        self.tables.insert(text.written, shape);
        Ok(())
    }

    /// Whether a transaction has begun to arrive and not ended.
    pub(crate) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Bytes that the open transaction takes in memory, and the message that is written.
    pub(crate) fn memory(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.spool.memory());
        open + self.scratch.capacity()
    }

    fn change(&mut self, lsn: Lsn, change: &Change<'_>) -> Result<Outcome, TranslateError> {
        let wrong = |problem| TranslateError::OutOfOrder { lsn, problem };
        let open = self
            .open
            .as_mut()
            .ok_or_else(|| wrong("a change outside a transaction"))?;
        if is_rewrite(change.table) {
            return Ok(Outcome::Taken);
        }
        let shape = match self.tables.get_mut(change.table.written) {
            Some(shape) if shape.fits(&change.operation) => shape,
            Some(_) | None => {
                return Ok(Outcome::NeedsTable(TableText::of_change(change)));
            }
        };
        if shape.facts.is_view {
            return Ok(Outcome::Taken);
        }
        let old = match &change.operation {
            Operation::Insert { .. } => None,
            Operation::Update { old, .. } | Operation::Delete { old } => old.as_deref(),
        };
        if let Some(old) = old {
            if !shape.covers(old) {
                return Err(wrong("an old row with columns that the new row lacks"));
            }
            if shape.learn_identity(old) {
                self.shapes += 1;
                shape.number = self.shapes;
            }
        }
        announce(&mut self.announced, &mut self.scratch, open, shape)?;
        message::row(emptied(&mut self.scratch), shape, &change.operation);
        open.spool.push(&self.scratch)?;
        Ok(Outcome::Taken)
    }

    fn truncate(
        &mut self,
        lsn: Lsn,
        tables: &[QualifiedName<'_>],
        cascade: bool,
        restart_identity: bool,
    ) -> Result<Outcome, TranslateError> {
        let open = self.open.as_mut().ok_or(TranslateError::OutOfOrder {
            lsn,
            problem: "a truncate outside a transaction",
        })?;
        let mut shapes = Vec::with_capacity(tables.len());
        for table in tables {
            match self.tables.get(table.written) {
                Some(shape) => shapes.push(shape),
                None => return Ok(Outcome::NeedsTable(TableText::named(*table))),
            }
        }
        for shape in &shapes {
            announce(&mut self.announced, &mut self.scratch, open, shape)?;
        }
        let oids: Vec<u32> = shapes.iter().map(|shape| shape.facts.oid).collect();
        if !oids.is_empty() {
            let scratch = emptied(&mut self.scratch);
            message::truncate(scratch, &oids, cascade, restart_identity);
            open.spool.push(scratch)?;
        }
        Ok(Outcome::Taken)
    }
}

impl Transaction {
    fn new(open: Open, commit_lsn: Lsn, committed_at: i64) -> io::Result<Self> {
        let (mut begin, mut commit) = (Vec::new(), Vec::new());
        message::begin(&mut begin, commit_lsn, committed_at, open.xid);
        message::commit(&mut commit, commit_lsn, commit_lsn, committed_at);
        Ok(Self {
            commit_lsn,
            begin,
            messages: open.spool.into_reader()?,
            commit,
            next: Next::Begin,
        })
    }

    /// Where it stands in the WAL: the end of its commit record.
    pub(crate) const fn commit_lsn(&self) -> Lsn {
        self.commit_lsn
    }

    /// Whether its last message was given.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.next, Next::End)
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.messages.memory() + self.begin.capacity() + self.commit.capacity()
    }

    /// Its next pgoutput message; `None` after the last.
    ///
    /// # Errors
    /// Where a large transaction cannot be read back.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, TranslateError> {
        match self.next {
            Next::Begin => {
                self.next = Next::Message;
                Ok(Some(&self.begin))
            }
            Next::Message => match self.messages.next()? {
                Some(message) => Ok(Some(message)),
                None => {
                    self.next = Next::End;
                    Ok(Some(&self.commit))
                }
            },
            Next::End => Ok(None),
        }
    }
}

/// Tells the shape before its first use, and again when another was told under its OID.
fn announce(
    announced: &mut HashMap<u32, u64>,
    scratch: &mut Vec<u8>,
    open: &mut Open,
    shape: &Shape,
) -> io::Result<()> {
    let told = announced.insert(shape.facts.oid, shape.number);
    if told == Some(shape.number) {
        return Ok(());
    }
    let scratch = emptied(scratch);
    message::relation(scratch, shape);
    open.spool.push(scratch)
}

fn emptied(scratch: &mut Vec<u8>) -> &mut Vec<u8> {
    scratch.clear();
    scratch.shrink_to(SCRATCH_MAX);
    scratch
}

/// Whether the table is the new copy that an ALTER TABLE fills, named `pg_temp_` and the table's
/// OID. Only since PostgreSQL 11 does the server keep these to itself (`pg_class.relrewrite`).
fn is_rewrite(table: QualifiedName<'_>) -> bool {
    let name = table.table.name();
    name.strip_prefix("pg_temp_")
        .is_some_and(|oid| !oid.is_empty() && oid.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
