//! Columns that the server computes.

use rowcast_testkit::eventually;
use serde_json::json;

use crate::told::briefly;
use crate::world::{PATIENCE, World};

async fn of_a_generated_column(version: u32, column: &str, identity: &str) -> serde_json::Value {
    let world = World::streaming_shop(
        version,
        &format!(
            "CREATE TABLE shop.t (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) {column}, last int);
             ALTER TABLE shop.t REPLICA IDENTITY {identity};"
        ),
    )
    .await;
    world
        .execute("INSERT INTO shop.t (id, n, last) VALUES (1, 2, 9); UPDATE shop.t SET n = 3; DELETE FROM shop.t")
        .await;
    briefly(&world.rows().await)
}

#[tokio::test]
async fn postgresql_leaves_stored_generated_columns_out_before_18() {
    for version in [12, 17] {
        assert_eq!(
            of_a_generated_column(version, "STORED", "FULL").await,
            json!([
                ["insert", "t", {"id": 1, "n": 2, "last": 9}],
                ["update", "t", {"id": 1, "n": 3, "last": 9}],
                ["delete", "t", {"id": 1, "n": 3, "last": 9}],
            ]),
            "on {version}"
        );
    }
}

#[tokio::test]
async fn stored_generated_columns_are_told_on_18() {
    assert_eq!(
        of_a_generated_column(18, "STORED", "FULL").await,
        json!([
            ["insert", "t", {"id": 1, "n": 2, "twice": 4, "last": 9}],
            ["update", "t", {"id": 1, "n": 3, "twice": 6, "last": 9}],
            ["delete", "t", {"id": 1, "n": 3, "twice": 6, "last": 9}],
        ])
    );
}

#[tokio::test]
async fn postgresql_leaves_virtual_generated_columns_out() {
    assert_eq!(
        of_a_generated_column(18, "VIRTUAL", "DEFAULT").await,
        json!([
            ["insert", "t", {"id": 1, "n": 2, "last": 9}],
            ["update", "t", {"id": 1, "n": 3, "last": 9}],
            ["delete", "t", {"id": 1}],
        ])
    );
}

/// PostgreSQL would refuse the application's own UPDATE if the table were published.
#[tokio::test]
async fn a_whole_row_with_a_virtual_column_is_no_identity() {
    let mut world = World::shop(
        18,
        "CREATE TABLE shop.t (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) VIRTUAL);
         ALTER TABLE shop.t REPLICA IDENTITY FULL;
         CREATE TABLE shop.whole (id int PRIMARY KEY);
         INSERT INTO shop.whole VALUES (1);
         ALTER TABLE shop.whole REPLICA IDENTITY FULL, ADD COLUMN later int[] DEFAULT '{7}';",
    )
    .await;
    world.without_superuser().await;
    world.run().await;
    world
        .execute(
            "INSERT INTO shop.t VALUES (1, 1); UPDATE shop.t SET n = 2; DELETE FROM shop.t;
             DELETE FROM shop.whole",
        )
        .await;
    assert_eq!(
        briefly(&world.rows().await),
        json!([["delete", "whole", {"id": 1, "later": [7]}]])
    );
    eventually("the task names it", PATIENCE, async || {
        let warnings = world.status().await.unwrap().warnings;
        warnings.iter().any(|warning| warning.contains("shop.t "))
    })
    .await;
}
