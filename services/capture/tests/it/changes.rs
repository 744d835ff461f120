//! What is written arrives, in order, as the public form says.

use rowcast_proto::change::{BeforeImage, Operation};
use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_testkit::rows_in_order;
use serde_json::json;

use crate::world::World;

const SHOP: &str = "CREATE SCHEMA shop;
    CREATE TABLE shop.orders (id bigint PRIMARY KEY, status text, total numeric(10,2));
    CREATE TABLE shop.notes (body text);
    ALTER TABLE shop.notes REPLICA IDENTITY FULL;";

#[tokio::test]
async fn every_kind_of_change_arrives_in_commit_order() {
    let world = World::streaming(SHOP).await;
    world
        .sql
        .batch_execute(
            "INSERT INTO shop.orders VALUES (1, 'new', 19.90), (2, 'new', NULL);
             UPDATE shop.orders SET status = 'paid' WHERE id = 1;
             UPDATE shop.orders SET id = 3 WHERE id = 2;
             DELETE FROM shop.orders WHERE id = 3;
             INSERT INTO shop.notes VALUES ('a'), ('b');
             UPDATE shop.notes SET body = 'c' WHERE body = 'a';
             TRUNCATE shop.orders, shop.notes;",
        )
        .await
        .unwrap();
    let stored = world.stream(12).await;
    let rows = rows_in_order(&stored);
    let told: Vec<(Operation, &str)> = rows
        .iter()
        .map(|row| (row.op, row.table.as_deref().unwrap()))
        .collect();
    use Operation::{Delete, Insert, Truncate, Update};
    assert_eq!(
        told[..8],
        [
            (Insert, "orders"),
            (Insert, "orders"),
            (Update, "orders"),
            (Update, "orders"),
            (Delete, "orders"),
            (Insert, "notes"),
            (Insert, "notes"),
            (Update, "notes"),
        ]
    );
    assert_eq!((told[8].0, told[9].0), (Truncate, Truncate));

    let paid = rows[2];
    assert_eq!(
        serde_json::to_value(&paid.after).unwrap(),
        json!({"id": 1, "status": "paid", "total": "19.90"})
    );
    assert_eq!(
        (paid.before_image, &paid.before),
        (Some(BeforeImage::None), &None)
    );
    let renamed = rows[3];
    assert_eq!(renamed.before_image, Some(BeforeImage::Key));
    assert_eq!(renamed.before.as_ref().unwrap()["id"], json!(2));
    let note = rows[7];
    assert_eq!(note.before_image, Some(BeforeImage::Full));
    assert_eq!(note.key, None);
    assert_eq!(note.before.as_ref().unwrap()["body"], json!("a"));
    assert!(
        rows.iter()
            .all(|row| row.database == "postgres" && row.xid.is_some())
    );

    let first = stored
        .iter()
        .find(|message| message.change.op == Insert)
        .unwrap();
    assert!(
        first.subject.ends_with(".shop.orders.insert"),
        "{}",
        first.subject
    );
    world.everything_is_confirmed().await;
}

#[tokio::test]
async fn a_change_of_shape_is_told_before_the_first_row_of_it() {
    let world = World::streaming(SHOP).await;
    world
        .sql
        .batch_execute(
            "INSERT INTO shop.orders VALUES (1, 'new', 1);
             ALTER TABLE shop.orders ADD COLUMN city text, ALTER COLUMN total TYPE float8;
             INSERT INTO shop.orders VALUES (2, 'new', 2.5, 'Bern');",
        )
        .await
        .unwrap();
    let stored = world.stream(4).await;
    let operations: Vec<Operation> = stored.iter().map(|message| message.change.op).collect();
    use Operation::{Insert, Schema};
    assert_eq!(operations, [Schema, Insert, Schema, Insert]);
    assert_eq!(
        stored[1].change.after.as_ref().unwrap()["total"],
        json!("1.00")
    );
    assert_eq!(
        stored[3].change.after.as_ref().unwrap()["total"],
        json!(2.5)
    );
    assert_ne!(stored[1].change.schema_id, stored[3].change.schema_id);
    assert_eq!(
        stored[3].change.schema_id,
        Some(stored[2].change.definition.as_ref().unwrap().id.clone())
    );
}

#[tokio::test]
async fn a_transaction_larger_than_a_batch_arrives_whole_and_marked() {
    let mut world = World::new(SHOP).await;
    world.wish.transactions = true;
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    world
        .sql
        .batch_execute("INSERT INTO shop.orders SELECT n, repeat('x', 200), n FROM generate_series(1, 25000) n")
        .await
        .unwrap();
    let stored = world.stream(25_003).await;
    let rows = rows_in_order(&stored);
    assert_eq!(rows.len(), 25_000);
    for (n, row) in (1_u64..).zip(&rows) {
        assert_eq!(
            (row.ordinal, &row.key.as_ref().unwrap()["id"]),
            (n, &json!(n))
        );
    }
    let commit = &stored.last().unwrap().change;
    assert_eq!(
        (commit.op, commit.changes),
        (Operation::Commit, Some(25_000))
    );
    assert_eq!(stored[0].change.op, Operation::Begin);
}

#[tokio::test]
async fn an_idle_source_does_not_keep_wal() {
    let world = World::streaming(SHOP).await;
    // Not tracked, but it moves the WAL.
    world
        .sql
        .batch_execute("CREATE TABLE elsewhere AS SELECT generate_series(1, 1000) n")
        .await
        .unwrap();
    world.everything_is_confirmed().await;
    let stored = rowcast_testkit::read_stream(&world.data, &world.task)
        .await
        .unwrap();
    assert!(
        stored
            .iter()
            .all(|message| message.change.op == Operation::Heartbeat)
    );
}
