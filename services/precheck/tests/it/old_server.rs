//! The oldest PostgreSQL that there is to test with.

use rowcast_proto::message::{ChangeTypes, CheckOutcome, PrecheckRequest};

use crate::service::{Service, TASK, codes, item, named, question};

#[tokio::test]
async fn a_partitioned_table_of_version_10_passes_and_is_published_by_its_partitions() {
    let service = Service::start_version(10).await;
    service
        .sql(
            "CREATE ROLE shop;
             CREATE ROLE plain LOGIN REPLICATION PASSWORD 'plain';
             CREATE TABLE orders (id int) PARTITION BY RANGE (id);
             CREATE TABLE orders_1 PARTITION OF orders (PRIMARY KEY (id))
                 FOR VALUES FROM (1) TO (10);
             CREATE TABLE orders_2 PARTITION OF orders (PRIMARY KEY (id))
                 FOR VALUES FROM (10) TO (20)",
        )
        .await;
    let report = service.report(service.superuser(), &["orders"]).await;
    assert!(report.passed, "{report:?}");
    let alerts = codes(&report, CheckOutcome::Alert);
    assert_eq!(alerts, ["server_version", "wal_keep"], "{report:?}");
    let version = item(&report, "server_version");
    assert!(
        version.cause.starts_with("TRUNCATE is not seen"),
        "{version:?}"
    );

    // The statement for a role without rights is one that this version takes.
    let plain = service.login("plain", "plain");
    let report = service.report(plain.clone(), &["orders"]).await;
    assert_eq!(codes(&report, CheckOutcome::Fail), ["privileges"]);
    let repair = &item(&report, "privileges").repair;
    let (_, statement) = repair.split_once("As a superuser:\n").unwrap();
    assert!(
        statement.contains("\"orders_1\", \"public\".\"orders_2\""),
        "{statement}"
    );
    service.sql(statement).await;
    assert!(service.report(plain, &["orders"]).await.passed);
}

#[tokio::test]
async fn version_10_is_asked_for_schema_changes_and_slots_in_words_that_it_knows() {
    let service = Service::start_version(10).await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    // By itself: a slot is not made in a transaction that writes.
    service
        .sql(&format!(
            "SELECT pg_create_logical_replication_slot('rowcast_{TASK}', 'test_decoding')"
        ))
        .await;
    let request = PrecheckRequest {
        change_types: Some(ChangeTypes {
            data: Vec::new(),
            schema: true,
        }),
        ..question(service.superuser(), named(&["orders"]))
    };
    let report = service.ask(request).await.unwrap();
    let changes = item(&report, "schema_changes");
    assert_eq!(changes.outcome(), CheckOutcome::Pass, "{changes:?}");
    // Of a server before 10 it would be the task's.
    assert_eq!(codes(&report, CheckOutcome::Fail), ["existing_slot"]);
}
