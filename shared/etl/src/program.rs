//! A script compiled for one table, and how it runs over a row.

use std::{borrow::Cow, sync::Arc};

use crate::{
    diagnostic::{Span, line_and_column},
    evaluation::{Row, cell},
    expression::Expression,
    moment::Style,
    strings::replace,
    table::{Datum, Event, Image},
    value::Fault,
};

/// What a script does with the rows of one table.
#[derive(Debug)]
pub struct Program {
    /// The script, to tell where something failed.
    pub(crate) text: Arc<str>,
    pub(crate) width: usize,
    pub(crate) slots: usize,
    pub(crate) actions: Vec<Action>,
    pub(crate) columns: Vec<OutColumn>,
    /// Which slots leave, if not all do.
    pub(crate) kept: Option<Vec<bool>>,
    pub(crate) identity: bool,
    pub(crate) drops: bool,
    pub(crate) read: Vec<String>,
}

/// A column of the rows that leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutColumn {
    /// Its name.
    pub name: String,
    /// Which column of the table it is, if it is one: the rest that is known of that one, as
    /// whether it belongs to the key, is true of this one too.
    pub source: Option<usize>,
    /// The OID of its type.
    pub type_oid: u32,
    /// Whether that is another type than the table's column has.
    pub retyped: bool,
}

/// A value of a row that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Not known: PostgreSQL did not send it, or it is made of something that was not sent.
    Unchanged,
    /// It is null.
    Null,
    /// It has this text, in PostgreSQL's own form.
    Text(Cow<'a, str>),
}

/// Why a script could not be run over a row. It tells no values, which may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}{}: {reason}", in_column(name.as_deref()))]
pub struct RunError {
    /// The line of the script, from 1.
    pub line: usize,
    /// The character of the line, from 1.
    pub column: usize,
    /// The column of the table that it has to do with.
    pub name: Option<String>,
    /// What went wrong.
    pub reason: String,
}

/// What failed while a script ran, before it is told.
#[derive(Debug)]
pub(crate) struct Failure<'a> {
    pub(crate) span: Span,
    pub(crate) name: Option<&'a str>,
    pub(crate) fault: Fault,
}

/// A compiled statement.
#[derive(Debug)]
pub(crate) enum Action {
    Drop,
    Keep(Expression),
    Set {
        slot: usize,
        name: String,
        value: Expression,
        style: Style,
    },
    /// The actions of the first condition that is true, or the others.
    Choose(Vec<(Expression, Vec<Action>)>, Vec<Action>),
    ReplaceEverywhere {
        span: Span,
        slots: Vec<(usize, String)>,
        search: String,
        replacement: String,
        /// `None` is every time.
        count: Option<i64>,
    },
}

impl Program {
    /// The columns of the rows that leave.
    #[must_use]
    pub fn columns(&self) -> &[OutColumn] {
        &self.columns
    }

    /// Whether rows leave as they are, so that it need not be run.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.identity
    }

    /// Whether it drops no row.
    #[must_use]
    pub fn keeps_every_row(&self) -> bool {
        !self.drops
    }

    /// The columns of the table, outside its key, that conditions and values of other columns are
    /// read from. Where a delete does not send them, they are not known.
    #[must_use]
    pub fn read_by_conditions(&self) -> Vec<&str> {
        self.read.iter().map(String::as_str).collect()
    }

    /// Runs over one image of a row, which has a datum per column of the table. Tells whether the
    /// row is kept; then `out` has a cell per column of [`Program::columns`].
    ///
    /// # Errors
    ///
    /// If a value cannot be read as what its column is, a result cannot be represented, or a condition
    /// of a row depends on what was not sent. Of a key such a condition does nothing.
    pub fn run<'a>(
        &'a self,
        row: &[Datum<'a>],
        event: &Event,
        image: Image,
        out: &mut Vec<Cell<'a>>,
    ) -> Result<bool, RunError> {
        if row.len() != self.width {
            let failure = Failure {
                span: Span::default(),
                name: None,
                fault: Fault::OtherShape(self.width, row.len()),
            };
            return Err(failure.told(&self.text));
        }
        out.clear();
        out.extend(row.iter().map(|datum| match datum {
            Datum::Unchanged => Cell::Unchanged,
            Datum::Null => Cell::Null,
            Datum::Text(text) => Cell::Text(Cow::Borrowed(text)),
        }));
        out.resize(self.slots, Cell::Null);
        let kept = run(&self.actions, (event, image), out);
        if !kept.map_err(|failure| failure.told(&self.text))? {
            return Ok(false);
        }
        if let Some(kept) = &self.kept {
            let mut kept = kept.iter();
            out.retain(|_| kept.next().is_some_and(|kept| *kept));
        }
        Ok(true)
    }
}

