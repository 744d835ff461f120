//! The schemas of Avro's messages.

use std::collections::HashSet;

use rowcast_proto::change::{Column, TableSchema};
use serde_json::{Value, json};

use crate::derive::kind::{Kind, Scalar};

/// All names are in it.
const NAMESPACE: &str = "rowcast";

/// What happened to a row, in the order of [`ROWS`].
pub(super) const ROWS: [&str; 3] = ["insert", "update", "delete"];

/// What else a message says, by name.
pub(super) const EVENTS: [&str; 7] = [
    "truncate",
    "begin",
    "commit",
    "heartbeat",
    "ddl",
    "message",
    "gap",
];

/// Whether each column may be text, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// No: the values fit the types of their columns, as PostgreSQL's do.
    Narrow,
    /// Yes: one of them does not.
    Wide,
}

/// A column of a table.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name in PostgreSQL.
    pub(super) column: String,
    pub(super) kind: Kind,
    pub(super) is_key: bool,
}

/// The columns of a table.
pub(super) fn fields(table: &TableSchema) -> Vec<Field> {
    let fields = table.columns.iter().map(|column| Field {
        column: column.name.clone(),
        kind: Kind::of(column),
        is_key: column.key,
    });
    fields.collect()
}

/// The schema of changes of rows.
pub(super) fn change(table: &TableSchema, width: Width) -> String {
    let names = names(&table.columns);
    let columns: Vec<(&Column, &String)> = table.columns.iter().zip(&names).collect();
    let row: Vec<Value> = columns
        .iter()
        .map(|(column, name)| field_of(column, name, width))
        .collect();
    let key: Vec<Value> = columns
        .iter()
        .filter(|(column, _name)| column.key)
        .map(|(column, name)| field_of(column, name, width))
        .collect();
    let key = if key.is_empty() {
        json!(["null"])
    } else {
        json!(["null", record("Key", &key)])
    };
    let fields = [
        field("op", &enumeration("Operation", &ROWS)),
        field("id", &json!("string")),
        field("database", &json!("string")),
        field("schema", &json!("string")),
        field("table", &json!("string")),
        field("lsn", &json!("string")),
        field("ordinal", &json!("long")),
        nullable("xid", &json!("long")),
        field("committed_at", &moment()),
        nullable("schema_id", &json!("string")),
        union("key", &key),
        nullable("before", &record("Row", &row)),
        nullable("before_image", &json!("string")),
        nullable("after", &json!("rowcast.Row")),
        field("unchanged", &json!({ "type": "array", "items": "string" })),
    ];
    record("Change", &fields).to_string()
}

/// The schema of everything that is no row.
pub(super) fn event() -> String {
    let ddl = [
        field("command", &json!("string")),
        field("object_type", &json!("string")),
        field("object", &json!("string")),
        field("text", &json!("string")),
        field("user", &json!("string")),
        field("dropped", &json!("boolean")),
        field("rewritten", &json!("boolean")),
    ];
    let message = [
        field("prefix", &json!("string")),
        field("transactional", &json!("boolean")),
        nullable("text", &json!("string")),
        nullable("base64", &json!("string")),
    ];
    let gap = [
        field("code", &json!("string")),
        field("cause", &json!("string")),
        field("from", &json!("string")),
        field("to", &json!("string")),
    ];
    let fields = [
        field("op", &enumeration("EventOperation", &EVENTS)),
        field("id", &json!("string")),
        field("database", &json!("string")),
        nullable("schema", &json!("string")),
        nullable("table", &json!("string")),
        field("lsn", &json!("string")),
        field("ordinal", &json!("long")),
        nullable("xid", &json!("long")),
        field("committed_at", &moment()),
        nullable("schema_id", &json!("string")),
        nullable("cascade", &json!("boolean")),
        nullable("restart_identity", &json!("boolean")),
        nullable("changes", &json!("long")),
        nullable("ddl", &record("Ddl", &ddl)),
        nullable("message", &record("LogicalMessage", &message)),
        nullable("gap", &record("Gap", &gap)),
    ];
    record("Event", &fields).to_string()
}

fn record(name: &str, fields: &[Value]) -> Value {
    json!({ "type": "record", "name": name, "namespace": NAMESPACE, "fields": fields })
}

fn enumeration(name: &str, symbols: &[&str]) -> Value {
    json!({ "type": "enum", "name": name, "namespace": NAMESPACE, "symbols": symbols })
}

fn moment() -> Value {
    json!({ "type": "long", "logicalType": "timestamp-micros" })
}

fn field(name: &str, of: &Value) -> Value {
    json!({ "name": name, "type": of })
}

fn nullable(name: &str, of: &Value) -> Value {
    union(name, &json!(["null", of]))
}

fn union(name: &str, of: &Value) -> Value {
    json!({ "name": name, "type": of, "default": null })
}

fn field_of(column: &Column, name: &str, width: Width) -> Value {
    let of = match (Kind::of(column), width) {
        (Kind::One(Scalar::Document | Scalar::Other), _) => json!(["null", "string"]),
        (Kind::One(scalar), Width::Narrow) => json!(["null", of_scalar(scalar)]),
        (Kind::One(scalar), Width::Wide) => json!(["null", of_scalar(scalar), "string"]),
        (Kind::Array(scalar), _) => {
            let items = json!(["null", of_scalar(scalar)]);
            json!(["null", { "type": "array", "items": items }, "string"])
        }
    };
    json!({ "name": name, "type": of, "default": null, "column": column.name, "postgresql": column.type_name })
}

const fn of_scalar(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Bool => "boolean",
        Scalar::Int => "int",
        Scalar::Long => "long",
        Scalar::Float => "float",
        Scalar::Double => "double",
        Scalar::Bytes => "bytes",
        Scalar::Document | Scalar::Other => "string",
    }
}

/// Names of fields for columns: their own, where Avro takes it.
fn names(columns: &[Column]) -> Vec<String> {
    let own = columns.iter().map(|column| column.name.as_str());
    let mut taken: HashSet<String> = own
        .filter(|name| is_name(name))
        .map(str::to_owned)
        .collect();
    let names = columns.iter().map(|column| {
        if is_name(&column.name) {
            return column.name.clone();
        }
        let name = made_name(&column.name);
        let numbered = (2_usize..).map(|number| format!("{name}_{number}"));
        let mut free = std::iter::once(name.clone()).chain(numbered);
        // One of so many is.
        let name = free.find(|name| taken.insert(name.clone()));
        name.unwrap_or_default()
    });
    names.collect()
}

/// Whether this is a name by Avro's rules.
fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// The nearest name that is one.
fn made_name(name: &str) -> String {
    let letters = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    let made: String = letters.collect();
    if is_name(&made) {
        made
    } else {
        format!("_{made}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> Column {
        Column {
            name: name.to_owned(),
            type_oid: 25,
            type_name: "text".to_owned(),
            modifier: -1,
            key: false,
        }
    }

    #[test]
    fn names_of_columns_become_names_of_fields() {
        let columns = ["a b", "a_b", "a-b", "2nd", "gr\u{f6}\u{df}e", "", "_", "id"].map(column);
        let expected = ["a_b_2", "a_b", "a_b_3", "_2nd", "gr__e", "__2", "_", "id"];
        assert_eq!(names(&columns), expected);
    }
}
