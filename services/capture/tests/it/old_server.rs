//! What servers before 10 send: read by `test_decoding`, which later ones have as well. The slot's
//! plugin decides.

use rowcast_proto::change::{BeforeImage, Operation};
use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_proto::stream::source_object;
use rowcast_testkit::{Postgres, rows_in_order};
use serde_json::json;

use crate::world::World;

const SHOP: &str = "CREATE SCHEMA shop; CREATE SCHEMA other;
    CREATE TABLE other.t (id int PRIMARY KEY);
    CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text, total numeric(10,2), paid bool, tags text[], at timestamptz);
    ALTER TABLE shop.orders ALTER note SET STORAGE EXTERNAL;";

async fn streaming(postgres: Postgres) -> World {
    let mut world = Box::pin(World::on(postgres, SHOP)).await;
    let slot = source_object(&world.task);
    world
        .one(&format!(
            "SELECT (pg_create_logical_replication_slot('{slot}', 'test_decoding')).slot_name::text"
        ))
        .await;
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    world
}

async fn changes_are_told_as_pgoutput_would(postgres: Postgres) {
    let world = Box::pin(streaming(postgres)).await;
    world
        .sql
        .batch_execute(
            "INSERT INTO other.t VALUES (1);
             INSERT INTO shop.orders VALUES (1, repeat('ä''x', 4000), 19.90, true, '{a,\"b c\"}', '2026-01-02 03:04:05+02');
             UPDATE shop.orders SET total = NULL, paid = false;
             UPDATE shop.orders SET id = 2;
             DELETE FROM shop.orders;
             SELECT pg_logical_emit_message(true, 'app', 'not told');",
        )
        .await
        .unwrap();
    let stored = world.stream(5).await;
    let rows = rows_in_order(&stored);
    use Operation::{Delete, Insert, Update};
    let ops: Vec<Operation> = rows.iter().map(|row| row.op).collect();
    assert_eq!(ops, [Insert, Update, Update, Delete]);
    let inserted = serde_json::to_value(&rows[0].after).unwrap();
    assert_eq!(inserted["note"], "ä'x".repeat(4000));
    assert_eq!(
        (
            &inserted["total"],
            &inserted["paid"],
            &inserted["tags"],
            &inserted["at"]
        ),
        (
            &json!("19.90"),
            &json!(true),
            &json!(["a", "b c"]),
            &json!("2026-01-02T01:04:05Z")
        )
    );
    assert_eq!(rows[0].ordinal, 2, "what is not tracked is counted");
    assert_eq!(rows[1].unchanged, ["note"]);
    assert_eq!(rows[1].after.as_ref().unwrap()["total"], json!(null));
    assert_eq!(rows[2].before_image, Some(BeforeImage::Key));
    assert_eq!(rows[2].before.as_ref().unwrap()["id"], 1);
    assert_eq!(rows[3].key.as_ref().unwrap()["id"], 2);
    world.everything_is_confirmed().await;
}

#[tokio::test]
async fn changes_of_the_oldest_server_at_hand_are_told_as_pgoutput_would() {
    let postgres = Box::pin(Postgres::start_version(10)).await.unwrap();
    Box::pin(changes_are_told_as_pgoutput_would(postgres)).await;
}

#[tokio::test]
async fn changes_of_a_later_server_are_told_as_pgoutput_would() {
    let postgres = Box::pin(Postgres::start()).await.unwrap();
    Box::pin(changes_are_told_as_pgoutput_would(postgres)).await;
}

#[tokio::test]
async fn a_large_transaction_waits_for_its_commit_on_disk_and_survives_kills() {
    let postgres = Box::pin(Postgres::start_version(10)).await.unwrap();
    let mut world = Box::pin(streaming(postgres)).await;
    world
        .sql
        .batch_execute(
            "INSERT INTO shop.orders (id, note)
             SELECT n, repeat('x', 200) FROM generate_series(1, 30000) AS n",
        )
        .await
        .unwrap();
    for length in [2_000, 15_000] {
        world.stream(length).await;
        world.kill_capture().await;
        world.start_capture();
    }
    world
        .sql
        .batch_execute("INSERT INTO shop.orders (id) VALUES (30001)")
        .await
        .unwrap();
    // Each start tells the shape before its first row.
    let stored = loop {
        let stored = world.stream(30_002).await;
        let rows = stored.iter().filter(|m| m.change.op == Operation::Insert);
        if rows.count() == 30_001 {
            break stored;
        }
    };
    let ids: Vec<i64> = rows_in_order(&stored)
        .iter()
        .map(|row| row.after.as_ref().unwrap()["id"].as_i64().unwrap())
        .collect();
    assert!(ids.into_iter().eq(1..=30_001));
}

async fn rows_of_a_materialized_view_are_not_told(postgres: Postgres) {
    let world = Box::pin(streaming(postgres)).await;
    world
        .sql
        .batch_execute(
            "INSERT INTO shop.orders (id) VALUES (1), (2);
             CREATE MATERIALIZED VIEW shop.known AS SELECT id FROM shop.orders;
             CREATE UNIQUE INDEX ON shop.known (id);
             DELETE FROM shop.orders WHERE id = 1;
             REFRESH MATERIALIZED VIEW CONCURRENTLY shop.known;
             INSERT INTO shop.orders (id) VALUES (3);",
        )
        .await
        .unwrap();
    let stored = world.stream(5).await;
    let rows = rows_in_order(&stored);
    use Operation::{Delete, Insert};
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.op, row.table.as_deref()))
        .collect();
    let orders = Some("orders");
    assert_eq!(
        told,
        [
            (Insert, orders),
            (Insert, orders),
            (Delete, orders),
            (Insert, orders)
        ]
    );
}

#[tokio::test]
async fn rows_of_a_materialized_view_are_not_told_on_10() {
    let postgres = Box::pin(Postgres::start_version(10)).await.unwrap();
    Box::pin(rows_of_a_materialized_view_are_not_told(postgres)).await;
}

#[tokio::test]
async fn rows_of_a_materialized_view_are_not_told_on_15() {
    let postgres = Box::pin(Postgres::start()).await.unwrap();
    Box::pin(rows_of_a_materialized_view_are_not_told(postgres)).await;
}
