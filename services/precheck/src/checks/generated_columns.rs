//! Do readers get every column?
//!
//! Before 18 a publication sends no generated column, and none that is computed when it is read (PostgreSQL docs,
//! "Logical Replication", "Generated Column Replication").

use rowcast_domain::TableName;
use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::literal;
use crate::source::Source;

/// First version with generated columns.
const GENERATED_SINCE: u32 = 120_000;

/// First version that makes a plain column of a generated one.
const DROP_EXPRESSION_SINCE: u32 = 130_000;

/// First version that sends generated columns, the stored ones.
const GENERATED_SENT_SINCE: u32 = 180_000;

pub(super) const RULE: Rule = Rule {
    code: "generated_columns",
    title: "Every column is sent",
    ran: "SELECT attname, attgenerated FROM pg_attribute",
};

/// A column that readers do not get.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unsent {
    table: TableName,
    column: String,
    /// It is computed when it is read.
    is_virtual: bool,
    /// As `CREATE TABLE` takes it.
    data_type: String,
    /// What it is computed by.
    expression: String,
}

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let version = settings::read(&source.session).await?.server_version;
    if version < GENERATED_SINCE {
        return Ok(judge(&[], version));
    }
    let unsent = unsent(version);
    let tables = source.selected().await?.tables();
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let query = format!(
        "SELECT n.nspname::text,
                c.relname::text,
                a.attname::text,
                a.attgenerated = 'v',
                pg_catalog.format_type(a.atttypid, a.atttypmod),
                pg_catalog.pg_get_expr(d.adbin, d.adrelid)
         FROM pg_catalog.pg_attribute AS a
         JOIN pg_catalog.pg_attrdef AS d
           ON d.adrelid = a.attrelid
          AND d.adnum = a.attnum
         JOIN pg_catalog.pg_class AS c
           ON c.oid = a.attrelid
         JOIN pg_catalog.pg_namespace AS n
           ON n.oid = c.relnamespace
         WHERE a.attrelid = ANY ($1::oid[])
           AND a.attnum > 0
           AND NOT a.attisdropped
           AND {unsent}
         ORDER BY 1, 2, 3"
    );
    let rows = source.session.query(&query, &[&oids]).await?;
    let columns = rows.iter().map(|row| {
        let schema: String = row.try_get(0)?;
        Ok(Unsent {
            table: TableName::new(schema, row.try_get::<_, String>(1)?),
            column: row.try_get(2)?,
            is_virtual: row.try_get(3)?,
            data_type: row.try_get(4)?,
            expression: row.try_get(5)?,
        })
    });
    Ok(judge(&columns.collect::<Result<Vec<_>, Error>>()?, version))
}

/// The condition on a row `a` of `pg_attribute` under which a server of this version does not send the column.
pub(super) const fn unsent(version: u32) -> &'static str {
    match version {
        ..GENERATED_SINCE => "false",
        GENERATED_SINCE..GENERATED_SENT_SINCE => "a.attgenerated <> ''",
        GENERATED_SENT_SINCE.. => "a.attgenerated = 'v'",
    }
}

fn judge(unsent: &[Unsent], version: u32) -> Finding {
    if unsent.is_empty() {
        return Finding::pass("no column is left out by the server");
    }
    let mut repair = "Let readers compute them, or an ETL policy: e_set(`total`, `price` * `quantity`). Or upgrade to \
                      PostgreSQL 18, which sends stored ones."
        .to_owned();
    let statements = literal::lines(unsent.iter().map(send));
    if version >= GENERATED_SENT_SINCE {
        repair = format!(
            "Let readers compute them, or an ETL policy: e_set(`total`, `price` * `quantity`).\nOr store them, which \
             writes their tables anew:\n{statements}"
        );
    } else if version >= DROP_EXPRESSION_SINCE {
        repair = format!(
            "{repair}\nOr make plain columns of them, which the application has to write from then on:\n{statements}"
        );
    }
    let names = unsent
        .iter()
        .map(|column| format!("{}.{}", column.table, column.column));
    Finding::alert(
        format!("not sent: {}", name_some(names)),
        "The server does not put these generated columns into what it sends: readers do not get them, and an ETL policy \
         cannot read them.",
        repair,
    )
}

/// What makes a server of 13 or later send the column.
fn send(unsent: &Unsent) -> String {
    let table = unsent.table.quoted();
    let column = TableName::quote(&unsent.column);
    if unsent.is_virtual {
        let Unsent {
            data_type,
            expression,
            ..
        } = unsent;
        return format!(
            "ALTER TABLE {table} DROP COLUMN {column}, ADD COLUMN {column} {data_type} GENERATED ALWAYS AS \
             ({expression}) STORED;"
        );
    }
    format!("ALTER TABLE {table} ALTER COLUMN {column} DROP EXPRESSION;")
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn columns_that_readers_do_not_get_are_named() {
        assert_eq!(judge(&[], 180_000).outcome, CheckOutcome::Pass);
        let stored = Unsent {
            table: TableName::new("shop", "lines"),
            column: "Total".to_owned(),
            is_virtual: false,
            data_type: "integer".to_owned(),
            expression: "price * quantity".to_owned(),
        };
        let finding = judge(std::slice::from_ref(&stored), 170_000);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert_eq!(finding.saw, "not sent: shop.lines.Total");
        let plain = "\nALTER TABLE \"shop\".\"lines\" ALTER COLUMN \"Total\" DROP EXPRESSION;";
        assert!(finding.repair.ends_with(plain), "{finding:?}");
        // 12 has no such statement.
        let old = judge(std::slice::from_ref(&stored), 120_000);
        assert!(!old.repair.contains("ALTER TABLE"), "{old:?}");
        let computed = Unsent {
            is_virtual: true,
            ..stored
        };
        let finding = judge(&[computed], 180_000);
        let kept = "ADD COLUMN \"Total\" integer GENERATED ALWAYS AS (price * quantity) STORED;";
        assert!(finding.repair.ends_with(kept), "{finding:?}");
    }
}
