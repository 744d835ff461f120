//! Settings, privileges, slots and publications by SQL.

use std::time::Duration;

use rowcast_domain::{Secret, TableName};
use rowcast_pg::publication::{self, Selection};
use rowcast_pg::{ConnectOptions, connect, settings, slot};

use crate::server::Server;

#[tokio::test]
async fn settings_are_read_in_their_units() {
    let server = Server::start().await;
    let session = server.session().await;
    session
        .batch_execute("ALTER SYSTEM SET wal_sender_timeout = '90s'")
        .await
        .unwrap();
    session
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    crate::server::eventually("the setting is in force", async || {
        let settings = settings::read(&session).await.unwrap();
        settings.wal_sender_timeout == Some(Duration::from_secs(90))
    })
    .await;
    let settings = settings::read(&session).await.unwrap();
    assert_eq!(settings.wal_level, "logical");
    assert!(settings.server_version >= 90_400);
    assert!(settings.max_replication_slots > 0 && settings.max_wal_senders > 0);
    assert_eq!(settings.max_slot_wal_keep_bytes, None);
}

#[tokio::test]
async fn privileges_are_those_of_the_role() {
    let server = Server::start().await;
    let session = server.session().await;
    let superuser = settings::privileges(&session).await.unwrap();
    assert!(superuser.superuser && superuser.can_replicate());

    session
        .batch_execute(
            "CREATE ROLE plain LOGIN PASSWORD 'plain-1';
             CREATE ROLE rds_replication;
             CREATE ROLE managed LOGIN PASSWORD 'managed-1' IN ROLE rds_replication;
             CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'replicator-1'",
        )
        .await
        .unwrap();
    for (role, can_replicate) in [("plain", false), ("managed", true), ("replicator", true)] {
        let session = connect(&ConnectOptions {
            user: role.to_owned(),
            password: Secret::new(format!("{role}-1")),
            ..server.options()
        })
        .await
        .unwrap();
        let privileges = settings::privileges(&session).await.unwrap();
        assert_eq!(privileges.role, role);
        assert!(!privileges.superuser);
        assert_eq!(privileges.can_replicate(), can_replicate, "{role}");
    }
}

#[tokio::test]
async fn a_slot_is_found_counted_and_dropped_once() {
    let server = Server::start().await;
    let session = server.session().await;
    assert_eq!(slot::find(&session, "rc_a").await.unwrap(), None);
    assert_eq!(slot::occupancy(&session).await.unwrap().slots, 0);
    session
        .batch_execute("SELECT pg_create_logical_replication_slot('rc_a', 'test_decoding')")
        .await
        .unwrap();
    let state = slot::find(&session, "rc_a").await.unwrap().unwrap();
    assert!(!state.active && state.active_pid.is_none());
    assert!(state.restart_lsn <= state.confirmed_flush_lsn);
    let occupancy = slot::occupancy(&session).await.unwrap();
    assert_eq!((occupancy.slots, occupancy.walsenders), (1, 0));
    let version = settings::read(&session).await.unwrap().server_version;
    let end = slot::current_wal_lsn(&session, version).await.unwrap();
    assert!(Some(end) >= state.confirmed_flush_lsn);

    assert!(slot::drop(&session, "rc_a").await.unwrap());
    assert!(!slot::drop(&session, "rc_a").await.unwrap());
}

#[tokio::test]
async fn a_publication_is_what_was_asked_for() {
    let server = Server::start().await;
    let session = server.session().await;
    session
        .batch_execute(
            "CREATE SCHEMA \"S p\";
             CREATE TABLE public.a (id integer PRIMARY KEY);
             CREATE TABLE \"S p\".\"b\"\"c.d\" (id integer PRIMARY KEY)",
        )
        .await
        .unwrap();
    let version = settings::read(&session).await.unwrap().server_version;
    let odd = TableName::new("S p", "b\"c.d");
    let tables = Selection::Tables(vec![odd.clone()]);
    let schemas = Selection::Schemas(vec!["S p".to_owned(), "public".to_owned()]);
    for (name, selection, expected) in [
        ("rc_1", &tables, vec![odd.clone()]),
        (
            "rc_2",
            &schemas,
            vec![odd.clone(), TableName::new("public", "a")],
        ),
        (
            "rc \"3",
            &Selection::AllTables,
            vec![odd.clone(), TableName::new("public", "a")],
        ),
        ("rc_4", &Selection::Tables(Vec::new()), vec![]),
    ] {
        if version < 150_000 && matches!(selection, Selection::Schemas(_)) {
            continue;
        }
        assert_eq!(publication::find(&session, name).await.unwrap(), None);
        publication::create(&session, name, selection, &["insert", "truncate"], version)
            .await
            .unwrap();
        let state = publication::find(&session, name).await.unwrap().unwrap();
        assert_eq!(state.tables, expected, "{name}");
        let truncate = state
            .publish
            .iter()
            .any(|operation| operation == "truncate");
        assert_eq!(
            (state.publish.len(), truncate),
            if version < 110_000 {
                (1, false)
            } else {
                (2, true)
            }
        );
        assert_eq!(state.publish[0], "insert");
        assert_eq!(state.all_tables, *selection == Selection::AllTables);
        assert!(state.ours);
        assert_eq!(state.via_partition_root, version >= 130_000);
        publication::drop(&session, name).await.unwrap();
        assert_eq!(publication::find(&session, name).await.unwrap(), None);
        publication::drop(&session, name).await.unwrap();
    }
    session
        .batch_execute("CREATE PUBLICATION rc_5")
        .await
        .unwrap();
    let foreign = publication::find(&session, "rc_5").await.unwrap().unwrap();
    assert!(!foreign.ours);
}
