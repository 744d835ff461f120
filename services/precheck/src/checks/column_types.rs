//! Do the columns hold what the changes of their table tell?
//!
//! The text that the server writes of a value is told whatever its type (README, "Read changes"), so no type is
//! refused. Two things are no part of a row's columns and reach no reader: large objects, of which a column holds only
//! the number (PostgreSQL docs, "Logical Replication", Restrictions), and the row numbers of tables `WITH OIDS`, which
//! ended with PostgreSQL 12.

use rowcast_domain::TableName;
use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::source::Source;

/// First version without tables `WITH OIDS`.
const NO_OIDS_SINCE: u32 = 120_000;

/// Statements shown at most.
const SHOWN: usize = 50;

pub(super) const RULE: Rule = Rule {
    code: "column_types",
    title: "Columns hold what is to be told",
    ran: "SELECT attname, atttypid FROM pg_attribute; SELECT oid FROM pg_largeobject_metadata LIMIT 1; \
          SELECT relhasoids FROM pg_class",
};

/// What a reader would miss.
#[derive(Debug, Default)]
struct Missed {
    /// Tables and columns that hold numbers of large objects.
    large_objects: Vec<(TableName, String)>,
    /// Tables `WITH OIDS`.
    with_oids: Vec<TableName>,
}

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let tables = source.selected().await?.tables();
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let version = settings::read(&source.session).await?.server_version;
    Ok(judge(&Missed {
        large_objects: large_objects(source, &oids).await?,
        with_oids: with_oids(source, &oids, version).await?,
    }))
}

/// A column of type `oid` may hold any number: it is told only where the database has large objects at all. The type
/// `lo` has no other use (PostgreSQL docs, "lo — manage large objects").
async fn large_objects(source: &Source, oids: &[u32]) -> Result<Vec<(TableName, String)>, Error> {
    let rows = source
        .session
        .query(
            "SELECT n.nspname::text,
                    c.relname::text,
                    a.attname::text
             FROM pg_catalog.pg_attribute AS a
             JOIN pg_catalog.pg_class AS c
               ON c.oid = a.attrelid
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = c.relnamespace
             JOIN pg_catalog.pg_type AS t
               ON t.oid = a.atttypid
             WHERE a.attrelid = ANY ($1::oid[])
               AND a.attnum > 0
               AND NOT a.attisdropped
               AND (t.typname = 'lo' AND t.typbasetype = 'pg_catalog.oid'::pg_catalog.regtype
                    OR t.oid = 'pg_catalog.oid'::pg_catalog.regtype
                   AND EXISTS (SELECT 1 FROM pg_catalog.pg_largeobject_metadata))
             ORDER BY 1, 2, a.attnum",
            &[&oids],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let (schema, table): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok((TableName::new(schema, table), row.try_get(2)?))
        })
        .collect()
}

async fn with_oids(source: &Source, oids: &[u32], version: u32) -> Result<Vec<TableName>, Error> {
    if version >= NO_OIDS_SINCE {
        return Ok(Vec::new());
    }
    let rows = source
        .session
        .query(
            "SELECT n.nspname::text,
                    c.relname::text
             FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = c.relnamespace
             WHERE c.oid = ANY ($1::oid[])
               AND c.relhasoids
             ORDER BY 1, 2",
            &[&oids],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let (schema, table): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok(TableName::new(schema, table))
        })
        .collect()
}

fn judge(missed: &Missed) -> Finding {
    let Missed {
        large_objects,
        with_oids,
    } = missed;
    let mut saw = Vec::new();
    let mut causes = Vec::new();
    let mut statements = Vec::new();
    if !large_objects.is_empty() {
        let columns = large_objects
            .iter()
            .map(|(table, column)| format!("{table}.{column}"));
        saw.push(format!("may hold large objects: {}", name_some(columns)));
        causes.push(
            "Of a large object the column holds the number, which is told; what is in it, and that it changed, reaches \
             no reader.",
        );
        statements.extend(large_objects.iter().map(|(table, column)| {
            let column = TableName::quote(column);
            format!(
                "ALTER TABLE {} ALTER COLUMN {column} TYPE bytea USING pg_catalog.lo_get({column});",
                table.quoted()
            )
        }));
    }
    if !with_oids.is_empty() {
        let tables = with_oids.iter().map(ToString::to_string);
        saw.push(format!("WITH OIDS: {}", name_some(tables)));
        causes.push("The OID of a row is no column of it: readers do not get it.");
        let without =
            |table: &TableName| format!("ALTER TABLE {} SET WITHOUT OIDS;", table.quoted());
        statements.extend(with_oids.iter().map(without));
    }
    if saw.is_empty() {
        return Finding::pass("no large objects, no tables WITH OIDS");
    }
    if statements.len() > SHOWN {
        let more = statements.len() - SHOWN;
        statements.truncate(SHOWN);
        statements.push(format!("-- and {more} more"));
    }
    let repair = format!(
        "Where readers need it, and the application no longer does it in the old way:\n{}",
        statements.join("\n")
    );
    Finding::alert(saw.join("; "), causes.join(" "), repair)
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn what_is_beside_the_columns_is_told_with_its_repair() {
        assert_eq!(judge(&Missed::default()).outcome, CheckOutcome::Pass);
        let finding = judge(&Missed {
            large_objects: vec![(TableName::new("public", "Scans"), "page".to_owned())],
            with_oids: vec![TableName::new("public", "old")],
        });
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert_eq!(
            finding.saw,
            "may hold large objects: public.Scans.page; WITH OIDS: public.old"
        );
        assert!(
            finding
                .repair
                .contains("TYPE bytea USING pg_catalog.lo_get("),
            "{}",
            finding.repair
        );
    }
}
