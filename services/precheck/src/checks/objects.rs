//! Do the selected objects exist, and can their changes be tracked?

use rowcast_pg::catalog::{Persistence, TableInfo, TableKind};
use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::selected::Selected;
use crate::source::Source;

/// The first version that can publish a partitioned table by its root.
const PARTITIONED_SINCE: u32 = 130_000;

pub(super) const RULE: Rule = Rule {
    code: "objects",
    title: "The selected objects exist and can be tracked",
    ran: "SELECT nspname, relname, relkind, relpersistence FROM pg_class JOIN pg_namespace",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let version = settings::read(&source.session).await?.server_version;
    Ok(judge(
        source.selected().await?,
        version,
        source.wish.objects.all,
    ))
}

fn judge(selected: &Selected, version: u32, is_whole_database: bool) -> Finding {
    let missing = missing(selected);
    if !missing.is_empty() {
        return Finding::fail(
            format!("missing: {}", name_some(missing)),
            "What does not exist cannot be tracked.",
            "Take it out of the selection, create it, or correct its name; case counts.",
        );
    }
    let tables = selected.tables();
    // A publication of all tables holds the partitions themselves.
    let by_root = !is_whole_database && version < PARTITIONED_SINCE;
    let partitioned = tables
        .iter()
        .filter(|table| by_root && table.kind == TableKind::Partitioned);
    let unsupported: Vec<String> = selected
        .named
        .iter()
        .filter_map(|table| Some(format!("{} ({})", table.name, why_unsupported(table)?)))
        .chain(partitioned.map(|table| format!("{} (partitioned, before 13)", table.name)))
        .collect();
    if !unsupported.is_empty() {
        return Finding::fail(
            format!("unsupported: {}", name_some(unsupported)),
            "Only permanent tables write their changes to the WAL; a partitioned table can be \
             published since PostgreSQL 13, its partitions always.",
            "Take them out of the selection; select the tables behind a view, the partitions of a \
             partitioned table. ALTER TABLE <table> SET LOGGED; makes an unlogged table permanent.",
        );
    }
    if tables.is_empty() {
        return Finding::fail(
            "no table",
            "The selection holds nothing that can be tracked.",
            "Select at least one table, or create one first.",
        );
    }
    let saw = format!("tables: {}", tables.len());
    let left_out: Vec<String> = selected
        .wide
        .iter()
        .filter_map(|table| Some(format!("{} ({})", table.name, why_unsupported(table)?)))
        .collect();
    if left_out.is_empty() {
        return Finding::pass(saw);
    }
    Finding::alert(
        format!("{saw}; left out: {}", name_some(left_out)),
        "Tables that write no WAL are not tracked.",
        "ALTER TABLE <table> SET LOGGED; for each that should be.",
    )
}

fn missing(selected: &Selected) -> Vec<String> {
    let schemas = selected
        .missing_schemas
        .iter()
        .map(|schema| format!("schema {schema}"));
    schemas
        .chain(selected.missing_tables.iter().map(ToString::to_string))
        .collect()
}

/// Why its changes cannot be tracked.
fn why_unsupported(table: &TableInfo) -> Option<&'static str> {
    match (table.kind, table.persistence) {
        (TableKind::View, _) => Some("view"),
        (TableKind::MaterializedView, _) => Some("materialized view"),
        (TableKind::Foreign, _) => Some("foreign table"),
        (TableKind::Table | TableKind::Partitioned, Persistence::Unlogged) => Some("unlogged"),
        (TableKind::Table | TableKind::Partitioned, Persistence::Temporary) => Some("temporary"),
        (TableKind::Table | TableKind::Partitioned, Persistence::Permanent) => None,
    }
}

#[cfg(test)]
mod tests {
    use rowcast_domain::TableName;
    use rowcast_proto::message::CheckOutcome;

    use super::*;
    use crate::selected::tests::{nothing, table};

    const VERSION: u32 = 180_000;

    #[test]
    fn what_is_missing_is_named() {
        let selected = Selected {
            missing_schemas: vec!["sales".to_owned()],
            missing_tables: vec![TableName::new("public", "orders")],
            ..nothing()
        };
        let finding = judge(&selected, VERSION, false);
        assert_eq!(finding.outcome, CheckOutcome::Fail);
        assert_eq!(finding.saw, "missing: schema sales, public.orders");
    }

    #[test]
    fn a_named_view_fails_and_an_unlogged_table_of_a_whole_schema_is_told() {
        let view = TableInfo {
            kind: TableKind::View,
            ..table(2, "totals")
        };
        let named = Selected {
            named: vec![table(1, "orders"), view],
            ..nothing()
        };
        let finding = judge(&named, VERSION, false);
        assert_eq!(finding.outcome, CheckOutcome::Fail);
        assert_eq!(finding.saw, "unsupported: public.totals (view)");

        let unlogged = TableInfo {
            persistence: Persistence::Unlogged,
            ..table(2, "cache")
        };
        let wide = Selected {
            wide: vec![table(1, "orders"), unlogged],
            ..nothing()
        };
        let finding = judge(&wide, VERSION, false);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert_eq!(finding.saw, "tables: 1; left out: public.cache (unlogged)");
    }

    #[test]
    fn a_partitioned_table_needs_version_13_unless_all_tables_are_published() {
        let root = TableInfo {
            kind: TableKind::Partitioned,
            ..table(1, "orders")
        };
        let selected = Selected {
            wide: vec![root],
            ..nothing()
        };
        assert_eq!(judge(&selected, 120_000, false).outcome, CheckOutcome::Fail);
        assert_eq!(judge(&selected, 120_000, true).outcome, CheckOutcome::Pass);
        assert_eq!(judge(&selected, 130_000, false).outcome, CheckOutcome::Pass);
    }

    #[test]
    fn a_selection_of_nothing_fails() {
        assert_eq!(judge(&nothing(), VERSION, true).outcome, CheckOutcome::Fail);
    }
}
