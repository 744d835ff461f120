//! Does every table identify the rows that it updates and deletes?
//!
//! Once a table is published for updates or deletes, PostgreSQL refuses these where it has no
//! replica identity: the task would break the application.

use rowcast_domain::TableName;
use rowcast_pg::{Client, Error, settings};

use super::Rule;
use super::server_version::PUBLICATIONS_SINCE;
use crate::finding::{Finding, name_some};
use crate::literal;
use crate::source::Source;

pub(super) const RULE: Rule = Rule {
    code: "keys",
    title: "Updated and deleted rows can be identified",
    ran: "SELECT relreplident FROM pg_class; \
          SELECT indisprimary, indisreplident, indimmediate FROM pg_index",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let operations = source.wish.operations();
    let needed: Vec<&str> = operations
        .into_iter()
        .filter(|name| matches!(*name, "update" | "delete"))
        .collect();
    if needed.is_empty() {
        return Ok(Finding::pass("neither updates nor deletes are tracked"));
    }
    let tables = source.selected().await?.tables();
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let version = settings::read(&source.session).await?.server_version;
    Ok(judge(
        &without_identity(&source.session, &oids).await?,
        &needed.join(" and "),
        version,
    ))
}

fn judge(without: &[Unidentified], operations: &str, version: u32) -> Finding {
    if without.is_empty() {
        return Finding::pass("every table has a primary key or a replica identity");
    }
    let statements = without.iter().map(|Unidentified { table, identity }| {
        format!(
            "ALTER TABLE {} REPLICA IDENTITY {identity};",
            table.quoted()
        )
    });
    let repair = format!(
        "Add primary keys, or run this, which takes a unique index where there is one and else all columns:\n{}",
        literal::lines(statements)
    );
    let saw = format!(
        "without: {}",
        name_some(without.iter().map(|found| found.table.to_string()))
    );
    if version < PUBLICATIONS_SINCE {
        let cause = format!(
            "These tables have neither a primary key nor another replica identity: a change by \
             {operations} does not tell which row it was."
        );
        return Finding::alert(saw, cause, repair);
    }
    let cause = format!(
        "These tables have neither a primary key nor another replica identity. Once they are \
         published, PostgreSQL refuses every {operations} on them."
    );
    Finding::fail(saw, cause, repair)
}

/// Which of the tables, partitions and children have no replica identity, and which one they could have.
const WITHOUT_IDENTITY: &str = "WITH RECURSIVE published (oid) AS (
         SELECT s.oid
         FROM pg_catalog.unnest($1::oid[]) AS s (oid)
         UNION
         SELECT h.inhrelid
         FROM published AS p
         JOIN pg_catalog.pg_inherits AS h
           ON h.inhparent = p.oid
     )
     SELECT n.nspname::text,
            c.relname::text,
            COALESCE(
                (SELECT 'DEFAULT'::text
                 FROM pg_catalog.pg_index AS i
                 WHERE i.indrelid = c.oid
                   AND i.indisprimary
                   AND i.indisvalid
                   AND i.indimmediate),
                -- What REPLICA IDENTITY USING INDEX takes.
                (SELECT 'USING INDEX ' || pg_catalog.quote_ident(x.relname)
                 FROM pg_catalog.pg_index AS i
                 JOIN pg_catalog.pg_class AS x
                   ON x.oid = i.indexrelid
                 WHERE i.indrelid = c.oid
                   AND i.indisunique
                   AND i.indisvalid
                   AND i.indimmediate
                   AND i.indpred IS NULL
                   AND i.indexprs IS NULL
                   AND NOT EXISTS (SELECT 1
                                   FROM pg_catalog.pg_attribute AS a
                                   WHERE a.attrelid = c.oid
                                     AND a.attnum = ANY (i.indkey)
                                     AND NOT a.attnotnull)
                 ORDER BY i.indnatts, x.relname
                 LIMIT 1),
                'FULL'::text)
     FROM published AS p
     JOIN pg_catalog.pg_class AS c
       ON c.oid = p.oid
     JOIN pg_catalog.pg_namespace AS n
       ON n.oid = c.relnamespace
     WHERE c.relkind = 'r'
       AND c.relreplident <> 'f'
       AND NOT EXISTS (SELECT 1
                       FROM pg_catalog.pg_index AS i
                       WHERE i.indrelid = c.oid
                         AND i.indisvalid
                         AND i.indimmediate
                         AND CASE c.relreplident
                             WHEN 'd' THEN i.indisprimary
                             WHEN 'i' THEN i.indisreplident
                             ELSE false
                             END)
     ORDER BY 1, 2";

/// A table that does not say which row was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unidentified {
    pub(super) table: TableName,
    /// The replica identity that it could have, as `ALTER TABLE` takes it.
    identity: String,
}

/// Tables, and partitions and children of them, that PostgreSQL would refuse to update.
///
/// A partition has an identity of its own; a deferrable index is none.
pub(super) async fn without_identity(
    client: &Client,
    oids: &[u32],
) -> Result<Vec<Unidentified>, Error> {
    let rows = client.query(WITHOUT_IDENTITY, &[&oids]).await?;
    rows.iter()
        .map(|row| {
            let schema: String = row.try_get(0)?;
            Ok(Unidentified {
                table: TableName::new(schema, row.try_get::<_, String>(1)?),
                identity: row.try_get(2)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    fn unidentified(name: &str, identity: &str) -> Unidentified {
        Unidentified {
            table: TableName::new("public", name),
            identity: identity.to_owned(),
        }
    }

    #[test]
    fn each_table_without_an_identity_gets_its_statement() {
        assert_eq!(judge(&[], "update", 180_000).outcome, CheckOutcome::Pass);
        let finding = judge(
            &[
                unidentified("Audit Log", "FULL"),
                unidentified("visits", "USING INDEX \"By Day\""),
            ],
            "update and delete",
            180_000,
        );
        assert_eq!(finding.outcome, CheckOutcome::Fail);
        assert!(
            finding.repair.ends_with(
                "\nALTER TABLE \"public\".\"Audit Log\" REPLICA IDENTITY FULL;\n\
                     ALTER TABLE \"public\".\"visits\" REPLICA IDENTITY USING INDEX \"By Day\";"
            ),
            "{}",
            finding.repair
        );
        assert!(
            finding.cause.contains("update and delete"),
            "{}",
            finding.cause
        );
    }

    #[test]
    fn nothing_is_refused_without_publications() {
        let without = [unidentified("audit", "FULL")];
        let finding = judge(&without, "delete", 90_624);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert!(!finding.cause.contains("refuses"), "{}", finding.cause);
    }
}
