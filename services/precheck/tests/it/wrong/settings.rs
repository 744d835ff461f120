//! Settings of the server.

use rowcast_domain::Secret;
use rowcast_pg::replication::Encoding;
use rowcast_pg::{ConnectOptions, Networks, ReplicationConnection, SslMode};
use rowcast_proto::message::CheckOutcome::{Alert, Fail, Skipped};

use super::{PASSWORD, SOON, World};

/// A setting that a running server takes, and the check that tells it.
const WITHOUT_RESTART: [(&str, &str, &str); 4] = [
    ("wal_sender_timeout", "0", "sender_timeout"),
    ("wal_sender_timeout", "'2s'", "sender_timeout"),
    ("max_slot_wal_keep_size", "-1", "wal_keep"),
    ("idle_replication_slot_timeout", "'1min'", "wal_keep"),
];

#[tokio::test]
async fn what_a_running_server_takes() {
    let mut world = World::start(Some(18)).await;
    for (setting, value, code) in WITHOUT_RESTART {
        let wrong = format!("ALTER SYSTEM SET {setting} = {value}");
        world.each(&[&wrong, "SELECT pg_reload_conf()"]).await;
        let item = world.gives(code, Alert).await;
        assert!(item.saw.contains(setting), "{item:?}");
        world.repair(&item).await;
        world.is_right().await;
    }
}

#[tokio::test]
async fn wal_without_what_decoding_needs() {
    let mut world = World::start(Some(18)).await;
    world.sql("ALTER SYSTEM SET wal_level = replica").await;
    world.restart().await;
    let item = world.gives("wal_level", Fail).await;
    assert_eq!(item.saw, "wal_level = replica");
    world.repair(&item).await;
    world.is_right().await;

    // Such a server can have no replication connections at all, so the one follows from the other.
    world
        .each(&[
            "ALTER SYSTEM SET wal_level = minimal",
            "ALTER SYSTEM SET max_wal_senders = 0",
        ])
        .await;
    world.restart().await;
    let following = [("wal_senders", Fail), ("replication_login", Skipped)];
    let item = world.gives_with("wal_level", Fail, &following).await;
    assert_eq!(item.saw, "wal_level = minimal");
    world.repair(&item).await;
    let following = [("replication_login", Skipped)];
    let item = world.gives_with("wal_senders", Fail, &following).await;
    world.repair(&item).await;
    world.is_right().await;
}

#[tokio::test]
async fn no_slot_is_left() {
    let mut world = World::start(Some(18)).await;
    let full = "ALTER SYSTEM SET max_replication_slots = 1";
    for choice in [0, 1] {
        world.sql(full).await;
        world.restart().await;
        world
            .sql("SELECT pg_create_logical_replication_slot('others', 'pgoutput')")
            .await;
        let item = world.gives("replication_slots", Fail).await;
        assert!(item.saw.contains("1 of 1"), "{item:?}");
        world.repair_by(&item, choice).await;
        world.is_right().await;
        if choice == 0 {
            world.sql("SELECT pg_drop_replication_slot('others')").await;
        }
    }
}

#[tokio::test]
async fn no_replication_connection_is_left() {
    let mut world = World::start(Some(18)).await;
    world.sql("ALTER SYSTEM SET max_wal_senders = 1").await;
    world.restart().await;
    let options = ConnectOptions {
        host: "127.0.0.1".to_owned(),
        port: world.service.postgres.port(),
        database: "postgres".to_owned(),
        user: "tracker".to_owned(),
        password: Secret::new(PASSWORD),
        ssl_mode: SslMode::Disable,
        ssl_root_cert: None,
        client_certificate: None,
        networks: Networks::default(),
        application_name: "somebody".to_owned(),
        connect_timeout: SOON,
    };
    let connect = async || ReplicationConnection::connect(&options, Encoding::Utf8).await;
    let other = connect().await.unwrap();
    let following = [("replication_login", Skipped)];
    let item = world.gives_with("wal_senders", Fail, &following).await;
    drop(other);
    world.repair(&item).await;
    let _as_before = connect().await.unwrap();
    world.is_right().await;
}

#[tokio::test]
async fn event_triggers_that_do_not_fire() {
    let mut world = World::start(Some(18)).await;
    world.request.change_types.as_mut().unwrap().schema = true;
    let item = world.gives("schema_changes", Fail).await;
    let (_, install) = item.repair.split_once('\n').unwrap();
    world.sql(install).await;
    world.is_right().await;

    world
        .each(&[
            "ALTER SYSTEM SET event_triggers = off",
            "SELECT pg_reload_conf()",
        ])
        .await;
    let item = world.gives("schema_changes", Fail).await;
    world.repair(&item).await;
    world.is_right().await;

    world
        .sql(
            "DO $$ DECLARE name text; BEGIN
                 FOR name IN SELECT evtname FROM pg_event_trigger LOOP
                     EXECUTE format('ALTER EVENT TRIGGER %I DISABLE', name);
                 END LOOP;
             END $$",
        )
        .await;
    let item = world.gives("schema_changes", Fail).await;
    world.repair(&item).await;
    world.is_right().await;
}
