//! The selected tables, and the slot.

use rowcast_proto::message::{ChangeTypes, CheckOutcome, PrecheckRequest};

use crate::service::{Service, TASK, codes, item, named, question};

#[tokio::test]
async fn tables_that_do_not_exist_or_cannot_be_tracked_are_named() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE TABLE orders (id int PRIMARY KEY);
             CREATE UNLOGGED TABLE cache (id int PRIMARY KEY);
             CREATE VIEW totals AS SELECT count(*) FROM orders",
        )
        .await;
    let report = service
        .report(service.superuser(), &["orders", "Orders"])
        .await;
    assert_eq!(item(&report, "objects").saw, "missing: public.Orders");
    let selected = ["orders", "cache", "totals"];
    let report = service.report(service.superuser(), &selected).await;
    assert_eq!(
        item(&report, "objects").saw,
        "unsupported: public.cache (unlogged), public.totals (view)"
    );
}

#[tokio::test]
async fn tables_that_postgresql_would_refuse_to_update_are_found_and_repaired() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE TABLE keyed (id int PRIMARY KEY);
             CREATE TABLE keyless (id int);
             CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE);
             CREATE TABLE full_row (id int);
             ALTER TABLE full_row REPLICA IDENTITY FULL;
             CREATE TABLE root (id int) PARTITION BY LIST (id);
             ALTER TABLE root REPLICA IDENTITY FULL;
             CREATE TABLE leaf PARTITION OF root DEFAULT",
        )
        .await;
    let selected = ["keyed", "keyless", "deferred", "full_row", "root"];
    let report = service.report(service.superuser(), &selected).await;
    assert_eq!(codes(&report, CheckOutcome::Fail), ["keys"]);
    let found = item(&report, "keys");
    assert_eq!(
        found.saw,
        "without: public.deferred, public.keyless, public.leaf"
    );

    // PostgreSQL agrees with the verdict, table by table.
    service
        .sql("CREATE PUBLICATION p FOR TABLE keyed, keyless, deferred, full_row, root")
        .await;
    let client = service.postgres.client("postgres").await.unwrap();
    for table in ["keyed", "keyless", "deferred", "full_row", "leaf"] {
        let deleted = client.execute(&format!("DELETE FROM {table}"), &[]).await;
        assert_eq!(
            deleted.is_err(),
            found.saw.contains(&format!("public.{table}")),
            "{table}"
        );
    }

    // The first line is prose.
    let (_, statements) = found.repair.split_once('\n').unwrap();
    service.sql(statements).await;
    assert!(service.report(service.superuser(), &selected).await.passed);
}

#[tokio::test]
async fn keys_do_not_matter_to_inserts() {
    let service = Service::start().await;
    service.sql("CREATE TABLE keyless (id int)").await;
    let request = PrecheckRequest {
        change_types: Some(ChangeTypes {
            data: vec!["insert".to_owned()],
            schema: false,
        }),
        ..question(service.superuser(), named(&["keyless"]))
    };
    assert!(service.ask(request).await.unwrap().passed);
}

#[tokio::test]
async fn a_slot_of_another_plugin_under_the_tasks_name_must_go() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    service
        .sql(&format!(
            "SELECT pg_create_physical_replication_slot('rowcast_{TASK}')"
        ))
        .await;
    let report = service.report(service.superuser(), &["orders"]).await;
    assert_eq!(codes(&report, CheckOutcome::Fail), ["existing_slot"]);
    service.sql(&item(&report, "existing_slot").repair).await;
    assert!(
        service
            .report(service.superuser(), &["orders"])
            .await
            .passed
    );
}
