//! What others do on the server.

use rowcast_proto::message::CheckOutcome::{Alert, Fail};

use super::World;
use crate::service::TASK;

#[tokio::test]
async fn transactions_that_are_open_for_long() {
    let mut world = World::start(Some(18)).await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let session = world.service.postgres.client("postgres").await.unwrap();
        session
            .batch_execute("BEGIN; SELECT pg_catalog.txid_current()")
            .await
            .unwrap();
        sessions.push(session);
    }
    // Eleven minutes go by at once.
    world
        .sql(
            "SET allow_system_table_mods = on;
             ALTER FUNCTION pg_catalog.now() RENAME TO before;
             CREATE FUNCTION pg_catalog.now() RETURNS timestamptz LANGUAGE sql STABLE
                 AS $$ SELECT pg_catalog.before() + pg_catalog.make_interval(mins => 11) $$",
        )
        .await;
    let item = world.gives("long_transactions", Alert).await;
    assert_eq!(
        item.saw.matches("of postgres for 11 min").count(),
        2,
        "{item:?}"
    );
    world.repair(&item).await;
    world.is_right().await;
    assert!(sessions[0].simple_query("SELECT 1").await.is_err());
}

#[tokio::test]
async fn prepared_transactions_that_nobody_ends() {
    let mut world = World::start(None).await;
    for gid in ["first", "it''s the second"] {
        world
            .sql(&format!(
                "BEGIN; SELECT pg_catalog.txid_current(); PREPARE TRANSACTION '{gid}'"
            ))
            .await;
    }
    let item = world.gives("prepared_transactions", Alert).await;
    world.repair(&item).await;
    world.is_right().await;
}

#[tokio::test]
async fn an_abandoned_slot_that_fills_the_disk() {
    let mut world = World::start(None).await;
    world
        .each(&[
            // A segment that was emptied must not be used again.
            "ALTER SYSTEM SET wal_recycle = off",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '8GB'",
            "SELECT pg_reload_conf()",
            "SELECT pg_create_logical_replication_slot('abandoned', 'pgoutput')",
        ])
        .await;
    for _segment in 0..66 {
        world
            .each(&[
                "SELECT pg_logical_emit_message(false, 'x', 'x')",
                "SELECT pg_switch_wal()",
            ])
            .await;
        empty_old_segments(&world).await;
    }
    let item = world.gives("wal_held", Alert).await;
    assert_eq!(item.saw, "abandoned holds 1 GiB");
    world.repair(&item).await;
    world.is_right().await;
}

/// Nobody reads what is held for the slot, and a test's disk need not have a gigabyte for it.
async fn empty_old_segments(world: &World) {
    let client = world.service.postgres.client("postgres").await.unwrap();
    let query = "SELECT pg_walfile_name(pg_current_wal_lsn())";
    let current: String = client.query_one(query, &[]).await.unwrap().get(0);
    let folder = world.service.postgres.data_folder().join("pg_wal");
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name.len() == current.len() && name < current {
            let segment = std::fs::File::options().write(true).open(file.path());
            segment.unwrap().set_len(0).unwrap();
        }
    }
}

#[tokio::test]
async fn a_slot_of_the_tasks_name_that_is_anothers() {
    let mut world = World::start(None).await;
    world
        .sql(&format!(
            "SELECT pg_create_physical_replication_slot('rowcast_{TASK}')"
        ))
        .await;
    let following = [("slot_failover", Alert)];
    let item = world.gives_with("existing_slot", Fail, &following).await;
    world.repair(&item).await;
    world.is_right().await;
}

#[tokio::test]
async fn a_slot_that_a_failover_would_lose() {
    let mut world = World::start(Some(18)).await;
    world
        .sql("SELECT pg_create_physical_replication_slot('standby_1'), pg_create_physical_replication_slot('standby_2')")
        .await;
    let item = world.gives("slot_failover", Alert).await;
    world.repair(&item).await;
    world.is_right().await;
}

#[tokio::test]
async fn a_clock_that_is_wrong() {
    let world = World::start(None).await;
    for (shift, saw) in [("3 s", "ahead"), ("-3 s", "behind")] {
        world
            .sql(&format!(
                "SET allow_system_table_mods = on;
                 ALTER FUNCTION pg_catalog.clock_timestamp() RENAME TO true_clock_timestamp;
                 CREATE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
                     AS $$ SELECT pg_catalog.true_clock_timestamp() + interval '{shift}' $$"
            ))
            .await;
        let item = world.gives("clock", Alert).await;
        assert!(item.saw.ends_with(saw), "{item:?}");
        assert!(item.repair.contains("timedatectl set-ntp true"), "{item:?}");
        // The clock is set right.
        world
            .sql(
                "SET allow_system_table_mods = on;
                 DROP FUNCTION pg_catalog.clock_timestamp();
                 ALTER FUNCTION pg_catalog.true_clock_timestamp() RENAME TO clock_timestamp",
            )
            .await;
        world.is_right().await;
    }
}
