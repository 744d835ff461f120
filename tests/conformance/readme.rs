//! The examples of the README's table of types are what the stream says.

use std::collections::{BTreeMap, BTreeSet};

use rowcast_e2e::{PATIENCE, Shop};
use rowcast_proto::change::Operation;
use rowcast_testkit::{Stored, eventually, read_stream};
use serde::Deserialize;
use serde_json::value::RawValue;

const README: &str = include_str!("../../README.md");

/// Of the row that names the columns.
const HEAD: &str = "| PostgreSQL type | JSON | example |";

/// What some of the types are of.
const SETUP: &str = "CREATE TYPE shop.mood AS ENUM ('ok');
    CREATE TYPE shop.place AS (x integer, y double precision, label text);
    CREATE DOMAIN shop.positive AS integer CHECK (VALUE > 0);";

/// First type of a row of the table, example, type of the column, and its value in SQL.
const VALUES: [(&str, &str, &str, &str); 47] = [
    ("boolean", "true", "boolean", "true"),
    ("smallint", "-7", "smallint", "-7"),
    ("bigint", "42", "bigint", "42"),
    (
        "bigint",
        r#""9007199254740993""#,
        "bigint",
        "9007199254740993",
    ),
    ("real", "0.1", "real", "0.1"),
    ("real", "-0", "double precision", "'-0'"),
    ("real", r#""NaN""#, "real", "'NaN'"),
    ("real", r#""-Infinity""#, "double precision", "'-Infinity'"),
    ("numeric", r#""19.90""#, "numeric", "19.90"),
    ("numeric", r#""NaN""#, "numeric", "'NaN'"),
    ("money", r#""$1,234.50""#, "money", "1234.50"),
    ("money", r#""-$0.01""#, "money", "-0.01"),
    ("text", r#""é""#, "varchar(3)", "'é'"),
    ("text", r#""c   ""#, "character(4)", "'c'"),
    ("enums", r#""ok""#, "shop.mood", "'ok'"),
    (
        "uuid",
        r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#,
        "uuid",
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
    ),
    ("date", r#""2026-11-23""#, "date", "'2026-11-23'"),
    ("date", r#""0044-03-15 BC""#, "date", "'0044-03-15 BC'"),
    ("date", r#""infinity""#, "date", "'infinity'"),
    ("time", r#""24:00:00""#, "time", "'24:00'"),
    (
        "time",
        r#""12:00:00+05:30:21""#,
        "timetz",
        "'12:00:00+05:30:21'",
    ),
    (
        "timestamp",
        r#""2026-11-23T05:33:10.5""#,
        "timestamp",
        "'2026-11-23 05:33:10.5'",
    ),
    ("timestamp", r#""infinity""#, "timestamp", "'infinity'"),
    (
        "timestamptz",
        r#""2026-11-23T05:33:10.123456Z""#,
        "timestamptz",
        "'2026-11-23 14:33:10.123456+09'",
    ),
    (
        "timestamptz",
        r#""0044-03-15 12:00:00+00 BC""#,
        "timestamptz",
        "'0044-03-15 12:00:00+00 BC'",
    ),
    (
        "interval",
        r#""-1 years -2 mons +3 days -04:05:06.7""#,
        "interval",
        "'-1 years -2 mons 3 days -04:05:06.7'",
    ),
    ("bytea", r#""3q2+7w==""#, "bytea", r"'\xdeadbeef'"),
    ("json", r#"{"a":[1,2.50]}"#, "json", r#"' {"a":[1,2.50]} '"#),
    ("xml", r#""<a/>""#, "xml", "'<a/>'"),
    ("xml", r#""'a':1A 'b':2""#, "tsvector", "'b:2 a:1A'"),
    ("bit", r#""0101""#, "bit varying(9)", "B'0101'"),
    ("network types", r#""10.0.0.1/8""#, "inet", "'10.0.0.1/8'"),
    (
        "network types",
        r#""08:00:2b:01:02:03""#,
        "macaddr",
        "'08-00-2B-01-02-03'",
    ),
    ("geometric types", r#""(1,2)""#, "point", "point(1, 2)"),
    (
        "geometric types",
        r#""<(0,0),1>""#,
        "circle",
        "circle(point(0, 0), 1)",
    ),
    ("ranges", r#""[1,5)""#, "int4range", "'[1,4]'"),
    (
        "ranges",
        r#""{[1,3),[5,)}""#,
        "int4multirange",
        "'{[5,),[1,2]}'",
    ),
    ("pg_lsn", r#""16/B374D848""#, "pg_lsn", "'16/b374d848'"),
    ("pg_lsn", r#""10:20:10,14""#, "pg_snapshot", "'10:20:10,14'"),
    ("pg_lsn", r#""1 2 3""#, "int2vector", "'1 2 3'"),
    (
        "regclass and its like",
        r#""shop.orders""#,
        "regclass",
        "'shop.orders'",
    ),
    (
        "regclass and its like",
        r#""abs(integer)""#,
        "regprocedure",
        "'abs(integer)'",
    ),
    ("arrays", "[1,null,3]", "integer[]", "'{1,NULL,3}'"),
    ("arrays", r#"[["a"],["b"]]"#, "text[]", "'{{a},{b}}'"),
    (
        "composite types",
        r#"{"x":1,"y":2.5,"label":null}"#,
        "shop.place",
        "'(1,2.5,)'",
    ),
    ("domains", "5", "shop.positive", "5"),
    ("everything else", r#""\"a\"=>\"1\"""#, "hstore", "'a=>1'"),
];

/// First type and example of each row.
fn examples() -> Vec<(String, String)> {
    let (_, table) = README.split_once(HEAD).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut examples = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{row}");
        let first = cells[0].split(',').next().unwrap().replace('`', "");
        let before = examples.len();
        // Every second piece is between backticks.
        let told = cells[2].split('`').skip(1).step_by(2);
        examples.extend(told.map(|example| (first.clone(), example.to_owned())));
        assert!(examples.len() > before, "no example: {row}");
    }
    examples
}

/// The value of `v` by table, to the letter.
fn values(stored: &[Stored]) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Row {
        v: Box<RawValue>,
    }
    #[derive(Deserialize)]
    struct Inserted {
        table: String,
        after: Row,
    }
    let inserted = stored
        .iter()
        .filter(|message| message.change.op == Operation::Insert);
    inserted
        .map(|message| {
            let row: Inserted = serde_json::from_slice(&message.payload).unwrap();
            (row.table, row.after.v.get().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn every_example_of_the_readme_is_what_the_stream_says() {
    let examples: Vec<(String, String)> = examples();
    let listed: BTreeSet<(&str, &str)> = examples
        .iter()
        .map(|(first, example)| (first.as_str(), example.as_str()))
        .collect();
    let known = VALUES.iter().map(|&(first, example, ..)| (first, example));
    assert_eq!(
        listed,
        known.collect(),
        "of the README, and with a value here"
    );

    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    let version: String = shop
        .sql
        .query_one("SELECT current_setting('server_version')", &[])
        .await
        .unwrap()
        .get(0);
    assert!(version.starts_with("15."), "{version}");
    let admin = shop.platform.sql("shop").await.unwrap();
    admin
        .batch_execute("CREATE EXTENSION hstore")
        .await
        .unwrap();
    shop.sql.batch_execute(SETUP).await.unwrap();
    let mut inserts = String::from("BEGIN;");
    for (n, (.., kind, value)) in VALUES.iter().enumerate() {
        let create = format!("CREATE TABLE shop.e{n} (id integer PRIMARY KEY, v {kind})");
        shop.sql.batch_execute(&create).await.unwrap();
        inserts.push_str(&format!("INSERT INTO shop.e{n} VALUES (1, {value});\n"));
    }
    shop.run().await.unwrap();
    shop.sql
        .batch_execute(&format!("{inserts}COMMIT"))
        .await
        .unwrap();

    let data = rowcast_e2e::data(&shop.platform).await.unwrap();
    let stored = async || values(&read_stream(&data, &shop.task).await.unwrap());
    eventually("every value is told", PATIENCE, async || {
        stored().await.len() == VALUES.len()
    })
    .await;
    let told = stored().await;
    for (n, (first, example, kind, value)) in VALUES.iter().enumerate() {
        assert_eq!(
            told[&format!("e{n}")],
            *example,
            "{first}: {value} as {kind}"
        );
    }
}
