//! What differs between the versions of a server.

use std::time::Duration;

use rowcast_domain::{Secret, TableName};
use rowcast_pg::publication::Selection;
use rowcast_pg::replication::Encoding;
use rowcast_pg::{ConnectOptions, Networks, ReplicationConnection, SslMode, catalog, slot};

use crate::source::{MAJORS, Source};

fn options(source: &Source) -> ConnectOptions {
    ConnectOptions {
        host: "127.0.0.1".to_owned(),
        port: source.postgres.port(),
        database: "postgres".to_owned(),
        user: "postgres".to_owned(),
        password: Secret::new(source.postgres.password()),
        ssl_mode: SslMode::Disable,
        ssl_root_cert: None,
        client_certificate: None,
        networks: Networks::default(),
        application_name: "rowcast-test".to_owned(),
        connect_timeout: Duration::from_secs(10),
    }
}

#[tokio::test]
async fn a_slot_survives_a_failover_where_the_server_can_and_we_ask() {
    for major in MAJORS {
        let source = Source::start(major).await;
        let mut connection = ReplicationConnection::connect(&options(&source), Encoding::Utf8)
            .await
            .unwrap();
        for (name, failover) in [("rowcast_yes", true), ("rowcast_no", false)] {
            let point = connection
                .create_logical_slot(name, "pgoutput", failover)
                .await
                .unwrap();
            let found = slot::find(&source.client, name).await.unwrap().unwrap();
            assert_eq!(found.failover, failover && major >= 17, "{major}: {name}");
            assert!(!found.synced && !found.temporary);
            assert_eq!(found.confirmed_flush_lsn, Some(point));
        }
        source
            .run("SELECT pg_create_logical_replication_slot('passing', 'test_decoding', true)")
            .await;
        let found = slot::find(&source.client, "passing").await.unwrap();
        assert!(found.unwrap().temporary);
    }
}

#[tokio::test]
async fn a_partition_knows_the_topmost_table_above_it() {
    for major in MAJORS {
        let source = Source::start(major).await;
        source
            .run(
                "CREATE SCHEMA app; CREATE SCHEMA parts;
                 CREATE TABLE app.root (id integer) PARTITION BY RANGE (id);
                 CREATE TABLE parts.middle PARTITION OF app.root FOR VALUES FROM (0) TO (9)
                     PARTITION BY RANGE (id);
                 CREATE TABLE parts.leaf PARTITION OF parts.middle FOR VALUES FROM (0) TO (5);
                 CREATE TABLE app.parent (id integer);
                 CREATE TABLE app.child () INHERITS (app.parent)",
            )
            .await;
        let client = &source.client;
        let tables = catalog::tables(client, &Selection::AllTables)
            .await
            .unwrap();
        let root = TableName::new("app", "root");
        for table in &tables {
            let expected = (table.name.schema == "parts").then(|| root.clone());
            assert_eq!(table.is_partition, expected.is_some(), "{}", table.name);
            assert_eq!(table.partition_root, expected, "{}", table.name);
            let above = catalog::partition_root_of(client, table.oid).await.unwrap();
            assert_eq!(above.map(|table| table.name), expected);
        }
        assert_eq!(tables.len(), 5);
        assert_eq!(catalog::partition_root_of(client, 1).await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_horizon_waits_for_the_oldest_transaction() {
    for major in MAJORS {
        let source = Source::start(major).await;
        let client = &source.client;
        let before = catalog::current_transaction(client).await.unwrap();
        assert!(catalog::transaction_horizon(client).await.unwrap() > before);
        let other = source.postgres.client("postgres").await.unwrap();
        other.batch_execute("BEGIN").await.unwrap();
        let running = catalog::current_transaction(&other).await.unwrap();
        let later = catalog::current_transaction(client).await.unwrap();
        assert!(before < running && running < later, "{major}");
        let horizon = catalog::transaction_horizon(client).await.unwrap();
        assert_eq!(horizon, running, "{major}");
        other.batch_execute("COMMIT").await.unwrap();
        assert!(catalog::transaction_horizon(client).await.unwrap() > later);
    }
}
