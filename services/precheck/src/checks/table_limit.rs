//! Are there not more tables than one task should have?
//!
//! DTS lets a task have 500. Here nothing breaks beyond: the time that a start and a change of the selection take
//! grows with each table, and one stream has the changes of all.

use std::collections::BTreeMap;

use rowcast_pg::Error;

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::source::Source;

pub(super) const RULE: Rule = Rule {
    code: "table_limit",
    title: "The selection is not too large for one task",
    ran: "SELECT nspname, count(*) FROM pg_class JOIN pg_namespace GROUP BY nspname",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let tables = source.selected().await?.tables();
    let schemas = tables.iter().map(|table| table.name.schema.as_str());
    Ok(judge(schemas, source.wish.table_limit))
}

/// `schemas` holds that of each table.
fn judge<'a>(schemas: impl Iterator<Item = &'a str>, limit: usize) -> Finding {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for schema in schemas {
        *counts.entry(schema).or_default() += 1;
    }
    let count: usize = counts.values().sum();
    let saw = format!("tables: {count}, advised: at most {limit}");
    if count <= limit {
        return Finding::pass(saw);
    }
    let mut largest: Vec<(&str, usize)> = counts.into_iter().collect();
    largest.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let schemas = largest
        .iter()
        .map(|(schema, count)| format!("{schema} has {count}"));
    Finding::alert(
        format!("{saw}; {}", name_some(schemas)),
        "Every table makes the start of the task and each change of its selection longer, and the changes of all of \
         them share one stream: readers of a quiet table wait behind those of a busy one.",
        "Let several tasks share the selection, for instance one a schema; or raise ROWCAST_TABLE_LIMIT of precheck.",
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn more_tables_than_advised_are_told_by_schema() {
        let schemas = ["crm", "shop", "shop"];
        let finding = judge(schemas.into_iter(), 2);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert_eq!(
            finding.saw,
            "tables: 3, advised: at most 2; shop has 2, crm has 1"
        );
        assert_eq!(judge(schemas.into_iter(), 3).outcome, CheckOutcome::Pass);
    }
}