/// Runs actions in order, until one drops the row.
fn run<'a>(
    actions: &'a [Action],
    (event, image): (&Event, Image),
    cells: &mut [Cell<'a>],
) -> Result<bool, Failure<'a>> {
    for action in actions {
        let row = Row { cells, event };
        match action {
            Action::Drop => return Ok(false),
            Action::Keep(condition) => {
                if judge(condition, &row, image)? == Verdict::No {
                    return Ok(false);
                }
            }
            Action::Set {
                slot,
                name,
                value,
                style,
            } => {
                let value = value
                    .evaluate(&row)
                    .map_err(|failure| failure.or_of(name))?;
                if let Some(set) = cells.get_mut(*slot) {
                    *set = cell(value, *style);
                }
            }
            Action::Choose(arms, otherwise) => {
                let mut chosen = otherwise;
                for (condition, actions) in arms {
                    match judge(condition, &row, image)? {
                        Verdict::Yes => chosen = actions,
                        Verdict::No => continue,
                        Verdict::Open => chosen = &NOTHING,
                    }
                    break;
                }
                if !run(chosen, (event, image), cells)? {
                    return Ok(false);
                }
            }
            Action::ReplaceEverywhere { .. } => replace_everywhere(action, cells)?,
        }
    }
    Ok(true)
}

/// No actions.
static NOTHING: Vec<Action> = Vec::new();

/// What a condition comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Yes,
    /// It is false, or null.
    No,
    /// It depends on what is not part of the key.
    Open,
}

fn judge<'a>(
    condition: &'a Expression,
    row: &Row<'_, 'a>,
    image: Image,
) -> Result<Verdict, Failure<'a>> {
    let value = condition.evaluate(row)?;
    if !value.is_unknown() {
        let is_true = value.is_true();
        return Ok(if is_true { Verdict::Yes } else { Verdict::No });
    }
    match image {
        Image::Key => Ok(Verdict::Open),
        Image::Row => Err(Failure {
            span: condition.span,
            name: condition.first_column(),
            fault: Fault::NotSent,
        }),
    }
}

fn replace_everywhere<'a>(action: &'a Action, cells: &mut [Cell<'a>]) -> Result<(), Failure<'a>> {
    let Action::ReplaceEverywhere {
        span,
        slots,
        search,
        replacement,
        count,
    } = action
    else {
        return Ok(());
    };
    for (slot, name) in slots {
        if let Some(Cell::Text(text)) = cells.get_mut(*slot) {
            let replaced = replace(std::mem::take(text), search, replacement, *count);
            *text = replaced.map_err(|fault| Failure {
                span: *span,
                name: Some(name),
                fault,
            })?;
        }
    }
    Ok(())
}

impl<'a> Failure<'a> {
    /// The same, of this column if it has to do with no other.
    fn or_of(mut self, name: &'a str) -> Self {
        self.name.get_or_insert(name);
        self
    }

    fn told(self, text: &str) -> RunError {
        let (line, column) = line_and_column(text, self.span.from);
        RunError {
            line,
            column,
            name: self.name.map(str::to_owned),
            reason: self.fault.to_string(),
        }
    }
}

fn in_column(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!(", column `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_the_column_that_it_knows() {
        let failure = |name| Failure {
            span: Span { from: 9, to: 10 },
            name,
            fault: Fault::DivisionByZero,
        };
        let told = |failure: Failure<'_>| failure.told("e_drop()\n1").to_string();
        assert_eq!(
            told(failure(None)),
            "line 2, column 1: a number is divided by zero"
        );
        assert_eq!(
            told(failure(Some("a")).or_of("b")),
            "line 2, column 1, column `a`: a number is divided by zero"
        );
        assert_eq!(
            told(failure(None).or_of("b")),
            "line 2, column 1, column `b`: a number is divided by zero"
        );
    }
}
