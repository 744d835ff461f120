//! Does the publication of a started task still publish what the task tracks?
//!
//! Capture keeps it so and stops where somebody else has altered it; this looks at it from outside.

use std::collections::BTreeSet;

use rowcast_domain::TableName;
use rowcast_pg::publication::{self, PublicationState};
use rowcast_pg::{Error, settings};

use super::Rule;
use super::keys::without_identity;
use super::server_version::PUBLICATIONS_SINCE;
use crate::finding::{Finding, name_some};
use crate::source::Source;

/// First version that can publish TRUNCATE.
const TRUNCATE_SINCE: u32 = 110_000;

pub(super) const RULE: Rule = Rule {
    code: "publication",
    title: "The task's publication publishes what is tracked",
    ran: "SELECT * FROM pg_publication WHERE pubname = 'rowcast_<task>'; \
          SELECT * FROM pg_publication_tables WHERE pubname = 'rowcast_<task>'",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let version = settings::read(&source.session).await?.server_version;
    if version < PUBLICATIONS_SINCE {
        return Ok(Finding::pass("this server has no publications"));
    }
    let name = source.wish.object_name();
    let found = publication::find(&source.session, &name).await?;
    let selected = source.selected().await?;
    let wanted = selected.published(&source.session, version).await?;
    let oids: Vec<u32> = wanted.iter().map(|table| table.oid).collect();
    // These would be refused to the application, so the task leaves them out; another check tells them.
    let without = without_identity(&source.session, &oids).await?;
    let mut wanted: Vec<TableName> = wanted.into_iter().map(|table| table.name).collect();
    wanted.retain(|table| !without.iter().any(|found| found.table == *table));
    Ok(judge(
        &name,
        found.as_ref(),
        &wanted,
        &source.wish.operations(),
        version,
    ))
}

fn judge(
    name: &str,
    found: Option<&PublicationState>,
    wanted: &[TableName],
    operations: &[&str],
    version: u32,
) -> Finding {
    let repair = || {
        format!(
            "Look who has altered it: SELECT * FROM pg_publication_tables WHERE pubname = '{name}'; then start \
             the task with the stop PublicationMissing accepted."
        )
    };
    let Some(found) = found else {
        return Finding::fail(
            format!("there is no publication {name}"),
            "The task's publication was dropped: nothing is published to it.",
            repair(),
        );
    };
    let published: BTreeSet<&TableName> = found.tables.iter().collect();
    let missing = wanted.iter().filter(|table| !published.contains(table));
    let missing: Vec<String> = missing.map(ToString::to_string).collect();
    if !missing.is_empty() {
        return Finding::alert(
            format!("not published: {}", name_some(missing)),
            "These tables are tracked, but their changes are not published.",
            "A table that was just created joins within seconds. Otherwise see the task's warnings.",
        );
    }
    let unpublished = operations
        .iter()
        .filter(|operation| **operation != "truncate" || version >= TRUNCATE_SINCE)
        .filter(|operation| {
            !found
                .publish
                .iter()
                .any(|published| published == *operation)
        });
    let unpublished: Vec<String> = unpublished
        .map(|operation| (*operation).to_owned())
        .collect();
    if !unpublished.is_empty() {
        return Finding::fail(
            format!("not published: {}", name_some(unpublished)),
            "Somebody has altered which operations are published.",
            repair(),
        );
    }
    Finding::pass(format!("{} tables are published", found.tables.len()))
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    fn table(name: &str) -> TableName {
        TableName::new("public", name)
    }

    #[test]
    fn what_is_tracked_must_be_published() {
        let state = PublicationState {
            all_tables: false,
            publish: vec!["insert".to_owned(), "update".to_owned()],
            via_partition_root: true,
            ours: true,
            tables: vec![table("orders"), table("items")],
        };
        let outcome =
            |found: Option<&PublicationState>, wanted: &[TableName], operations: &[&str]| {
                judge("rowcast_t1", found, wanted, operations, 100_000).outcome
            };
        let orders = [table("orders")];
        assert_eq!(
            outcome(Some(&state), &orders, &["insert", "truncate"]),
            CheckOutcome::Pass
        );
        assert_eq!(
            outcome(Some(&state), &[table("new")], &["insert"]),
            CheckOutcome::Alert
        );
        assert_eq!(
            outcome(Some(&state), &orders, &["delete"]),
            CheckOutcome::Fail
        );
        let truncate = judge("rowcast_t1", Some(&state), &orders, &["truncate"], 110_000);
        assert_eq!(truncate.outcome, CheckOutcome::Fail);
        assert_eq!(outcome(None, &orders, &["insert"]), CheckOutcome::Fail);
    }
}
