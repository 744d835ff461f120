//! Values of the common types, as PostgreSQL sends them.

use rowcast_testkit::rows_in_order;
use serde_json::json;

use crate::world::World;

const TYPES: &str = "CREATE SCHEMA shop;
    CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
    CREATE TYPE shop.point3 AS (x int, y float8, label text);
    CREATE DOMAIN shop.positive AS int CHECK (VALUE > 0);
    CREATE TABLE shop.kinds (
        id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, t text,
        v varchar(10), c char(4), by bytea, j json, jb jsonb, u uuid, d date, ts timestamp,
        tz timestamptz, tm time, iv interval, ip inet, a int[], ta text[], aa int[][],
        m shop.mood, p shop.point3, dom shop.positive, r int4range, pa shop.point3[]
    );";

#[tokio::test]
async fn each_type_has_its_public_form() {
    let world = World::streaming(TYPES).await;
    world
        .sql
        .batch_execute(
            r#"INSERT INTO shop.kinds VALUES (
                1, true, -7, 9007199254740993, 1.5, 'NaN', 12345678901234567890.12, E'q"\\ \u00e9\n\u0001',
                'v', 'c', '\xdeadbeef', '{"a": [1, 2.50]}', '{"k": null}',
                'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2026-11-23', '2026-11-23 05:33:10.5',
                '2026-11-23 14:33:10.123456+09', '12:00:01', '1 day 02:03:04', '10.0.0.1/8',
                '{1,NULL,3}', '{"a,b","c\"d",NULL,"NULL"}', '{{1,2},{3,4}}',
                'ok', '(1,2.5,"x, y")', 5, '[1,5)', '{"(1,2,a)",NULL}'
            );
            INSERT INTO shop.kinds (id) VALUES (2)"#,
        )
        .await
        .unwrap();
    let stored = world.stream(3).await;
    let rows = rows_in_order(&stored);
    assert_eq!(
        serde_json::to_value(&rows[0].after).unwrap(),
        json!({
            "id": 1, "b": true, "i2": -7, "i8": "9007199254740993", "f4": 1.5, "f8": "NaN",
            "n": "12345678901234567890.12", "t": "q\"\\ é\n\u{1}", "v": "v", "c": "c   ",
            "by": "3q2+7w==", "j": {"a": [1, 2.5]}, "jb": {"k": null},
            "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "d": "2026-11-23",
            "ts": "2026-11-23T05:33:10.5", "tz": "2026-11-23T05:33:10.123456Z",
            "tm": "12:00:01", "iv": "1 day 02:03:04", "ip": "10.0.0.1/8",
            "a": [1, null, 3], "ta": ["a,b", "c\"d", null, "NULL"], "aa": [[1, 2], [3, 4]],
            "m": "ok", "p": {"x": 1, "y": 2.5, "label": "x, y"}, "dom": 5, "r": "[1,5)",
            "pa": [{"x": 1, "y": 2, "label": "a"}, null]
        })
    );
    let empty = rows[1].after.as_ref().unwrap();
    assert_eq!(empty.len(), 28);
    assert!(
        empty
            .iter()
            .all(|(name, value)| name == "id" || value.is_null())
    );
}

#[tokio::test]
async fn a_long_value_that_did_not_change_is_neither_null_nor_lost() {
    let world = World::streaming(
        "CREATE SCHEMA shop;
         CREATE TABLE shop.pages (id int PRIMARY KEY, body text, views int);
         ALTER TABLE shop.pages ALTER body SET STORAGE EXTERNAL;",
    )
    .await;
    world
        .sql
        .batch_execute(
            "INSERT INTO shop.pages VALUES (1, repeat('x', 10000), 0);
             UPDATE shop.pages SET views = 1;",
        )
        .await
        .unwrap();
    let stored = world.stream(3).await;
    let update = rows_in_order(&stored)[1];
    assert_eq!(update.unchanged, ["body"]);
    assert_eq!(
        serde_json::to_value(&update.after).unwrap(),
        json!({"id": 1, "views": 1})
    );
}
