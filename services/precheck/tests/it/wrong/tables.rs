//! Tables that cannot be tracked, or not wholly.

use rowcast_proto::message::CheckOutcome::{Alert, Fail};

use super::World;
use crate::service::named;

/// Wants these tables of `public`.
fn select(world: &mut World, tables: &[&str]) {
    world.request.objects = Some(named(tables));
}

#[tokio::test]
async fn tables_that_write_no_wal() {
    let mut world = World::start(None).await;
    world
        .sql("CREATE UNLOGGED TABLE \"Cache of \"\"x\"\"\" (id int PRIMARY KEY); ALTER TABLE \"Cache of \"\"x\"\"\" OWNER TO tracker")
        .await;
    select(&mut world, &["orders", "Cache of \"x\""]);
    let item = world.gives("objects", Fail).await;
    world.repair_by(&item, 1).await;
    world.is_right().await;

    world
        .sql("CREATE UNLOGGED TABLE sessions (id int PRIMARY KEY); ALTER TABLE sessions OWNER TO tracker")
        .await;
    let mut whole = named(&[]);
    whole.schemas[0].all = true;
    world.request.objects = Some(whole);
    let following = [("privileges", Alert)];
    let item = world.gives_with("objects", Alert, &following).await;
    world.repair(&item).await;
    // Whoever is no superuser is told of tables of tomorrow still.
    world.gives("privileges", Alert).await;
}

#[tokio::test]
async fn rows_that_nothing_identifies() {
    let mut world = World::start(None).await;
    let wrong = [
        ("CREATE TABLE t (a int)", "FULL"),
        (
            "CREATE TABLE t (a int NOT NULL, b int NOT NULL, c int); CREATE UNIQUE INDEX \"By a\" ON t (a, b)",
            "USING INDEX \"By a\"",
        ),
        (
            "CREATE TABLE t (a int); CREATE UNIQUE INDEX ON t (a)",
            "FULL",
        ),
        (
            "CREATE TABLE t (a int NOT NULL); CREATE UNIQUE INDEX ON t (a) WHERE a > 1",
            "FULL",
        ),
        (
            "CREATE TABLE t (a int PRIMARY KEY); ALTER TABLE t REPLICA IDENTITY NOTHING",
            "DEFAULT",
        ),
        ("CREATE TABLE t (a int, PRIMARY KEY (a) DEFERRABLE)", "FULL"),
        (
            "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE part PARTITION OF t DEFAULT",
            "FULL",
        ),
    ];
    for (table, identity) in wrong {
        let owned = "ALTER TABLE t OWNER TO tracker;
                     DO $$ BEGIN ALTER TABLE IF EXISTS part OWNER TO tracker; END $$";
        world.sql(&format!("{table}; {owned}")).await;
        select(&mut world, &["orders", "t"]);
        let item = world.gives("keys", Fail).await;
        let end = format!("REPLICA IDENTITY {identity};");
        assert!(item.repair.ends_with(&end), "{item:?}");
        world.repair(&item).await;
        world.is_right().await;
        world.sql("DROP TABLE t").await;
    }
}

#[tokio::test]
async fn generated_columns_that_are_not_sent() {
    let wrong = [
        (17, "STORED", "DROP EXPRESSION;"),
        (18, "VIRTUAL", "STORED;"),
    ];
    for (major, kind, end) in wrong {
        let mut world = World::start(Some(major)).await;
        world
            .sql(&format!(
                "CREATE TABLE lines (id int PRIMARY KEY, \"Twice\" numeric(10, 2) GENERATED ALWAYS AS (id * 2) {kind});
                 ALTER TABLE lines OWNER TO tracker;
                 INSERT INTO lines (id) VALUES (1)"
            ))
            .await;
        select(&mut world, &["lines"]);
        let item = world.gives("generated_columns", Alert).await;
        assert_eq!(item.saw, "not sent: public.lines.Twice");
        assert!(item.repair.ends_with(end), "{item:?}");
        world.repair_by(&item, 1).await;
        world.is_right().await;
        let client = world.service.postgres.client("postgres").await.unwrap();
        let row = client
            .query_one("SELECT \"Twice\"::text FROM lines", &[])
            .await
            .unwrap();
        assert_eq!(row.get::<_, String>(0), "2.00");
    }
}

#[tokio::test]
async fn a_table_that_is_missing() {
    let mut world = World::start(None).await;
    select(&mut world, &["orders", "Orders"]);
    let item = world.gives("objects", Fail).await;
    assert_eq!(item.saw, "missing: public.Orders");
    select(&mut world, &["orders"]);
    world.is_right().await;
}
