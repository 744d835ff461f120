//! TRUNCATE: of tables, of those that refer to them, of partitions.

use rowcast_proto::change::{Change, Operation};
use serde_json::json;

use crate::told::briefly;
use crate::world::World;

const TABLES: &str = "CREATE TABLE shop.a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int);
    CREATE TABLE shop.b (id int PRIMARY KEY, a int REFERENCES shop.a);
    CREATE TABLE shop.c (id int PRIMARY KEY);
    CREATE SCHEMA other; CREATE TABLE other.d (id int PRIMARY KEY, a int REFERENCES shop.a);
    CREATE TABLE shop.log (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE shop.log_1 PARTITION OF shop.log FOR VALUES FROM (0) TO (10);
    CREATE TABLE shop.log_2 PARTITION OF shop.log FOR VALUES FROM (10) TO (20);";

/// Tables of truncates, sorted, and their flags, which are the same in each.
fn emptied(changes: &[Change]) -> (Vec<&str>, bool, bool) {
    let first = &changes[0];
    for (change, ordinal) in changes.iter().zip(first.ordinal..) {
        assert_eq!(change.op, Operation::Truncate);
        assert_eq!(change.lsn, first.lsn);
        assert!(change.ordinal >= ordinal);
        assert_eq!(
            (change.cascade, change.restart_identity),
            (first.cascade, first.restart_identity)
        );
    }
    let mut tables: Vec<&str> = changes
        .iter()
        .map(|c| c.table.as_deref().unwrap())
        .collect();
    tables.sort_unstable();
    (
        tables,
        first.cascade.unwrap(),
        first.restart_identity.unwrap(),
    )
}

async fn a_truncate_tells_each_of_its_tables(version: u32) {
    let world = World::streaming_shop(version, TABLES).await;
    world.execute("TRUNCATE shop.c").await;
    world
        .execute("TRUNCATE shop.a, shop.c RESTART IDENTITY CASCADE")
        .await;
    world
        .execute("BEGIN; INSERT INTO shop.c VALUES (1); TRUNCATE shop.c; INSERT INTO shop.c VALUES (1); COMMIT")
        .await;
    world.execute("BEGIN; TRUNCATE shop.c; ROLLBACK").await;
    let told = world.rows().await;
    assert_eq!(emptied(&told[..1]), (vec!["c"], false, false));
    // With them the table of the other schema was emptied, which is not tracked.
    assert_eq!(emptied(&told[1..4]), (vec!["a", "b", "c"], true, true));
    let ops: Vec<Operation> = told[4..].iter().map(|change| change.op).collect();
    use Operation::{Insert, Truncate};
    assert_eq!(ops, [Insert, Truncate, Insert]);
}

#[tokio::test]
async fn a_truncate_tells_each_of_its_tables_on_12() {
    a_truncate_tells_each_of_its_tables(12).await;
}

#[tokio::test]
async fn a_truncate_tells_each_of_its_tables_on_15() {
    a_truncate_tells_each_of_its_tables(15).await;
}

#[tokio::test]
async fn a_truncate_tells_each_of_its_tables_on_18() {
    a_truncate_tells_each_of_its_tables(18).await;
}

async fn told_of_truncates_of_partitions(version: u32) -> Vec<Change> {
    let world = World::streaming_shop(version, TABLES).await;
    world
        .execute("INSERT INTO shop.log VALUES (1, 1), (2, 11)")
        .await;
    world.execute("TRUNCATE shop.log_1").await;
    world.execute("INSERT INTO shop.log VALUES (3, 3)").await;
    world.execute("TRUNCATE shop.log").await;
    world.rows().await
}

#[tokio::test]
async fn postgresql_tells_a_truncate_of_the_root_but_not_of_a_partition() {
    for version in [15, 18] {
        let told = told_of_truncates_of_partitions(version).await;
        assert_eq!(
            briefly(&told),
            json!([
                ["insert", "log", {"id": 1, "day": 1}],
                ["insert", "log", {"id": 2, "day": 11}],
                ["insert", "log", {"id": 3, "day": 3}],
                ["truncate", "log", null],
            ]),
            "on {version}"
        );
    }
}

/// A truncate of the root's name would say that the other partitions are empty too.
#[tokio::test]
async fn a_truncate_of_a_partition_is_told_under_its_own_name_before_13() {
    let told = told_of_truncates_of_partitions(12).await;
    assert_eq!(
        briefly(&told[..4]),
        json!([
            ["insert", "log", {"id": 1, "day": 1}],
            ["insert", "log", {"id": 2, "day": 11}],
            ["truncate", "log_1", null],
            ["insert", "log", {"id": 3, "day": 3}],
        ])
    );
    assert_eq!(emptied(&told[4..]), (vec!["log_1", "log_2"], false, false));
}

#[tokio::test]
async fn postgresql_10_tells_no_truncate() {
    let world = World::streaming_shop(10, "CREATE TABLE shop.c (id int PRIMARY KEY);").await;
    world
        .execute("INSERT INTO shop.c VALUES (1); TRUNCATE shop.c; INSERT INTO shop.c VALUES (1)")
        .await;
    let ops: Vec<Operation> = world.rows().await.iter().map(|change| change.op).collect();
    assert_eq!(ops, [Operation::Insert; 2]);
}
