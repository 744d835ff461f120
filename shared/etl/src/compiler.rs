//! Compiles a script: for one table, or for any table, to find what is wrong whatever the table.

mod action;
mod call;
mod columns;
mod constant;
#[cfg(test)]
mod trial;
mod value;

use std::{collections::HashMap, sync::Arc};

use regex::Regex;

use crate::{
    diagnostic::{DIAGNOSTICS_MAX, Diagnostic, Span},
    kind,
    node::Node,
    program::{OutColumn, Program},
    table::Table,
};

use self::columns::Columns;

/// Regular expressions of a script by their text: tables share them.
pub(crate) type Regexes = HashMap<String, Regex>;

/// Finds what is wrong with a script for every table.
pub(crate) fn check(text: &str, statements: &[Node]) -> Result<Regexes, Vec<Diagnostic>> {
    let mut compiler = Compiler::new(text, None, Regexes::new());
    compiler.actions(statements);
    compiler.finished()?;
    Ok(compiler.regexes)
}

/// Compiles a script for a table.
pub(crate) fn compile(
    text: &str,
    statements: &[Node],
    regexes: &Regexes,
    table: &Table<'_>,
) -> Result<Program, Vec<Diagnostic>> {
    let mut compiler = Compiler::new(text, Some(table), regexes.clone());
    let actions = compiler.actions(statements);
    compiler.finished()?;
    let columns: Vec<OutColumn> = compiler.out_columns(table);
    let unchanged = columns.iter().zip(&table.columns).enumerate();
    let unchanged = unchanged
        .filter(|(index, (out, column))| out.source == Some(*index) && out.name == column.name);
    let identity = actions.is_empty()
        && columns.len() == table.columns.len()
        && unchanged.count() == columns.len();
    let mut kept = vec![false; compiler.slots];
    for live in compiler.columns.iter() {
        if let Some(kept) = kept.get_mut(live.slot) {
            *kept = true;
        }
    }
    let read = table.columns.iter().zip(&compiler.read);
    let read = read.filter(|(_, read)| **read);
    Ok(Program {
        text: Arc::from(text),
        width: table.columns.len(),
        slots: compiler.slots,
        actions,
        columns,
        kept: kept.contains(&false).then_some(kept),
        identity,
        drops: compiler.drops,
        read: read.map(|(column, _)| column.name.to_owned()).collect(),
    })
}

/// What is known while statements are compiled one after another.
struct Compiler<'t> {
    text: &'t str,
    /// `None` compiles for any table: nothing is known of columns, and every branch is compiled.
    table: Option<&'t Table<'t>>,
    columns: Columns,
    /// Columns of the table and columns that were added.
    slots: usize,
    /// Columns that were added, for branches that add the same one.
    added: Vec<(String, usize)>,
    /// Names that columns had before they were dropped or renamed.
    gone: Vec<String>,
    /// How many conditions that rows decide the statement stands under.
    conditions: usize,
    /// The column that a value is computed for.
    target: Option<usize>,
    /// Which columns of the table are read.
    read: Vec<bool>,
    drops: bool,
    regexes: Regexes,
    wrong: Vec<Diagnostic>,
}

impl<'t> Compiler<'t> {
    fn new(text: &'t str, table: Option<&'t Table<'t>>, regexes: Regexes) -> Self {
        let columns = table.map(|table| table.columns.as_slice());
        let columns = columns.unwrap_or_default();
        Self {
            text,
            table,
            columns: Columns::of(columns),
            slots: columns.len(),
            added: Vec::new(),
            gone: Vec::new(),
            conditions: 0,
            target: None,
            read: vec![false; columns.len()],
            drops: false,
            regexes,
            wrong: Vec::new(),
        }
    }

    fn finished(&mut self) -> Result<(), Vec<Diagnostic>> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        self.wrong.sort_by_key(|wrong| wrong.from);
        self.wrong.dedup();
        Err(std::mem::take(&mut self.wrong))
    }

    fn out_columns(&self, table: &Table<'_>) -> Vec<OutColumn> {
        let columns = self.columns.iter().map(|live| {
            let type_oid = live.oid.unwrap_or(kind::TEXT);
            let source = live.source.and_then(|source| table.columns.get(source));
            OutColumn {
                name: live.name.to_string(),
                source: live.source,
                type_oid,
                retyped: source.is_some_and(|column| column.type_oid != type_oid),
            }
        });
        columns.collect()
    }

    /// Tells what is wrong.
    fn tell(&mut self, span: Span, code: &'static str, message: impl Into<String>) {
        if self.wrong.len() < DIAGNOSTICS_MAX {
            let told = Diagnostic::new(self.text, span, code, message.into());
            self.wrong.push(told);
        }
    }

    /// The table as messages name it.
    fn table_name(&self) -> String {
        let table = self.table;
        table.map_or("the table".to_owned(), |table| {
            format!("{}.{}", table.schema, table.table)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{script::Script, table::Column};

    #[test]
    fn programs_go_to_other_threads() {
        fn goes<T: Send + Sync>() {}
        goes::<Program>();
        goes::<Script>();
    }

    #[test]
    fn mistakes_come_in_the_order_of_the_text() {
        let column = |name| Column {
            name,
            type_oid: 25,
            key: false,
        };
        let table = Table {
            database: "d",
            schema: "s",
            table: "t",
            columns: vec![column("a")],
        };
        // The condition without a column is compiled first.
        let script = Script::parse("e_keep(`x` == 'a' && __TB__ == 't' && `y` == 'b')").unwrap();
        let wrong = script.compile(&table).unwrap_err();
        let places: Vec<usize> = wrong.iter().map(|wrong| wrong.from).collect();
        assert_eq!(places, [7, 38]);
    }
}
