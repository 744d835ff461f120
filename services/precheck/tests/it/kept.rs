//! What keeps a slot, and what it keeps.

use rowcast_proto::message::CheckOutcome;

use crate::service::{Service, item};

#[tokio::test]
async fn a_server_that_never_gives_a_connection_up_is_told_with_its_repair() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let usual = service.report(service.superuser(), &["orders"]).await;
    for code in [
        "sender_timeout",
        "slot_failover",
        "wal_held",
        "generated_columns",
    ] {
        assert_eq!(
            item(&usual, code).outcome(),
            CheckOutcome::Pass,
            "{usual:?}"
        );
    }
    service.sql("ALTER SYSTEM SET wal_sender_timeout = 0").await;
    service.sql("SELECT pg_reload_conf()").await;
    let report = service.report(service.superuser(), &["orders"]).await;
    let found = item(&report, "sender_timeout").clone();
    assert_eq!(found.outcome(), CheckOutcome::Alert, "{found:?}");
    for statement in found.repair.split_inclusive(';') {
        service.sql(statement).await;
    }
    let report = service.report(service.superuser(), &["orders"]).await;
    assert_eq!(
        item(&report, "sender_timeout").outcome(),
        CheckOutcome::Pass
    );
}

#[tokio::test]
async fn a_standby_is_told_of_where_the_slot_would_not_outlive_a_failover() {
    for version in [16, 18] {
        let service = Service::start_version(version).await;
        service
            .sql(
                "CREATE TABLE orders (id int PRIMARY KEY);
                 SELECT pg_create_physical_replication_slot('standby_1')",
            )
            .await;
        let report = service.report(service.superuser(), &["orders"]).await;
        let found = item(&report, "slot_failover");
        assert_eq!(found.outcome(), CheckOutcome::Alert, "{version}: {found:?}");
        assert!(found.saw.contains("standby_1"), "{found:?}");
        if version < 17 {
            continue;
        }
        let statement = found.repair.split(';').next().unwrap();
        service.sql(statement).await;
        service.sql("SELECT pg_reload_conf()").await;
        let report = service.report(service.superuser(), &["orders"]).await;
        assert_eq!(item(&report, "slot_failover").outcome(), CheckOutcome::Pass);
    }
}

#[tokio::test]
async fn columns_that_are_not_sent_are_named() {
    let service = Service::start_version(17).await;
    service
        .sql("CREATE TABLE lines (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)")
        .await;
    let report = service.report(service.superuser(), &["lines"]).await;
    let found = item(&report, "generated_columns");
    assert_eq!(found.outcome(), CheckOutcome::Alert, "{found:?}");
    assert_eq!(found.saw, "not sent: public.lines.twice");
}
