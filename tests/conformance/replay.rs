//! Applies a stream to tables that were empty, with nothing but what the messages say.

use std::collections::BTreeMap;

use rowcast_client::{BeforeImage, Operation, TableSchema};
use rowcast_testkit::Stored;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_postgres::Client;

/// Column name to JSON, to the letter: a number read as a double would not be the same any more.
type Row = BTreeMap<String, Box<RawValue>>;

/// The rows of a change.
#[derive(Deserialize)]
struct Images {
    key: Option<Row>,
    before: Option<Row>,
    after: Option<Row>,
}

/// Reads the whole stream and applies it.
pub(crate) async fn replay(stored: &[Stored], mirror: &Client) {
    let _rows = rowcast_testkit::rows_in_order(stored);
    let mut schemas = BTreeMap::new();
    mirror.batch_execute("BEGIN").await.unwrap();
    for message in stored {
        let change = &message.change;
        if let Some(definition) = &change.definition {
            take_shape(mirror, definition).await;
            schemas.insert(definition.id.clone(), definition.clone());
            continue;
        }
        let Some(id) = &change.schema_id else {
            continue;
        };
        let schema = schemas
            .get(id)
            .unwrap_or_else(|| panic!("{id} was not told before {}", change.id));
        let applied = apply(mirror, message, schema).await;
        let right = change.op == Operation::Truncate || applied == 1;
        assert!(right, "{applied} rows changed by {change:?}");
    }
    mirror.batch_execute("COMMIT").await.unwrap();
}

/// A name as SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn table(schema: &TableSchema) -> String {
    format!("{}.{}", quoted(&schema.schema), quoted(&schema.table))
}

async fn apply(mirror: &Client, message: &Stored, schema: &TableSchema) -> u64 {
    let table = table(schema);
    let change = &message.change;
    let images: Images = serde_json::from_slice(&message.payload).unwrap();
    let after = || document(images.after.as_ref().unwrap(), schema);
    let columns = |row: &Row| {
        row.keys()
            .map(|name| quoted(name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let populated =
        |parameter| format!("jsonb_populate_record(NULL::{table}, ${parameter}::text::jsonb)");
    match change.op {
        Operation::Insert => {
            let columns = columns(images.after.as_ref().unwrap());
            let sql = format!(
                "INSERT INTO {table} ({columns}) SELECT {columns} FROM {}",
                populated(1)
            );
            mirror.execute(&sql, &[&after()]).await.unwrap()
        }
        Operation::Update => {
            let columns = columns(images.after.as_ref().unwrap());
            let (condition, row) = old_row(change.before_image, &images, schema, &populated(2));
            let sql = format!(
                "UPDATE {table} SET ({columns}) = (SELECT {columns} FROM {}) WHERE {condition}",
                populated(1)
            );
            mirror.execute(&sql, &[&after(), &row]).await.unwrap()
        }
        Operation::Delete => {
            let (condition, row) = old_row(change.before_image, &images, schema, &populated(1));
            mirror
                .execute(&format!("DELETE FROM {table} WHERE {condition}"), &[&row])
                .await
                .unwrap()
        }
        Operation::Truncate => mirror
            .execute(&format!("TRUNCATE {table}"), &[])
            .await
            .unwrap(),
        Operation::Schema
        | Operation::Begin
        | Operation::Commit
        | Operation::Heartbeat
        | Operation::Ddl
        | Operation::Message
        | Operation::Gap
        | Operation::Part
        | Operation::Pack
        | Operation::Unknown => {
            panic!("{change:?}")
        }
    }
}

/// Which row is meant: that with the old key, or one of those that are the same throughout.
fn old_row(
    image: Option<BeforeImage>,
    images: &Images,
    schema: &TableSchema,
    populated: &str,
) -> (String, String) {
    let table = table(schema);
    if image == Some(BeforeImage::Full) {
        let condition = format!(
            "ctid = (SELECT t.ctid FROM {table} t, {populated} o WHERE t::text = o::text LIMIT 1)"
        );
        return (condition, document(images.before.as_ref().unwrap(), schema));
    }
    let key = images.before.as_ref().or(images.key.as_ref()).unwrap();
    let columns = key
        .keys()
        .map(|name| quoted(name))
        .collect::<Vec<_>>()
        .join(", ");
    (
        format!("({columns}) = (SELECT {columns} FROM {populated})"),
        document(key, schema),
    )
}

/// The row as PostgreSQL reads JSON: only bytea has another form there.
fn document(row: &Row, schema: &TableSchema) -> String {
    let mut row = row.clone();
    for column in schema
        .columns
        .iter()
        .filter(|column| column.type_name == "bytea")
    {
        if let Some(value) = row.get_mut(&column.name)
            && let Some(text) = serde_json::from_str::<Option<String>>(value.get()).unwrap()
        {
            let bytes = data_encoding::BASE64.decode(text.as_bytes()).unwrap();
            let hexadecimal = format!("\"\\\\x{}\"", data_encoding::HEXLOWER.encode(&bytes));
            *value = RawValue::from_string(hexadecimal).unwrap();
        }
    }
    serde_json::to_string(&row).unwrap()
}

/// Brings the mirror's table into the shape that is told; one that is not there is made.
async fn take_shape(mirror: &Client, schema: &TableSchema) {
    let table = table(schema);
    let within = quoted(&schema.schema);
    let make = format!(
        "SET client_min_messages = warning;
         CREATE SCHEMA IF NOT EXISTS {within}; CREATE TABLE IF NOT EXISTS {table} ()"
    );
    mirror.batch_execute(&make).await.unwrap();
    let found = mirror
        .query(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
             WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped",
            &[&table],
        )
        .await
        .unwrap();
    let mut found: BTreeMap<String, String> =
        found.iter().map(|row| (row.get(0), row.get(1))).collect();
    for column in &schema.columns {
        let name = quoted(&column.name);
        // Types of the user's own do not change here, and have other OIDs in the mirror.
        let wanted: Option<String> = mirror
            .query_one(
                "SELECT CASE WHEN $1 < 16384::oid THEN format_type($1, $2) END",
                &[&column.type_oid, &column.modifier],
            )
            .await
            .unwrap()
            .get(0);
        let change = match (found.remove(&column.name), wanted) {
            (None, Some(wanted)) => format!("ALTER TABLE {table} ADD COLUMN {name} {wanted}"),
            (Some(found), Some(wanted)) if found != wanted => {
                format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE {wanted}")
            }
            (Some(_), _) => continue,
            (None, None) => panic!("{column:?}"),
        };
        mirror.batch_execute(&change).await.unwrap();
    }
    for name in found.keys() {
        let drop = format!("ALTER TABLE {table} DROP COLUMN {}", quoted(name));
        mirror.batch_execute(&drop).await.unwrap();
    }
}
