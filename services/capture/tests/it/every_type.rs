//! Every type: what the stream says of a value is, read by the documented rules, the value.

mod edges;
mod from_protobuf;
mod reading;
mod own;
mod settings;
mod names;

use std::collections::BTreeMap;

use rowcast_proto::change::{TableSchema, is_json};
use rowcast_proto::message::{CaptureState, DesiredState, Format};
use rowcast_testkit::{Postgres, Stored, rows_in_order};
use tokio_postgres::Client;

use self::edges::{Edges, edges};
use self::reading::{Form, Images, quoted};
use crate::world::World;

/// What the server must write as capture's connection has it written.
const PINNED: &str = "SET datestyle = ISO; SET intervalstyle = postgres; SET timezone = UTC;
    SET extra_float_digits = 3; SET bytea_output = hex; SET search_path = pg_catalog;
    SET lc_monetary = 'C';";

/// Schema, tables that some types refer to, and statistics whose values are of types of their own.
const SCHEMA: &str = "CREATE SCHEMA shop;
    CREATE TABLE shop.marks (id integer PRIMARY KEY DEFAULT 7, same integer);
    INSERT INTO shop.marks SELECT n, n / 10 FROM generate_series(1, 100) n;
    CREATE STATISTICS shop.both (ndistinct, dependencies{}) ON id, same FROM shop.marks;
    ANALYZE shop.marks;";

/// A type of the server's catalog.
struct Subject {
    name: String,
    /// Quoted, with its schema.
    sql: String,
    /// Its array, where it has one.
    array: Option<String>,
    delimiter: String,
    table: String,
}

impl Subject {
    /// All types that a column can have, but domains and rows.
    async fn all(world: &World) -> Vec<Self> {
        let query = "SELECT t.typname::text,
                'pg_catalog.' || quote_ident(t.typname),
                'pg_catalog.' || quote_ident(a.typname),
                t.typdelim::text
            FROM pg_type t
            LEFT JOIN pg_type a ON a.oid = t.typarray
            WHERE t.typnamespace = 'pg_catalog'::regnamespace
              AND t.typtype NOT IN ('p', 'c', 'd')
              AND t.typoutput <> 'array_out'::regproc
            ORDER BY 1";
        let rows = world.sql.query(query, &[]).await.unwrap();
        let subjects = rows.iter().map(|row| {
            let name: String = row.get(0);
            Self {
                table: format!("shop.\"type_{name}\""),
                name,
                sql: row.get(1),
                array: row.get(2),
                delimiter: row.get(3),
            }
        });
        subjects.collect()
    }

    fn create(&self) -> String {
        let array = self.array.as_ref().map(|array| format!(", a {array}"));
        format!(
            "CREATE TABLE {} (id integer PRIMARY KEY, v {}{});",
            self.table,
            self.sql,
            array.unwrap_or_default()
        )
    }

    /// SQL that fills its table.
    fn fill(&self, edges: &Edges) -> String {
        let (table, sql) = (&self.table, &self.sql);
        let mut fill = format!("INSERT INTO {table} VALUES (0);");
        let mut texts = Vec::new();
        match edges {
            Edges::Texts(edges) => texts.clone_from(edges),
            Edges::Made(made) => fill.push_str(&format!("INSERT INTO {table} VALUES (1, {made});")),
            Edges::Nothing => {}
        }
        for (n, text) in texts.iter().enumerate() {
            let literal = literal(text);
            fill.push_str(&format!(
                "INSERT INTO {table} VALUES ({}, {literal}::{sql});",
                n + 1
            ));
        }
        if let Some(array) = &self.array {
            for (n, text) in self.arrays(&texts).iter().enumerate() {
                let literal = literal(text);
                fill.push_str(&format!(
                    "INSERT INTO {table} (id, a) VALUES ({}, {literal}::{array});",
                    n + 1000
                ));
            }
        }
        fill
    }

    /// Empty, of one, two and three dimensions, with bounds of its own, and with NULL.
    fn arrays(&self, texts: &[String]) -> Vec<String> {
        let one = |items: &[String]| format!("{{{}}}", items.join(&self.delimiter));
        let mut arrays = vec!["{}".to_owned(), "{NULL}".to_owned()];
        // White space around a document is no part of it.
        let json = self.name == "json";
        let texts = texts
            .iter()
            .map(|text| if json { text.trim() } else { text });
        let texts: Vec<String> = texts.map(quoted).collect();
        let Some(first) = texts.first() else {
            return arrays;
        };
        let mut all = texts.clone();
        all.push("NULL".to_owned());
        arrays.push(one(&all));
        arrays.extend(texts.iter().map(|text| one(std::slice::from_ref(text))));
        let pair = one(&["NULL".to_owned(), first.clone()]);
        let square = one(&[pair.clone(), pair.clone()]);
        arrays.push(format!("[2:3]={}", one(&[first.clone(), first.clone()])));
        arrays.push(format!("[-1:0][5:6]={square}"));
        arrays.push(one(&[square.clone(), square.clone()]));
        arrays.push(square);
        arrays
    }
}

