//! Do readers get every column?
//!
//! Before 18 a publication sends no generated column, and none that is computed when it is read (PostgreSQL docs,
//! "Logical Replication", "Generated Column Replication").

use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::source::Source;

/// First version with generated columns.
const GENERATED_SINCE: u32 = 120_000;

/// First version that sends generated columns, the stored ones.
const GENERATED_SENT_SINCE: u32 = 180_000;

pub(super) const RULE: Rule = Rule {
    code: "generated_columns",
    title: "Every column is sent",
    ran: "SELECT attname, attgenerated FROM pg_attribute",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let version = settings::read(&source.session).await?.server_version;
    let unsent = unsent(version);
    let tables = source.selected().await?.tables();
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let query = format!(
        "SELECT n.nspname || '.' || c.relname || '.' || a.attname
         FROM pg_catalog.pg_attribute AS a
         JOIN pg_catalog.pg_class AS c
           ON c.oid = a.attrelid
         JOIN pg_catalog.pg_namespace AS n
           ON n.oid = c.relnamespace
         WHERE a.attrelid = ANY ($1::oid[])
           AND a.attnum > 0
           AND NOT a.attisdropped
           AND {unsent}
         ORDER BY 1"
    );
    let rows = source.session.query(&query, &[&oids]).await?;
    let columns: Result<Vec<String>, Error> = rows.iter().map(|row| Ok(row.try_get(0)?)).collect();
    Ok(judge(&columns?))
}

/// The condition on a row `a` of `pg_attribute` under which a server of this version does not send the column.
pub(super) const fn unsent(version: u32) -> &'static str {
    match version {
        ..GENERATED_SINCE => "false",
        GENERATED_SINCE..GENERATED_SENT_SINCE => "a.attgenerated <> ''",
        GENERATED_SENT_SINCE.. => "a.attgenerated = 'v'",
    }
}

fn judge(unsent: &[String]) -> Finding {
    if unsent.is_empty() {
        return Finding::pass("no column is left out by the server");
    }
    Finding::alert(
        format!("not sent: {}", name_some(unsent.iter().cloned())),
        "The server does not put these generated columns into what it sends: readers do not get them, and an ETL policy \
         cannot read them.",
        "Upgrade to PostgreSQL 18, which sends stored ones; or let readers compute them, or an ETL policy: e_set(`total`, \
         `price` * `quantity`).",
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn columns_that_readers_do_not_get_are_named() {
        assert_eq!(judge(&[]).outcome, CheckOutcome::Pass);
        let finding = judge(&["shop.lines.total".to_owned()]);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert_eq!(finding.saw, "not sent: shop.lines.total");
    }
}
