//! What is tracked, as DTS writes it: `{"shop":{"name":"shop","all":false,"Schema":{"public":{…}}}}`.
//!
//! Between a database and its tables stands `Schema`, as DTS has it for databases with schemas. A name with
//! `*` or `?` is a pattern, in what is read and in what is written.

use std::collections::BTreeMap;

use rowcast_proto::rest::{Objects, SchemaObjects};
use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::http::query::malformed_parameter;

/// The parameter.
pub(super) const NAME: &str = "DbList";

const FORM: &str = r#"Give {"<database>":{"name":"<database>","all":true}}, or "all":false and "Schema":{"<schema>":{"name":"<schema>","all":false,"Table":{"<table>":{"name":"<table>","all":true}}}}."#;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    name: Option<String>,
    #[serde(default)]
    all: bool,
    #[serde(default, rename = "Schema", skip_serializing_if = "BTreeMap::is_empty")]
    schemas: BTreeMap<String, Schema>,
    /// Of databases without schemas.
    #[serde(default, rename = "Table", skip_serializing)]
    tables: BTreeMap<String, Table>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Schema {
    name: Option<String>,
    #[serde(default)]
    all: bool,
    #[serde(default, rename = "Table", skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<String, Table>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: Option<String>,
    #[serde(default = "whole")]
    all: bool,
}

const fn whole() -> bool {
    true
}

/// The database, and which of its tables.
///
/// # Errors
/// Says what Rowcast cannot do or cannot read.
pub(super) fn read(text: &str) -> Result<(String, Objects), ApiError> {
    let databases: BTreeMap<String, Database> =
        serde_json::from_str(text).map_err(|error| wrong(&error.to_string(), FORM))?;
    let count = databases.len();
    let mut databases = databases.into_iter();
    let (Some((name, database)), None) = (databases.next(), databases.next()) else {
        let detail = format!("names {count} databases, but a task tracks one");
        return Err(wrong(&detail, "Configure a task for each database."));
    };
    is_itself(&name, database.name.as_deref())?;
    let mut objects = Objects {
        all: database.all,
        ..Objects::default()
    };
    if !database.tables.is_empty() {
        let detail = format!("the tables of {name:?} lie in schemas");
        return Err(wrong(&detail, FORM));
    }
    for (name, schema) in database.schemas {
        is_itself(&name, schema.name.as_deref())?;
        add(&mut objects, name, schema)?;
    }
    Ok((name, objects))
}

fn add(objects: &mut Objects, name: String, schema: Schema) -> Result<(), ApiError> {
    if !is_pattern(&name) {
        objects.schemas.push(tables(name, schema)?);
    } else if schema.all && schema.tables.is_empty() {
        objects.schema_patterns.push(name);
    } else {
        let detail = format!("{name:?} is a pattern, so its schemas are tracked whole");
        return Err(wrong(&detail, "Give \"all\":true alone."));
    }
    Ok(())
}

fn tables(name: String, schema: Schema) -> Result<SchemaObjects, ApiError> {
    let mut tracked = SchemaObjects {
        name,
        all: schema.all,
        ..SchemaObjects::default()
    };
    for (name, table) in schema.tables {
        is_itself(&name, table.name.as_deref())?;
        if !table.all {
            let detail = format!("{name:?} is tracked whole or not at all");
            return Err(wrong(&detail, "Give \"all\":true, or leave the table out."));
        }
        if is_pattern(&name) {
            tracked.patterns.push(name);
        } else {
            tracked.tables.push(name);
        }
    }
    Ok(tracked)
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

fn is_itself(source: &str, target: Option<&str>) -> Result<(), ApiError> {
    if target.is_none_or(|target| target == source) {
        return Ok(());
    }
    let detail = format!("{source:?} cannot be called otherwise than in the source");
    Err(wrong(&detail, "Give the same name, or leave \"name\" out."))
}

fn wrong(detail: &str, repair: &str) -> ApiError {
    malformed_parameter(NAME, detail, repair)
}

/// What [`read`] reads.
pub(super) fn write(database: &str, objects: &Objects) -> Result<String, ApiError> {
    let table = |name: &String| {
        let table = Table {
            name: Some(name.clone()),
            all: true,
        };
        (name.clone(), table)
    };
    let named = objects.schemas.iter().map(|schema| {
        let written = Schema {
            name: Some(schema.name.clone()),
            all: schema.all,
            tables: schema
                .tables
                .iter()
                .chain(&schema.patterns)
                .map(table)
                .collect(),
        };
        (schema.name.clone(), written)
    });
    let like = objects.schema_patterns.iter().map(|pattern| {
        let written = Schema {
            name: Some(pattern.clone()),
            all: true,
            ..Schema::default()
        };
        (pattern.clone(), written)
    });
    let tracked = Database {
        name: Some(database.to_owned()),
        all: objects.all,
        schemas: named.chain(like).collect(),
        ..Database::default()
    };
    serde_json::to_string(&BTreeMap::from([(database, tracked)]))
        .map_err(|error| ApiError::Unreadable(format!("objects: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(list: &str) -> String {
        match read(list) {
            Err(ApiError::Refused(refused)) => {
                assert_eq!(refused.field.as_deref(), Some(NAME));
                refused.detail
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn databases_schemas_and_tables_are_read_and_written() {
        let all = json!({"shop": {"name": "shop", "all": true}});
        let some = json!({"shop": {"name": "shop", "all": false, "Schema": {
            "crm": {"name": "crm", "all": true},
            "shop": {"name": "shop", "all": false, "Table": {
                "log_*": {"name": "log_*", "all": true},
                "orders": {"name": "orders", "all": true}
            }},
            "tenant_?": {"name": "tenant_?", "all": true}
        }}});
        let expected = [
            json!({"all": true}),
            json!({"schemas": [
                {"name": "crm", "all": true},
                {"name": "shop", "tables": ["orders"], "patterns": ["log_*"]}
            ], "schema_patterns": ["tenant_?"]}),
        ];
        for (list, expected) in [all, some].into_iter().zip(expected) {
            let (database, objects) = read(&list.to_string()).unwrap();
            assert_eq!(database, "shop");
            assert_eq!(objects, serde_json::from_value(expected).unwrap());
            let written: Value =
                serde_json::from_str(&write(&database, &objects).unwrap()).unwrap();
            assert_eq!(written, list);
        }
    }

    #[test]
    fn what_cannot_be_tracked_so_is_refused() {
        for (list, detail) in [
            ("", "EOF"),
            ("[]", "invalid type"),
            ("{}", "0 databases"),
            (r#"{"a":{"all":true},"b":{"all":true}}"#, "2 databases"),
            (r#"{"a":{"name":"b","all":true}}"#, "called otherwise"),
            (r#"{"a":{"Table":{"t":{"all":true}}}}"#, "lie in schemas"),
            (r#"{"a":{"all":true,"dml_op":"i"}}"#, "`dml_op`"),
            (
                r#"{"a":{"Schema":{"s":{"Table":{"t":{"all":false}}}}}}"#,
                "whole",
            ),
            (
                r#"{"a":{"Schema":{"s":{"Table":{"t":{"filter":"id>1"}}}}}}"#,
                "`filter`",
            ),
            (r#"{"a":{"Schema":{"s*":{"Table":{"t":{}}}}}}"#, "pattern"),
        ] {
            let found = refused(list);
            assert!(found.contains(detail), "{list}: {found}");
        }
    }
}
