//! Do the selected objects exist, and can their changes be tracked?

use rowcast_pg::Error;
use rowcast_pg::catalog::{Persistence, TableInfo, TableKind};

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::literal;
use crate::selected::Selected;
use crate::source::Source;

pub(super) const RULE: Rule = Rule {
    code: "objects",
    title: "The selected objects exist and can be tracked",
    ran: "SELECT nspname, relname, relkind, relpersistence FROM pg_class JOIN pg_namespace",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    Ok(judge(source.selected().await?))
}

fn judge(selected: &Selected) -> Finding {
    if let Some(failed) = refused(selected) {
        return failed;
    }
    let tables = selected.tables();
    if tables.is_empty() && selected.idle_patterns.is_empty() {
        return Finding::fail(
            "no table",
            "The selection holds nothing that can be tracked.",
            "Select at least one table, or create one first.",
        );
    }
    let mut saw = format!("tables: {}", tables.len());
    let mut causes = Vec::new();
    let mut repairs = Vec::new();
    let left_out: Vec<String> = selected
        .wide
        .iter()
        .filter_map(|table| Some(format!("{} ({})", table.name, why_unsupported(table)?)))
        .collect();
    if !left_out.is_empty() {
        saw = format!("{saw}; left out: {}", name_some(left_out));
        causes.push("Tables that write no WAL are not tracked.");
        repairs.push(match make_permanent(&selected.wide) {
            Some(statements) => format!("Where they should be:\n{statements}"),
            None => "Nothing, or select the tables behind a view.".to_owned(),
        });
    }
    if !selected.idle_patterns.is_empty() {
        let idle = name_some(selected.idle_patterns.iter().cloned());
        saw = format!("{saw}; without a table: {idle}");
        causes.push("A pattern that matches no table of today waits for tables of tomorrow.");
        let repair = "Correct the pattern where there should be one already; case counts.";
        repairs.push(repair.to_owned());
    }
    if causes.is_empty() {
        return Finding::pass(saw);
    }
    Finding::alert(saw, causes.join(" "), repairs.join("\n"))
}

/// What is named and cannot be had.
fn refused(selected: &Selected) -> Option<Finding> {
    if !selected.reserved_schemas.is_empty() {
        let schemas = name_some(selected.reserved_schemas.iter().cloned());
        return Some(Finding::fail(
            format!("reserved: {schemas}"),
            "Schemas of PostgreSQL itself, temporary tables among them, and of Rowcast are never \
             tracked.",
            "Take them out of the selection.",
        ));
    }
    let missing = missing(selected);
    if !missing.is_empty() {
        return Some(Finding::fail(
            format!("missing: {}", name_some(missing)),
            "What does not exist cannot be tracked.",
            "Take it out of the selection, create it, or correct its name; case counts.",
        ));
    }
    let unsupported: Vec<String> = selected
        .named
        .iter()
        .filter_map(|table| Some(format!("{} ({})", table.name, why_unsupported(table)?)))
        .collect();
    if !unsupported.is_empty() {
        let mut repair =
            "Take them out of the selection; select the tables behind a view.".to_owned();
        if let Some(statements) = make_permanent(&selected.named) {
            repair = format!("{repair}\nOr make those that are unlogged permanent:\n{statements}");
        }
        return Some(Finding::fail(
            format!("unsupported: {}", name_some(unsupported)),
            "Only permanent tables write their changes to the WAL.",
            repair,
        ));
    }
    None
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

/// What makes permanent tables of those that are unlogged, from PostgreSQL 9.5 on; `None` where there are none.
fn make_permanent(tables: &[TableInfo]) -> Option<String> {
    let unlogged: Vec<&TableInfo> = tables
        .iter()
        .filter(|table| why_unsupported(table) == Some("unlogged"))
        .collect();
    let statements = unlogged
        .iter()
        .map(|table| format!("ALTER TABLE {} SET LOGGED;", table.name.quoted()));
    (!unlogged.is_empty()).then(|| literal::lines(statements))
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

    #[test]
    fn what_is_missing_is_named() {
        let selected = Selected {
            missing_schemas: vec!["sales".to_owned()],
            missing_tables: vec![TableName::new("public", "orders")],
            ..nothing()
        };
        let finding = judge(&selected);
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
        let finding = judge(&named);
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
        let finding = judge(&wide);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert_eq!(finding.saw, "tables: 1; left out: public.cache (unlogged)");
    }

    #[test]
    fn a_named_table_that_writes_no_wal_fails_by_name() {
        for (persistence, why) in [
            (Persistence::Unlogged, "unlogged"),
            (Persistence::Temporary, "temporary"),
        ] {
            let cache = TableInfo {
                persistence,
                ..table(2, "cache")
            };
            let finding = judge(&Selected {
                named: vec![table(1, "orders"), cache],
                ..nothing()
            });
            assert_eq!(finding.outcome, CheckOutcome::Fail);
            assert_eq!(finding.saw, format!("unsupported: public.cache ({why})"));
        }
    }

    #[test]
    fn a_pattern_without_a_table_is_worth_knowing() {
        let patterns = Selected {
            idle_patterns: vec!["public.log_*".to_owned()],
            ..nothing()
        };
        let finding = judge(&patterns);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert_eq!(finding.saw, "tables: 0; without a table: public.log_*");
    }

    #[test]
    fn a_reserved_schema_fails() {
        let finding = judge(&Selected {
            reserved_schemas: vec!["rowcast".to_owned()],
            ..nothing()
        });
        assert_eq!(finding.outcome, CheckOutcome::Fail);
        assert_eq!(finding.saw, "reserved: rowcast");
    }

    #[test]
    fn a_partitioned_table_is_as_good_as_any() {
        let root = TableInfo {
            kind: TableKind::Partitioned,
            ..table(1, "orders")
        };
        let selected = Selected {
            named: vec![root],
            ..nothing()
        };
        assert_eq!(judge(&selected).outcome, CheckOutcome::Pass);
    }

    #[test]
    fn a_selection_of_nothing_fails() {
        assert_eq!(judge(&nothing()).outcome, CheckOutcome::Fail);
    }
}
