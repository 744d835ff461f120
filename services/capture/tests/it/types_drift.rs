//! Types that change under the tables that use them.

use serde_json::{Value, json};

use crate::world::World;

const TYPES: &str = "CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN shop.count AS int;
    CREATE TYPE shop.point AS (x int, y int);
    CREATE TABLE shop.t (id int PRIMARY KEY, m shop.mood, c shop.count, p shop.point, pp shop.point[]);
    CREATE TABLE shop.m (id int PRIMARY KEY, m shop.mood);
    CREATE TABLE shop.p (id int PRIMARY KEY, p shop.point, pp shop.point[]);";

/// The rows after the changes, without their ids.
async fn afters(world: &World) -> Vec<Value> {
    let rows = world.rows().await;
    rows.into_iter()
        .map(|row| {
            let mut after = row.after.unwrap();
            after.remove("id");
            serde_json::to_value(after).unwrap()
        })
        .collect()
}

async fn an_enum_gets_a_value_that_is_used_at_once(version: u32) {
    let mut world = World::streaming_shop(version, TYPES).await;
    world.execute("INSERT INTO shop.m VALUES (1, 'ok')").await;
    world.told().await;
    world.execute("ALTER TYPE shop.mood ADD VALUE 'new'").await;
    world.execute("INSERT INTO shop.m VALUES (2, 'new')").await;
    world.told().await;
    world.kill_capture().await;
    world
        .execute("ALTER TYPE shop.mood ADD VALUE 'newer'")
        .await;
    world
        .execute("INSERT INTO shop.m VALUES (3, 'newer')")
        .await;
    world.start_capture();
    assert_eq!(
        afters(&world).await,
        [
            json!({"m": "ok"}),
            json!({"m": "new"}),
            json!({"m": "newer"}),
        ]
    );
}

#[tokio::test]
async fn an_enum_gets_values_on_10() {
    an_enum_gets_a_value_that_is_used_at_once(10).await;
}

#[tokio::test]
async fn an_enum_gets_values_on_15() {
    an_enum_gets_a_value_that_is_used_at_once(15).await;
}

#[tokio::test]
async fn an_enum_gets_values_on_18() {
    an_enum_gets_a_value_that_is_used_at_once(18).await;
}

async fn a_domain_with_another_base_is_another_type(version: u32) {
    let world = World::streaming_shop(
        version,
        "CREATE DOMAIN shop.count AS int; CREATE TABLE shop.d (id int PRIMARY KEY, c shop.count);",
    )
    .await;
    world.execute("INSERT INTO shop.d VALUES (1, 5)").await;
    world.told().await;
    for statement in [
        "ALTER DOMAIN shop.count ADD CHECK (VALUE > 0)",
        "INSERT INTO shop.d VALUES (2, 6)",
        "ALTER DOMAIN shop.count RENAME TO old_count",
        "CREATE DOMAIN shop.count AS text",
        "ALTER TABLE shop.d ALTER COLUMN c TYPE shop.count USING c::int::text",
        "INSERT INTO shop.d VALUES (3, 'seven')",
        "CREATE DOMAIN shop.narrow AS bool",
        "CREATE DOMAIN shop.narrower AS shop.narrow",
        "ALTER TABLE shop.d ALTER COLUMN c TYPE shop.narrower USING c = 'seven'",
        "INSERT INTO shop.d VALUES (4, false)",
    ] {
        world.execute(statement).await;
    }
    assert_eq!(
        afters(&world).await,
        [
            json!({"c": 5}),
            json!({"c": 6}),
            json!({"c": "seven"}),
            json!({"c": false}),
        ]
    );
    let rows = world.rows().await;
    assert_eq!(rows[0].schema_id, rows[1].schema_id);
    assert_ne!(rows[1].schema_id, rows[2].schema_id);
    assert_ne!(rows[2].schema_id, rows[3].schema_id);
}

#[tokio::test]
async fn a_domain_with_another_base_is_another_type_on_10() {
    a_domain_with_another_base_is_another_type(10).await;
}

#[tokio::test]
async fn a_domain_with_another_base_is_another_type_on_18() {
    a_domain_with_another_base_is_another_type(18).await;
}

/// PostgreSQL tells the shapes of tables, not of the types that they use, so capture does not see that
/// a type has changed: it must not stop, and nothing of the value may be lost.
async fn a_composite_gets_an_attribute(version: u32) {
    let mut world = World::streaming_shop(version, TYPES).await;
    world
        .execute("INSERT INTO shop.p VALUES (1, '(1,2)', '{\"(3,4)\"}')")
        .await;
    world.told().await;
    world
        .execute("ALTER TYPE shop.point ADD ATTRIBUTE label text")
        .await;
    world
        .execute("INSERT INTO shop.p VALUES (2, '(1,2,a)', '{\"(3,4,b)\"}')")
        .await;
    world.told().await;
    world
        .execute("ALTER TABLE shop.p ADD COLUMN note text")
        .await;
    world
        .execute("INSERT INTO shop.p VALUES (3, '(1,2,a)', NULL, 'n')")
        .await;
    world.told().await;
    world
        .execute("ALTER TYPE shop.point ADD ATTRIBUTE z int")
        .await;
    world.stop_capture().await;
    world.start_capture();
    world
        .execute("INSERT INTO shop.p VALUES (4, '(1,2,a,3)', NULL)")
        .await;
    assert_eq!(
        afters(&world).await,
        [
            json!({"p": {"x": 1, "y": 2}, "pp": [{"x": 3, "y": 4}]}),
            json!({"p": "(1,2,a)", "pp": ["(3,4,b)"]}),
            json!({"p": {"x": 1, "y": 2, "label": "a"}, "pp": null, "note": "n"}),
            json!({"p": {"x": 1, "y": 2, "label": "a", "z": 3}, "pp": null, "note": null}),
        ]
    );
}

#[tokio::test]
async fn a_composite_with_a_new_attribute_is_text_until_postgresql_tells_the_table_again_on_10() {
    a_composite_gets_an_attribute(10).await;
}

#[tokio::test]
async fn a_composite_with_a_new_attribute_is_text_until_postgresql_tells_the_table_again_on_15() {
    a_composite_gets_an_attribute(15).await;
}

#[tokio::test]
async fn a_composite_with_a_new_attribute_is_text_until_postgresql_tells_the_table_again_on_18() {
    a_composite_gets_an_attribute(18).await;
}

#[tokio::test]
async fn a_type_that_is_gone_before_its_rows_are_read_leaves_their_text() {
    let mut world = World::streaming_shop(15, TYPES).await;
    world.kill_capture().await;
    for statement in [
        "INSERT INTO shop.t VALUES (1, 'ok', 5, '(1,2)', '{\"(3,4)\"}')",
        "ALTER TABLE shop.t DROP COLUMN p, DROP COLUMN pp, DROP COLUMN c",
        "DROP TABLE shop.p",
        "DROP TYPE shop.point",
        "DROP DOMAIN shop.count",
        "INSERT INTO shop.t VALUES (2, 'ok')",
    ] {
        world.execute(statement).await;
    }
    world.start_capture();
    assert_eq!(
        afters(&world).await,
        [
            json!({"m": "ok", "c": "5", "p": "(1,2)", "pp": "{\"(3,4)\"}"}),
            json!({"m": "ok"}),
        ]
    );
}