/// A text as an SQL literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Reads the values of `after` back, and compares them with what the table holds under the same id.
/// Gives how many there were.
async fn assert_told_as_stored(world: &World, stored: &[Stored]) -> usize {
    world.sql.batch_execute(PINNED).await.unwrap();
    let _in_order = rows_in_order(stored);
    let mut compared = 0;
    let mut wrong = Vec::new();
    let mut tables = BTreeMap::new();
    for message in stored {
        let change = &message.change;
        if let Some(definition) = &change.definition {
            tables.insert(
                definition.id.clone(),
                Table::of(&world.sql, definition).await,
            );
        }
        let images = images(message);
        let (Some(after), Some(id)) = (images.after.as_ref(), &change.schema_id) else {
            continue;
        };
        let Some(table) = tables.get(id) else {
            continue;
        };
        let id = after["id"].get();
        for column in &table.columns {
            let name = &column.name;
            let document = images.documents.after.get(name).copied();
            let text = column.form.read(&after[name], document);
            let same = compare(world, &table.sql, id, column, text.as_deref()).await;
            compared += 1;
            if let Err(problem) = same {
                wrong.push(format!(
                    "{} {id} {name}: {} {problem}",
                    table.sql, after[name]
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {compared}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    compared
}

/// What a message says of rows.
fn images(message: &Stored) -> Images {
    if is_json(&message.payload) {
        serde_json::from_slice(&message.payload).unwrap()
    } else {
        from_protobuf::images(&message.payload)
    }
}

/// A table that was told, as the catalog describes it.
struct Table {
    /// Its name, quoted.
    sql: String,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    /// Its type's name, quoted.
    type_sql: String,
    form: Form,
}

impl Table {
    async fn of(sql: &Client, definition: &TableSchema) -> Self {
        let mut columns = Vec::new();
        for column in &definition.columns {
            let type_sql: String = sql
                .query_one(
                    "SELECT quote_ident(n.nspname) || '.' || quote_ident(t.typname)
                 FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = $1",
                    &[&column.type_oid],
                )
                .await
                .unwrap()
                .get(0);
            columns.push(Column {
                name: column.name.clone(),
                type_sql,
                form: Form::of(sql, column.type_oid).await,
            });
        }
        let sql = format!(
            "{}.{}",
            identifier(&definition.schema),
            identifier(&definition.table)
        );
        Self { sql, columns }
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether `text` is the column's value in the row: its own text, or after a way through the type.
async fn compare(
    world: &World,
    table: &str,
    id: &str,
    column: &Column,
    text: Option<&str>,
) -> Result<(), String> {
    let type_sql = &column.type_sql;
    let name = identifier(&column.name);
    let held = format!(
        "SELECT CASE WHEN num_nulls({name}) = 0 THEN format('%s', {name}) END FROM {table} WHERE id = {id}"
    );
    let held: Option<String> = world.sql.query_one(&held, &[]).await.unwrap().get(0);
    // White space around a document is no part of it.
    let around = |text: &str| match type_sql.as_str() {
        "pg_catalog.json" | "pg_catalog.\"json\"" => text.trim().to_owned(),
        _ => text.to_owned(),
    };
    let (held, text) = (held.as_deref().map(around), text.map(around));
    if held == text {
        return Ok(());
    }
    let read = format!("SELECT format('%s', $1::text::{type_sql})");
    let read = world.sql.query_one(&read, &[&text]).await;
    let read: Option<String> = read.map_err(|error| format!("{text:?}: {error:?}"))?.get(0);
    let read = read.filter(|_| text.is_some());
    (held == read)
        .then_some(())
        .ok_or_else(|| format!("{held:?} is read as {read:?}"))
}

/// Starts a task for what the schema holds by now.
async fn run(world: &mut World) {
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
}

/// All that was told, once everything is.
async fn told(world: &World) -> Vec<Stored> {
    world.everything_is_confirmed().await;
    world.stream(0).await
}

async fn every_type_comes_back(version: u32, format: Format) {
    let mcv = if version < 12 { "" } else { ", mcv" };
    let server = Box::pin(Postgres::start_version(version)).await.unwrap();
    let mut world = Box::pin(World::on(server, &SCHEMA.replace("{}", mcv))).await;
    world.wish.set_format(format);
    let mut subjects = Subject::all(&world).await;
    // A server may be built without.
    if world.sql.batch_execute("SELECT '<a/>'::xml").await.is_err() {
        subjects.retain(|subject| subject.name != "xml");
    }
    let mut fills = Vec::new();
    for subject in &subjects {
        let edges = edges(version, &subject.name);
        let edges = edges.unwrap_or_else(|| panic!("{} has no edges listed", subject.name));
        world.sql.batch_execute(&subject.create()).await.unwrap();
        fills.push(subject.fill(&edges));
    }
    run(&mut world).await;
    for fill in &fills {
        let filled = world.sql.batch_execute(fill).await;
        assert!(filled.is_ok(), "{filled:?}: {fill}");
    }
    let stored = told(&world).await;
    let compared = assert_told_as_stored(&world, &stored).await;
    eprintln!(
        "PostgreSQL {version}: {} types, {compared} values",
        subjects.len()
    );
    assert!(compared > 2000, "{compared}");
}

#[tokio::test]
async fn every_type_of_postgresql_10_comes_back() {
    Box::pin(every_type_comes_back(10, Format::Json)).await;
}

#[tokio::test]
async fn every_type_of_postgresql_14_comes_back() {
    Box::pin(every_type_comes_back(14, Format::Json)).await;
}

#[tokio::test]
async fn every_type_of_postgresql_18_comes_back() {
    Box::pin(every_type_comes_back(18, Format::Json)).await;
}

#[tokio::test]
async fn every_type_comes_back_from_protobuf() {
    Box::pin(every_type_comes_back(18, Format::Protobuf)).await;
}
