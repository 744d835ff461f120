//! A group's policy, and the tables in the form that it gives them.

use std::collections::HashMap;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use ring::digest;
use rowcast_etl::{Column, Diagnostic, OutColumn, Program, Script, Table};
use rowcast_proto::change::{self, TableSchema};
use rowcast_proto::message::{EtlPolicy, RowErrorAction};

/// Problems that a reason names.
const PROBLEMS_SHOWN: usize = 3;

/// Bytes of a shape's hash in its name.
const HASH_BYTES: usize = 8;

/// A table in one of its shapes, and what the policy makes of it.
#[derive(Debug)]
pub(super) struct Fitted {
    /// As the task tells it.
    pub(super) source: TableSchema,
    pub(super) fit: Fit,
}

/// What a policy makes of a table.
#[derive(Debug)]
pub(super) enum Fit {
    /// Nothing.
    AsIs,
    /// Rows go through the program, and are told in this shape.
    Changed {
        program: Box<Program>,
        told: TableSchema,
    },
    /// It does not fit, for this reason: none of the table's rows can be told.
    Unfit(String),
}

impl Fitted {
    /// The shape in which the table is told.
    pub(super) const fn told(&self) -> &TableSchema {
        match &self.fit {
            Fit::Changed { told, .. } => told,
            Fit::AsIs | Fit::Unfit(_) => &self.source,
        }
    }
}

/// The policy with the tables that it was fitted to.
#[derive(Debug)]
pub(super) struct Tables {
    /// `None` where there is no policy.
    script: Option<Result<Script, String>>,
    action: RowErrorAction,
    /// By the name of the shape.
    fitted: HashMap<String, Arc<Fitted>>,
}

impl Tables {
    pub(super) fn new(etl: Option<&EtlPolicy>) -> Self {
        let script = etl.map(|etl| {
            Script::parse(&etl.script).map_err(|problems| {
                format!("the ETL policy cannot be read: {}", in_words(&problems))
            })
        });
        Self {
            script,
            action: etl.map_or(RowErrorAction::Park, EtlPolicy::on_error),
            fitted: HashMap::new(),
        }
    }

    /// What becomes of rows that the policy fails on.
    pub(super) const fn action(&self) -> RowErrorAction {
        self.action
    }

    /// The table in the shape with this name, where it was defined.
    pub(super) fn get(&self, schema_id: &str) -> Option<Arc<Fitted>> {
        self.fitted.get(schema_id).map(Arc::clone)
    }

    /// The shape with this name in which a table is told.
    pub(super) fn told(&self, schema_id: &str) -> Option<&TableSchema> {
        // Most are told as they are.
        let likely = self.fitted.get(schema_id).into_iter();
        let mut fitted = likely.chain(self.fitted.values());
        fitted.find_map(|fitted| Some(fitted.told()).filter(|told| told.id == schema_id))
    }

    /// Fits the policy to a table in this shape.
    pub(super) fn define(&mut self, source: TableSchema, database: &str) -> Arc<Fitted> {
        let fit = match &self.script {
            None => Fit::AsIs,
            Some(Err(reason)) => Fit::Unfit(reason.clone()),
            Some(Ok(script)) => fit(script, &source, database),
        };
        let id = source.id.clone();
        let fitted = Arc::new(Fitted { source, fit });
        self.fitted.insert(id, Arc::clone(&fitted));
        fitted
    }
}

fn fit(script: &Script, source: &TableSchema, database: &str) -> Fit {
    let columns = source.columns.iter().map(|column| Column {
        name: &column.name,
        type_oid: column.type_oid,
        key: column.key,
    });
    let table = Table {
        database,
        schema: &source.schema,
        table: &source.table,
        columns: columns.collect(),
    };
    match script.compile(&table) {
        Ok(program) if program.is_identity() => Fit::AsIs,
        Ok(program) => Fit::Changed {
            told: told(source, program.columns()),
            program: Box::new(program),
        },
        Err(problems) => Fit::Unfit(format!(
            "the ETL policy does not fit {}.{}: {}",
            source.schema,
            source.table,
            in_words(&problems)
        )),
    }
}

/// The table with the columns that a policy gives it.
fn told(source: &TableSchema, columns: &[OutColumn]) -> TableSchema {
    let columns = columns.iter().map(|column| {
        let there = column.source.and_then(|number| source.columns.get(number));
        let kept = there.filter(|_there| !column.retyped);
        change::Column {
            name: column.name.clone(),
            type_oid: column.type_oid,
            type_name: kept.map_or_else(
                || type_name(column.type_oid).to_owned(),
                |kept| kept.type_name.clone(),
            ),
            modifier: kept.map_or(-1, |kept| kept.modifier),
            key: there.is_some_and(|there| there.key),
        }
    });
    let mut told = TableSchema {
        columns: columns.collect(),
        ..source.clone()
    };
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(source.id.as_bytes());
    for column in &told.columns {
        // No name of a column holds a zero byte.
        let shape = format!("\0{}\0{} {}", column.name, column.type_oid, column.modifier);
        hash.update(shape.as_bytes());
    }
    let hash = hash.finish();
    let hash = hash.as_ref().get(..HASH_BYTES).unwrap_or_default();
    told.id = format!("{}-{}", source.table, HEXLOWER.encode(hash));
    told
}

/// The names of the types that a policy gives a column (PostgreSQL, `pg_type.dat`).
const fn type_name(oid: u32) -> &'static str {
    match oid {
        16 => "bool",
        19 => "name",
        20 => "int8",
        701 => "float8",
        1042 => "bpchar",
        1043 => "varchar",
        1082 => "date",
        1114 => "timestamp",
        1184 => "timestamptz",
        1700 => "numeric",
        _ => "text",
    }
}

/// The first few of them.
fn in_words(problems: &[Diagnostic]) -> String {
    let shown = problems.iter().take(PROBLEMS_SHOWN);
    let mut words: Vec<String> = shown.map(ToString::to_string).collect();
    if problems.len() > PROBLEMS_SHOWN {
        words.push(format!("and {} more", problems.len() - PROBLEMS_SHOWN));
    }
    words.join("; ")
}
