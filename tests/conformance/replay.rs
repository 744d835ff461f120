//! Applies a stream to tables that were empty, with nothing but what the messages say.

use std::collections::BTreeMap;

use rowcast_client::{BeforeImage, Change, Operation, TableSchema};
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
pub(crate) async fn replay(stored: &[Stored], mirror: &Client, name: &str) {
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
        assert!(right, "{name}: {applied} rows changed by {change:?}");
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
    let mut found = columns(mirror, &table).await;
    if let Some((old, new)) = renamed(&found, schema) {
        let (from, to) = (quoted(&found[old].0), quoted(new));
        let rename = format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}");
        mirror.batch_execute(&rename).await.unwrap();
        new.clone_into(&mut found[old].0);
    }
    let mut found: BTreeMap<String, String> = found.into_iter().collect();
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
                format!(
                    "ALTER TABLE {table} ALTER COLUMN {name} TYPE {wanted} USING {name}::{wanted}"
                )
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

/// Names and types, in the table's order.
async fn columns(mirror: &Client, table: &str) -> Vec<(String, String)> {
    let rows = mirror
        .query(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
             WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum",
            &[&table],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Place and new name of a column that was renamed: between two shapes that follow each other, the
/// only name that is another one. A column that was dropped leaves another place than the last, where
/// a new one comes.
fn renamed<'a>(found: &[(String, String)], schema: &'a TableSchema) -> Option<(usize, &'a String)> {
    if found.len() != schema.columns.len() {
        return None;
    }
    let names = found.iter().zip(&schema.columns).enumerate();
    let mut others = names.filter(|(_, ((old, _), column))| *old != column.name);
    let (place, (_, column)) = others.next()?;
    others.next().is_none().then_some((place, &column.name))
}

/// The tables to begin with, as a reader would make them: the labels of an enum are not told, and some
/// come later, so that its values are kept as text.
pub(crate) fn mirrored(tables: &str) -> String {
    let (before, rest) = tables.split_once("CREATE TYPE shop.mood AS ENUM").unwrap();
    let (_labels, after) = rest.split_once(';').unwrap();
    format!("{before}CREATE DOMAIN shop.mood AS text;{after}")
}

/// The changes of each transaction, those of the schema among them, are numbered from 1 without a hole:
/// everything is tracked.
pub(crate) fn assert_whole(stored: &[Stored]) {
    let mut open = None;
    let mut next = 1;
    let _rows = rowcast_testkit::rows_in_order(stored);
    let changes = stored.iter().map(|message| &message.change);
    let told_of_tables =
        |change: &&Change| !matches!(change.op, Operation::Schema | Operation::Heartbeat);
    for row in changes.filter(told_of_tables) {
        let transaction = (row.id.commit_lsn, row.xid);
        if open != Some(transaction) {
            let alone = open.is_none_or(|(lsn, _)| lsn < row.id.commit_lsn);
            assert!(alone, "two transactions at one LSN: {row:?} and {open:?}");
            open = Some(transaction);
            next = 1;
        }
        assert_eq!(row.id.ordinal, next, "{row:?}");
        next += 1;
    }
}
