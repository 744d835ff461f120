//! Does the task's ETL policy fit the tables?
//!
//! Capture fits it to each table as its rows arrive; what does not fit then would be parked, left out, or stop
//! the task.

use std::collections::HashMap;

use rowcast_domain::TableName;
use rowcast_etl::{Column, Diagnostic, Script, Table};
use rowcast_pg::catalog::{ReplicaIdentity, TableInfo};
use rowcast_pg::{Client, Error, settings};

use super::{Rule, generated_columns};
use crate::finding::{Finding, name_some};
use crate::source::Source;

pub(super) const RULE: Rule = Rule {
    code: "etl",
    title: "The ETL policy fits the tables",
    ran: "SELECT attname, atttypid FROM pg_attribute",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let policy = source.wish.etl.as_ref();
    let script = policy.map(|etl| Script::parse(&etl.script));
    let script = match script {
        None => return Ok(Finding::pass("there is no policy")),
        Some(Ok(script)) => script,
        Some(Err(problems)) => {
            let problems = problems.iter().map(ToString::to_string);
            return Ok(unfit(&name_some(problems)));
        }
    };
    let version = settings::read(&source.session).await?.server_version;
    let tables = source.selected().await?.tables();
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let columns = columns(&source.session, &oids, version).await?;
    let database = &source.options.database;
    let mut seen = Seen::default();
    for table in tables {
        let columns = columns.get(&table.oid).map_or(&[][..], Vec::as_slice);
        seen.look_at(&script, database, table, columns);
    }
    let operations = source.wish.operations();
    let needs_old = operations
        .iter()
        .any(|name| matches!(*name, "update" | "delete"));
    Ok(seen.judge(needs_old))
}

/// What the policy comes to, table by table.
#[derive(Debug, Default)]
struct Seen {
    tables: usize,
    changed: usize,
    /// Each with its table.
    problems: Vec<String>,
    /// Columns that rows are judged by and that may not be sent, each as `table (column, …)`.
    may_lack: Vec<String>,
    /// Statements after which they are sent.
    statements: Vec<String>,
}

impl Seen {
    fn look_at(
        &mut self,
        script: &Script,
        database: &str,
        table: &TableInfo,
        columns: &[(String, u32)],
    ) {
        let is_full = table.replica_identity == ReplicaIdentity::Full;
        let key = if is_full {
            &table.primary_key
        } else {
            &table.key_columns
        };
        let columns = columns.iter().map(|(name, type_oid)| Column {
            name,
            type_oid: *type_oid,
            key: key.contains(name),
        });
        let shape = Table {
            database,
            schema: &table.name.schema,
            table: &table.name.table,
            columns: columns.collect(),
        };
        self.tables += 1;
        match script.compile(&shape) {
            Err(problems) => {
                let told = problems
                    .iter()
                    .map(|problem| sentence(&table.name, problem));
                self.problems.extend(told);
            }
            Ok(program) => {
                self.changed += usize::from(!program.is_identity());
                let read = program.read_by_conditions();
                if !is_full && !read.is_empty() {
                    self.may_lack
                        .push(format!("{} ({})", table.name, read.join(", ")));
                    self.statements.push(format!(
                        "ALTER TABLE {} REPLICA IDENTITY FULL;",
                        table.name.quoted()
                    ));
                }
            }
        }
    }

    fn judge(self, needs_old: bool) -> Finding {
        if !self.problems.is_empty() {
            return unfit(&name_some(self.problems));
        }
        let saw = format!("applies to {} of {} tables", self.changed, self.tables);
        if !needs_old || self.may_lack.is_empty() {
            return Finding::pass(saw);
        }
        let saw = format!("{saw}; judges rows by: {}", name_some(self.may_lack));
        Finding::alert(
            saw,
            "The replica identity of these tables does not send those columns with what was there before: a delete \
             is told unless its key alone excludes it, and an update that leaves a large value as it was cannot be \
             judged by it.",
            format!(
                "Judge by key columns, or run:\n{}",
                self.statements.join("\n")
            ),
        )
    }
}

/// Without its last stop: others may follow.
fn sentence(table: &TableName, problem: &Diagnostic) -> String {
    let text = problem.to_string();
    format!("{table}: {}", text.trim_end_matches('.'))
}

fn unfit(problems: &str) -> Finding {
    Finding::fail(
        problems,
        "Rows of such a table could not be told.",
        "Change the policy. What is meant for one table can be kept from the others: \
         e_if(op_eq(__TB__, \"orders\"), …).",
    )
}

/// Names and types of the columns that are sent, by table.
async fn columns(
    client: &Client,
    oids: &[u32],
    version: u32,
) -> Result<HashMap<u32, Vec<(String, u32)>>, Error> {
    let unsent = generated_columns::unsent(version);
    let statement = format!(
        "SELECT a.attrelid,
                a.attname::text,
                a.atttypid
         FROM pg_catalog.pg_attribute AS a
         WHERE a.attrelid = ANY ($1::oid[])
           AND a.attnum > 0
           AND NOT a.attisdropped
           AND NOT {unsent}
         ORDER BY a.attrelid, a.attnum"
    );
    let mut columns: HashMap<u32, Vec<(String, u32)>> = HashMap::new();
    for row in client.query(&statement, &[&oids]).await? {
        let column = (row.try_get(1)?, row.try_get(2)?);
        columns.entry(row.try_get(0)?).or_default().push(column);
    }
    Ok(columns)
}
