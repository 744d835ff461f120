//! Types that users and extensions define.

use rowcast_testkit::{Postgres, rows_in_order};
use serde_json::json;

use super::edges::Edges;
use super::{Subject, assert_told_as_stored, run, told};
use crate::world::World;

const TYPES: &str = "CREATE SCHEMA shop;
    CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube;
    CREATE EXTENSION isn; CREATE EXTENSION seg;
    CREATE TYPE shop.mood AS ENUM ('sad', 'so \"so\"', '', '{,}', 'NULL');
    CREATE DOMAIN shop.positive AS integer CHECK (VALUE > 0);
    CREATE DOMAIN shop.small AS shop.positive CHECK (VALUE < 10);
    CREATE DOMAIN shop.numbers AS integer[];
    CREATE DOMAIN shop.document AS json;
    CREATE DOMAIN shop.corner AS box;
    CREATE TYPE shop.one AS (x integer);
    CREATE TYPE shop.place AS (x integer, \"a \"\"label\"\"\" text, at timestamptz, raw bytea);
    CREATE TYPE shop.deep AS (p shop.place, l shop.place[], d json, n shop.numbers, b boolean[], m shop.mood);
    CREATE TYPE shop.bare AS ();
    CREATE TYPE shop.words AS RANGE (subtype = text);
    CREATE TYPE shop.times AS RANGE (subtype = timestamptz);";

/// Domains over composites, and what is made of them: since version 11.
const TYPES_SINCE_11: &str = "CREATE DOMAIN shop.spot AS shop.place;
    CREATE TYPE shop.deeper AS (s shop.spot, l shop.spot[], n shop.numbers[]);";

/// A type, whether version 10 has arrays of it, and its edges.
type Own = (&'static str, bool, &'static [&'static str]);

const VALUES: &[Own] = &[
    (
        "hstore",
        true,
        &["", "\"a\"=>NULL, \"\"=>\"b,\\\"c\"", "\"k\"=>\"NULL\""],
    ),
    ("citext", true, &["", "AbC", "{\"\\"]),
    ("ltree", true, &["", "a.b.c_1"]),
    ("lquery", true, &["*{1,3}.a|b@.!c"]),
    ("cube", true, &["(1, 2),(3, 4)", "(0)", "()"]),
    ("isbn13", true, &["978-0-393-04002-9"]),
    ("ean13", true, &["978-0-393-04002-9"]),
    ("seg", true, &["1.5 .. 2.50", "~1", "<6.5"]),
    ("shop.mood", true, &["sad", "so \"so\"", "", "{,}", "NULL"]),
    ("shop.small", false, &["1", "9"]),
    (
        "shop.numbers",
        false,
        &["{}", "{1,NULL}", "{{1,2},{3,4}}", "[2:3]={1,2}"],
    ),
    (
        "shop.document",
        false,
        &[
            "null",
            "[1, 2]",
            "1e400",
            "{\"a\": null}",
            "[[1], [2]]",
            "\"null\"",
        ],
    ),
    ("shop.corner", false, &["(1,2),(0,0)"]),
    ("shop.one", true, &["()", "(1)"]),
    (
        "shop.place",
        true,
        &[
            "(,,,)",
            "(1,\"\",,)",
            "(-5,\"a \"\"q\"\" \\\\ (,)\",infinity,\\\\x00ff)",
            "(1,null,\"2026-11-23 05:33:10.5+00\",)",
            "(1,\"a\nb\tc é😀\",\"0044-03-15 12:00:00+00 BC\",\"\\\\x\")",
        ],
    ),
    (
        "shop.deep",
        true,
        &[
            "(,,,,,)",
            "(\"(1,\"\"x, \"\"\"\"y\"\"\"\"\"\",,)\",\"{\"\"(,,,)\"\",NULL}\",\"{\"\"a\"\": [1, 2]}\",\"{1,2}\",\"{t,f,NULL}\",\"so \"\"so\"\"\")",
            "(,{},null,{},{},\"\")",
            "(,\"[0:0]={NULL}\",[1e400],\"{{1},{2}}\",\"{{t},{f}}\",NULL)",
        ],
    ),
    ("shop.bare", true, &["()"]),
    (
        "shop.words",
        true,
        &["empty", "(,)", "[a,b)", "[\"\",\"a \"\"q\"\",\\\\\")"],
    ),
    (
        "shop.times",
        true,
        &["[\"2026-11-23 05:33:10+00\",infinity)", "empty"],
    ),
    (
        "information_schema.cardinal_number",
        false,
        &["0", "2147483647"],
    ),
    ("information_schema.sql_identifier", false, &["a \"name\""]),
    (
        "information_schema.time_stamp",
        false,
        &["2026-11-23 05:33:10.5+00"],
    ),
    (
        "pg_catalog.pg_depend",
        false,
        &["(1,2,3,4,5,6,n)", "(,,,,,,)"],
    ),
];

const VALUES_SINCE_11: &[Own] = &[
    (
        "shop.spot",
        true,
        &["(,,,)", "(1,\"a b\",infinity,\\\\x00ff)"],
    ),
    (
        "shop.deeper",
        true,
        &[
            "(,,)",
            "(\"(1,a,,)\",\"{\"\"(2,\\\\\"\"b c\\\\\"\",,)\"\"}\",\"{\"\"{1,2}\"\",\"\"{{3}}\"\"}\")",
            "(,,\"{{\"\"{1,2}\"\"},{\"\"{3}\"\"}}\")",
        ],
    ),
];

const VALUES_SINCE_14: &[Own] = &[
    (
        "shop.timemultirange",
        true,
        &["{}", "{[\"2026-11-23 05:33:10+00\",infinity)}"],
    ),
    ("shop.wordmultirange", true, &["{}", "{[a,b),[\"c d\",e)}"]),
];

async fn own_types_come_back(version: u32) {
    let server = Box::pin(Postgres::start_version(version)).await.unwrap();
    let mut types = TYPES.to_owned();
    let mut values = VALUES.to_vec();
    if version >= 11 {
        types.push_str(TYPES_SINCE_11);
        values.extend(VALUES_SINCE_11);
    }
    if version >= 14 {
        types = types.replace(
            "(subtype = text)",
            "(subtype = text, multirange_type_name = shop.wordmultirange)",
        );
        types = types.replace(
            "(subtype = timestamptz)",
            "(subtype = timestamptz, multirange_type_name = shop.timemultirange)",
        );
        values.extend(VALUES_SINCE_14);
    }
    let mut world = Box::pin(World::on(server, &types)).await;
    let mut fills = Vec::new();
    for (name, array, texts) in values {
        let delimiter = if name == "shop.corner" { ";" } else { "," };
        let subject = Subject {
            name: name.to_owned(),
            sql: name.to_owned(),
            array: (array || version > 10).then(|| format!("{name}[]")),
            delimiter: delimiter.to_owned(),
            table: format!("shop.\"own_{name}\""),
        };
        world.sql.batch_execute(&subject.create()).await.unwrap();
        let texts = texts.iter().map(|&text| text.to_owned());
        fills.push(subject.fill(&Edges::Texts(texts.collect())));
    }
    run(&mut world).await;
    for fill in &fills {
        let filled = world.sql.batch_execute(fill).await;
        assert!(filled.is_ok(), "{filled:?}: {fill}");
    }
    world
        .sql
        .batch_execute("SET search_path = public")
        .await
        .unwrap();
    let stored = told(&world).await;
    let compared = assert_told_as_stored(&world, &stored).await;
    assert!(compared > 300, "{compared}");
}

#[tokio::test]
async fn types_of_users_and_extensions_come_back_from_postgresql_10() {
    Box::pin(own_types_come_back(10)).await;
}

#[tokio::test]
async fn types_of_users_and_extensions_come_back_from_postgresql_17() {
    Box::pin(own_types_come_back(17)).await;
}

#[tokio::test]
async fn a_domain_and_a_row_of_the_catalog_have_the_form_of_what_is_beneath() {
    let world = World::streaming(
        "CREATE SCHEMA shop;
         CREATE TABLE shop.kinds (n information_schema.cardinal_number, c pg_catalog.pg_cast);
         ALTER TABLE shop.kinds REPLICA IDENTITY FULL",
    )
    .await;
    let insert = "INSERT INTO shop.kinds VALUES (7, '(1,2,3,4,e,f)')";
    world.sql.batch_execute(insert).await.unwrap();
    let stored = world.stream(2).await;
    let after = serde_json::to_value(&rows_in_order(&stored)[0].after).unwrap();
    assert_eq!(after["n"], json!(7));
    assert_eq!(after["c"]["castsource"], json!(2), "{after}");
}

#[tokio::test]
async fn a_value_that_an_enum_gets_while_its_table_is_read_is_told() {
    let world = World::streaming(
        "CREATE SCHEMA shop;
         CREATE TYPE shop.mood AS ENUM ('sad');
         CREATE TABLE shop.kinds (id int PRIMARY KEY, v shop.mood, a shop.mood[])",
    )
    .await;
    for sql in [
        "INSERT INTO shop.kinds VALUES (1, 'sad', '{sad}')",
        "ALTER TYPE shop.mood ADD VALUE 'so \"so\"'",
        "INSERT INTO shop.kinds VALUES (2, 'so \"so\"', ARRAY['so \"so\"', NULL]::shop.mood[])",
        "ALTER TYPE shop.mood RENAME VALUE 'sad' TO 'low'",
        "INSERT INTO shop.kinds VALUES (3, 'low', '{low}')",
    ] {
        world.sql.batch_execute(sql).await.unwrap();
    }
    let stored = world.stream(4).await;
    let rows = rows_in_order(&stored);
    let told: Vec<_> = rows
        .iter()
        .map(|row| serde_json::to_value(&row.after).unwrap())
        .collect();
    assert_eq!(
        told,
        [
            json!({"id": 1, "v": "sad", "a": ["sad"]}),
            json!({"id": 2, "v": "so \"so\"", "a": ["so \"so\"", null]}),
            json!({"id": 3, "v": "low", "a": ["low"]}),
        ]
    );
}

/// The server does not tell the table's shape again, so the value has a field that nobody has named.
#[tokio::test]
async fn a_composite_with_an_attribute_that_was_not_told_is_its_text_until_the_shape_is_told() {
    let world = World::streaming(
        "CREATE SCHEMA shop;
         CREATE TYPE shop.place AS (x int, y int);
         CREATE TABLE shop.kinds (id int PRIMARY KEY, v shop.place)",
    )
    .await;
    for sql in [
        "INSERT INTO shop.kinds VALUES (1, '(1,2)')",
        "ALTER TYPE shop.place ADD ATTRIBUTE label text",
        "INSERT INTO shop.kinds VALUES (2, '(1,2,\"a \"\"b\")')",
        "ALTER TABLE shop.kinds ADD n int",
        "INSERT INTO shop.kinds VALUES (3, '(1,2,a)')",
    ] {
        world.sql.batch_execute(sql).await.unwrap();
        // What was told is looked up before the next command changes it.
        world.everything_is_confirmed().await;
    }
    let stored = told(&world).await;
    let rows = rows_in_order(&stored);
    let told = rows.iter().map(|row| json!(row.after)["v"].clone());
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            json!({"x": 1, "y": 2}),
            json!("(1,2,\"a \"\"b\")"),
            json!({"x": 1, "y": 2, "label": "a"}),
        ]
    );
}
