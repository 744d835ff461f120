//! Which tables, as the command line says it.

use std::collections::BTreeMap;

use rowcast_proto::rest::{Objects, SchemaObjects};

use crate::failure::{Exit, Failure};

/// What to track.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ObjectArgs {
    /// As the REST API takes them, for names that the other options would read as something else
    #[arg(
        long = "objects",
        conflicts_with_all = ["all", "schema", "table"],
        value_name = "JSON",
        value_parser = from_json,
        help_heading = "What to track"
    )]
    pub(crate) json: Option<Objects>,
    /// All tables of the database
    #[arg(long, conflicts_with_all = ["schema", "table"], help_heading = "What to track")]
    pub(crate) all: bool,
    /// All tables of a schema, new ones too; `*` and `?` make it a pattern
    #[arg(long, value_name = "SCHEMA", help_heading = "What to track")]
    pub(crate) schema: Vec<String>,
    /// A table as schema.table; `*` and `?` in the table's name make it a pattern
    #[arg(long, value_name = "SCHEMA.TABLE", help_heading = "What to track")]
    pub(crate) table: Vec<String>,
}

impl ObjectArgs {
    /// What the API takes; `None` where nothing was said.
    pub(crate) fn objects(&self) -> anyhow::Result<Option<Objects>> {
        if self.json.is_some() {
            return Ok(self.json.clone());
        }
        if self.all {
            return Ok(Some(Objects {
                all: true,
                ..Objects::default()
            }));
        }
        let (schema_patterns, schemas): (Vec<String>, Vec<String>) = self
            .schema
            .iter()
            .cloned()
            .partition(|name| is_pattern(name));
        let mut by_name: BTreeMap<String, SchemaObjects> = BTreeMap::new();
        for name in schemas {
            of(&mut by_name, &name).all = true;
        }
        for table in &self.table {
            let (schema, name) = parts(table)?;
            let objects = of(&mut by_name, schema);
            if objects.all {
                return Err(usage(format!(
                    "--table {table} is said already by --schema {schema}: leave one out"
                )));
            }
            let names = if is_pattern(name) {
                &mut objects.patterns
            } else {
                &mut objects.tables
            };
            names.push(name.to_owned());
        }
        if by_name.is_empty() && schema_patterns.is_empty() {
            return Ok(None);
        }
        Ok(Some(Objects {
            all: false,
            schemas: by_name.into_values().collect(),
            schema_patterns,
        }))
    }
}

fn from_json(text: &str) -> Result<Objects, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn of<'a>(by_name: &'a mut BTreeMap<String, SchemaObjects>, name: &str) -> &'a mut SchemaObjects {
    by_name
        .entry(name.to_owned())
        .or_insert_with(|| SchemaObjects {
            name: name.to_owned(),
            ..SchemaObjects::default()
        })
}

/// The first dot parts them: a table's name may have dots.
fn parts(table: &str) -> anyhow::Result<(&str, &str)> {
    match table.split_once('.') {
        Some((schema, name)) if !schema.is_empty() && !name.is_empty() && !is_pattern(schema) => {
            Ok((schema, name))
        }
        Some(_) | None => Err(usage(format!(
            "--table {table}: say schema.table, as public.orders; patterns of schemas go to --schema"
        ))),
    }
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

fn usage(sentence: String) -> anyhow::Error {
    Failure::of(Exit::Usage, sentence)
}

/// One line: `public.orders, public.log_*, tenant_*.*`.
pub(crate) fn in_words(objects: &Objects) -> String {
    if objects.all {
        return "all tables".to_owned();
    }
    let named = objects.schemas.iter().flat_map(|schema| {
        let all = schema.all.then_some("*");
        let names = schema.tables.iter().chain(&schema.patterns);
        all.into_iter()
            .chain(names.map(String::as_str))
            .map(|name| format!("{}.{name}", schema.name))
    });
    let patterns = objects.schema_patterns.iter();
    let all: Vec<String> = named
        .chain(patterns.map(|pattern| format!("{pattern}.*")))
        .collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(schema: &[&str], table: &[&str]) -> anyhow::Result<Option<Objects>> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ObjectArgs {
            json: None,
            all: false,
            schema: owned(schema),
            table: owned(table),
        }
        .objects()
    }

    #[test]
    fn options_become_objects_and_are_said_in_words() {
        let objects = said(
            &["crm", "tenant_*"],
            &["public.orders", "public.log_*", "public.a.b"],
        );
        let objects = objects.unwrap().unwrap();
        assert_eq!(
            in_words(&objects),
            "crm.*, public.orders, public.a.b, public.log_*, tenant_*.*"
        );
        assert_eq!(objects.schemas[1].tables, ["orders", "a.b"]);
        assert_eq!(said(&[], &[]).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (schema, table) in [
            (&["public"][..], &["public.orders"][..]),
            (&[], &["orders"]),
            (&[], &["*.orders"]),
            (&[], &["public."]),
        ] {
            assert!(said(schema, table).is_err(), "{schema:?} {table:?}");
        }
    }
}
