//! Names and texts of any characters, in databases of any encoding.

use rowcast_proto::message::CaptureState;
use rowcast_testkit::{Postgres, eventually, rows_in_order};
use serde_json::{Value, json};

use super::{assert_told_as_stored, identifier, run, told};
use crate::world::{PATIENCE, World};

const NAMES: &[&str] = &[
    "a.b",
    ">",
    "*",
    "a\"b",
    "{}",
    " ",
    "two words",
    "MiXed",
    "select",
    "äöü😀",
    "%",
    "\\",
    "'",
    "a,b",
    "$1",
    "null",
    "id2",
    "n23456789012345678901234567890123456789012345678901234567890123",
    "é.éééééééééééééééééééééééééééééé",
    "\t\n",
    "\"\"",
    "_2e",
    "=",
    "?",
    "/",
    "\u{1}",
];

#[tokio::test]
async fn any_name_of_a_table_a_column_or_a_field_is_told() {
    let mut world = World::new("CREATE SCHEMA shop; CREATE SCHEMA \"{a}.>\"\"\"").await;
    let objects = world.wish.objects.as_mut().unwrap();
    let mut second = objects.schemas[0].clone();
    second.name = "{a}.>\"".to_owned();
    objects.schemas.push(second);
    let columns: Vec<String> = NAMES
        .iter()
        .map(|name| format!("{} text", identifier(name)))
        .collect();
    let columns = columns.join(", ");
    let mut create = format!("CREATE TYPE shop.\"T y.>\" AS ({columns});");
    let mut insert = String::new();
    for schema in ["shop", "{a}.>\""] {
        for name in NAMES {
            let table = format!("{}.{}", identifier(schema), identifier(name));
            create.push_str(&format!(
                "CREATE TABLE {table} (id int PRIMARY KEY, v shop.\"T y.>\", {columns});"
            ));
            insert.push_str(&format!(
                "INSERT INTO {table} VALUES (1, ROW({0}), {0});",
                NAMES
                    .iter()
                    .map(|name| format!("'{}'", name.replace('\'', "''")))
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
    }
    world.sql.batch_execute(&create).await.unwrap();
    run(&mut world).await;
    world.sql.batch_execute(&insert).await.unwrap();
    let stored = told(&world).await;
    assert_told_as_stored(&world, &stored).await;
    let rows = rows_in_order(&stored);
    let tables: Vec<&str> = rows.iter().filter_map(|row| row.table.as_deref()).collect();
    assert_eq!(tables, [NAMES, NAMES].concat());
    let fields = json!(rows[0].after)["v"].clone();
    let expected: serde_json::Map<String, Value> = NAMES
        .iter()
        .map(|&name| (name.to_owned(), json!(name)))
        .collect();
    assert_eq!(fields, Value::Object(expected));
}

/// A world whose source is a database of this encoding.
async fn encoded(encoding: &str, schema: &str) -> World {
    let server = Box::pin(Postgres::start()).await.unwrap();
    let admin = server.client("postgres").await.unwrap();
    let create = format!(
        "CREATE DATABASE encoded ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    );
    admin.batch_execute(&create).await.unwrap();
    let mut world = Box::pin(World::on(server, "SELECT")).await;
    world.wish.source.as_mut().unwrap().database = "encoded".to_owned();
    world.sql = world.postgres.client("encoded").await.unwrap();
    world.sql.batch_execute(schema).await.unwrap();
    world
}

/// The task goes on, and the stream ends with what stands in the place of the change.
async fn is_parked(world: &World) {
    eventually("the change is parked", PATIENCE, async || {
        let stored = world.stream(1).await;
        let gaps = stored
            .iter()
            .filter_map(|message| message.change.gap.as_ref());
        gaps.clone().count() == 1
            && gaps
                .clone()
                .all(|gap| gap.code == "UndecodableChange" && gap.cause.contains("UTF-8"))
    })
    .await;
    assert_eq!(world.status().await.unwrap().state(), CaptureState::Running);
}

#[tokio::test]
async fn a_database_in_latin1_is_told_in_utf8() {
    let schema = "CREATE SCHEMA shop; CREATE TABLE shop.\"Näme\" (\"Ü\" text, j json); ALTER TABLE shop.\"Näme\" REPLICA IDENTITY FULL";
    let mut world = encoded("LATIN1", schema).await;
    run(&mut world).await;
    let insert = "INSERT INTO shop.\"Näme\" SELECT string_agg(chr(c), ''), '{\"é\": \"ÿ\"}' FROM generate_series(160, 255) c";
    world.sql.batch_execute(insert).await.unwrap();
    let stored = told(&world).await;
    let rows = rows_in_order(&stored);
    assert_eq!(rows[0].table.as_deref(), Some("Näme"));
    let all: String = ('\u{a0}'..='\u{ff}').collect();
    assert_eq!(json!(rows[0].after), json!({"Ü": all, "j": {"é": "ÿ"}}));
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_parked() {
    let schema = "CREATE SCHEMA shop; CREATE TABLE shop.texts (id int PRIMARY KEY, t text)";
    let mut world = encoded("SQL_ASCII", schema).await;
    run(&mut world).await;
    world
        .sql
        .batch_execute("INSERT INTO shop.texts VALUES (1, 'é')")
        .await
        .unwrap();
    let stored = told(&world).await;
    assert_eq!(
        json!(rows_in_order(&stored)[0].after),
        json!({"id": 1, "t": "é"})
    );
    world
        .sql
        .batch_execute(r"INSERT INTO shop.texts VALUES (2, E'a\377b')")
        .await
        .unwrap();
    is_parked(&world).await;
}

/// Up to 15 the server writes such a byte as it is, unchecked.
#[tokio::test]
async fn a_char_that_is_no_utf8_is_parked() {
    let server = Box::pin(Postgres::start_version(14)).await.unwrap();
    let schema = "CREATE SCHEMA shop; CREATE TABLE shop.kinds (id int PRIMARY KEY, v \"char\")";
    let mut world = Box::pin(World::on(server, schema)).await;
    run(&mut world).await;
    let insert = "INSERT INTO shop.kinds VALUES (1, (-128)::\"char\")";
    world.sql.batch_execute(insert).await.unwrap();
    is_parked(&world).await;
}
