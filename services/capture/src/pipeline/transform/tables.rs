//! One policy, and the tables in the form that it gives them.

use std::sync::Arc;

use foldhash::HashMap;
use rowcast_etl::{Column, Diagnostic, Program, Script, Table};
use rowcast_proto::message::{EtlPolicy, RowErrorAction};

use crate::pipeline::change::Relation;

/// Problems that a reason names.
const PROBLEMS_SHOWN: usize = 3;

/// What a policy makes of a table.
#[derive(Debug)]
pub(super) enum Fitted {
    /// Nothing.
    AsIs,
    /// Rows go through the program, and are told in this shape.
    Changed {
        program: Program,
        told: Arc<Relation>,
    },
    /// It does not fit, for this reason: none of the table's rows can be told.
    Unfit(String),
}

/// One policy with the tables that it was fitted to.
#[derive(Debug)]
pub(super) struct Tables {
    /// `None` where there is no policy.
    script: Option<Result<Script, String>>,
    action: RowErrorAction,
    database: String,
    fitted: HashMap<u32, Fitted>,
}

impl Tables {
    pub(super) fn new(etl: Option<&EtlPolicy>, database: &str) -> Self {
        let script = etl.map(|etl| {
            Script::parse(&etl.script).map_err(|problems| {
                format!("the ETL policy cannot be read: {}", in_words(&problems))
            })
        });
        Self {
            script,
            action: etl.map_or(RowErrorAction::Park, EtlPolicy::on_error),
            database: database.to_owned(),
            fitted: HashMap::default(),
        }
    }

    /// What becomes of rows that it fails on.
    pub(super) const fn action(&self) -> RowErrorAction {
        self.action
    }

    /// What it makes of a table; `None` of one that was not defined.
    pub(super) fn fitted(&self, oid: u32) -> Option<&Fitted> {
        self.fitted.get(&oid)
    }

    /// Fits the policy to a table, and gives the form in which that is told.
    pub(super) fn define(&mut self, source: &Arc<Relation>) -> Arc<Relation> {
        if let Some(script) = &self.script {
            let fitted = match script {
                Ok(script) => fit(script, source, &self.database),
                Err(reason) => Fitted::Unfit(reason.clone()),
            };
            self.fitted.insert(source.oid, fitted);
        }
        self.told(source)
    }

    /// The form in which a table is told.
    pub(super) fn told(&self, source: &Arc<Relation>) -> Arc<Relation> {
        match self.fitted.get(&source.oid) {
            Some(Fitted::Changed { told, .. }) => Arc::clone(told),
            Some(Fitted::AsIs | Fitted::Unfit(_)) | None => Arc::clone(source),
        }
    }
}

fn fit(script: &Script, source: &Relation, database: &str) -> Fitted {
    let schema = &source.schema;
    let columns = schema.columns.iter().map(|column| Column {
        name: &column.name,
        type_oid: column.type_oid,
        key: column.key,
    });
    let table = Table {
        database,
        schema: &schema.schema,
        table: &schema.table,
        columns: columns.collect(),
    };
    match script.compile(&table) {
        Ok(program) if program.is_identity() => Fitted::AsIs,
        Ok(program) => Fitted::Changed {
            told: Arc::new(source.reshaped(program.columns())),
            program,
        },
        Err(problems) => Fitted::Unfit(format!(
            "the ETL policy does not fit {}.{}: {}",
            schema.schema,
            schema.table,
            in_words(&problems)
        )),
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
