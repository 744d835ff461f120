//! Which tables a task tracks.

use crate::TableName;

/// Decides for every table name, also for tables that do not exist yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// Every table of the database.
    pub all: bool,
    /// Every table of the schemas whose names match one of these patterns.
    pub schema_patterns: Vec<String>,
    /// Tables by schema.
    pub schemas: Vec<SchemaSelector>,
}

/// Tables of one schema.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SchemaSelector {
    /// The schema's name.
    pub name: String,
    /// Every table of it.
    pub all: bool,
    /// These tables.
    pub tables: Vec<String>,
    /// Tables whose names match one of these patterns.
    pub patterns: Vec<String>,
}

impl Selector {
    /// Whether the table is tracked. Schemas of PostgreSQL itself and of Rowcast never are.
    #[must_use]
    pub fn matches(&self, schema: &str, table: &str) -> bool {
        if is_reserved(schema) {
            return false;
        }
        self.matches_schema(schema)
            || self
                .schemas
                .iter()
                .any(|selector| selector.name == schema && selector.matches(table))
    }

    /// Whether every table of the schema is tracked.
    #[must_use]
    pub fn matches_schema(&self, schema: &str) -> bool {
        let whole = |selector: &SchemaSelector| selector.all && selector.name == schema;
        !is_reserved(schema)
            && (self.all
                || self
                    .schema_patterns
                    .iter()
                    .any(|pattern| is_like(schema, pattern))
                || self.schemas.iter().any(whole))
    }

    /// Whether something of the schema is tracked, or could be.
    #[must_use]
    pub fn touches_schema(&self, schema: &str) -> bool {
        self.matches_schema(schema)
            || (!is_reserved(schema) && self.schemas.iter().any(|s| s.name == schema))
    }

    /// Whether tables that are created later may belong to it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.all
            || !self.schema_patterns.is_empty()
            || self
                .schemas
                .iter()
                .any(|schema| schema.all || !schema.patterns.is_empty())
    }

    /// The tables that are named one by one: their absence is an error.
    #[must_use]
    pub fn named_tables(&self) -> Vec<TableName> {
        let schemas = self
            .schemas
            .iter()
            .filter(|schema| !self.all && !schema.all);
        schemas
            .flat_map(|schema| {
                let tables = schema.tables.iter();
                tables.map(|table| TableName::new(&schema.name, table))
            })
            .collect()
    }
}

impl SchemaSelector {
    fn matches(&self, table: &str) -> bool {
        self.all
            || self.tables.iter().any(|name| name == table)
            || self.patterns.iter().any(|pattern| is_like(table, pattern))
    }
}

/// Schemas that no selection reaches: PostgreSQL's (docs, "The System Catalog Schema") and ours.
fn is_reserved(schema: &str) -> bool {
    schema.starts_with("pg_") || schema == "information_schema" || schema == "rowcast"
}

/// Whether the name matches the pattern: `*` stands for any text, `?` for one character.
#[must_use]
fn is_like(name: &str, pattern: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut at, mut next) = (0, 0);
    // Where the last `*` stands, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(next) {
            Some('*') => {
                star = Some((next, at));
                next += 1;
            }
            Some(&wanted) if wanted == '?' || name.get(at) == Some(&wanted) => {
                at += 1;
                next += 1;
            }
            Some(_) | None => {
                let Some((position, taken)) = star else {
                    return false;
                };
                star = Some((position, taken + 1));
                at = taken + 1;
                next = position + 1;
            }
        }
    }
    pattern.iter().skip(next).all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (name, pattern, expected) in [
            ("orders", "orders", true),
            ("orders_2026", "orders_*", true),
            ("orders", "orders_*", false),
            ("log_ä1", "log_?1", true),
            ("log_12", "log_?", false),
            ("a*b", "a*b", true),
            ("", "*", true),
            ("", "?", false),
            ("abcabd", "*ab?", true),
        ] {
            assert_eq!(is_like(name, pattern), expected, "{name} {pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_of_stars_between_pieces_matches(pieces in prop::collection::vec("[ab]{0,3}", 1..5), filler in "[abc]{0,4}") {
            prop_assert!(is_like(&pieces.join(&filler), &pieces.join("*")));
        }
    }

    #[test]
    fn each_level_of_a_selection_decides() {
        let selector = Selector {
            all: false,
            schema_patterns: vec!["tenant_*".to_owned()],
            schemas: vec![
                SchemaSelector {
                    name: "shop".to_owned(),
                    tables: vec!["orders".to_owned()],
                    patterns: vec!["log_*".to_owned()],
                    ..SchemaSelector::default()
                },
                SchemaSelector {
                    name: "crm".to_owned(),
                    all: true,
                    ..SchemaSelector::default()
                },
            ],
        };
        assert!(selector.matches("shop", "orders") && selector.matches("shop", "log_1"));
        assert!(!selector.matches("shop", "other") && !selector.matches("public", "orders"));
        assert!(selector.matches("crm", "x") && selector.matches("tenant_7", "x"));
        assert!(selector.touches_schema("shop") && !selector.matches_schema("shop"));
        assert!(selector.is_open());
        assert_eq!(selector.named_tables(), [TableName::new("shop", "orders")]);
    }

    #[test]
    fn reserved_schemas_are_never_tracked() {
        let all = Selector {
            all: true,
            ..Selector::default()
        };
        for schema in ["pg_catalog", "information_schema", "rowcast", "pg_temp_3"] {
            assert!(!all.matches(schema, "x") && !all.matches_schema(schema));
        }
        assert!(all.matches("public", "x"));
    }
}
