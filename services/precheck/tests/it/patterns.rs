//! Tables by pattern.

use rowcast_proto::message::{CheckOutcome, ObjectSelection};

use crate::service::{Service, by_pattern, codes, item, question};

#[tokio::test]
async fn a_pattern_selects_what_it_matches_and_one_that_matches_nothing_is_told() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE TABLE log_a (id int PRIMARY KEY);
             CREATE TABLE log_b (id int);
             CREATE TABLE orders (id int)",
        )
        .await;
    let request = question(service.superuser(), by_pattern(&["log_*", "audit_?"]));
    let report = service.ask(request).await.unwrap();
    let objects = item(&report, "objects");
    assert_eq!(objects.outcome(), CheckOutcome::Alert);
    assert_eq!(objects.saw, "tables: 2; without a table: public.audit_?");
    // Only what is selected must have a key.
    assert_eq!(item(&report, "keys").saw, "without: public.log_b");

    let request = question(service.superuser(), by_pattern(&["audit_?"]));
    let report = service.ask(request).await.unwrap();
    assert!(report.passed, "{report:?}");
}

#[tokio::test]
async fn a_pattern_of_schemas_reaches_no_schema_of_rowcast_or_postgresql() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE SCHEMA tenant_1;
             CREATE SCHEMA rowcast;
             CREATE TABLE tenant_1.orders (id int PRIMARY KEY);
             CREATE TABLE rowcast.log (id int)",
        )
        .await;
    let everywhere = ObjectSelection {
        schema_patterns: vec!["*".to_owned()],
        ..ObjectSelection::default()
    };
    let report = service
        .ask(question(service.superuser(), everywhere))
        .await
        .unwrap();
    assert!(report.passed, "{report:?}");
    assert_eq!(item(&report, "objects").saw, "tables: 1");

    let mut named = by_pattern(&["*"]);
    named.schemas[0].name = "rowcast".to_owned();
    let report = service
        .ask(question(service.superuser(), named))
        .await
        .unwrap();
    assert_eq!(codes(&report, CheckOutcome::Fail), ["objects"]);
    assert_eq!(item(&report, "objects").saw, "reserved: rowcast");
}

#[tokio::test]
async fn a_partition_counts_by_itself_only_where_its_root_is_not_selected() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE TABLE orders (id int PRIMARY KEY) PARTITION BY LIST (id);
             CREATE TABLE orders_new PARTITION OF orders FOR VALUES IN (1)
                 PARTITION BY LIST (id);
             CREATE TABLE orders_new_1 PARTITION OF orders_new FOR VALUES IN (1);
             CREATE TABLE orders_rest PARTITION OF orders DEFAULT",
        )
        .await;
    for (pattern, tables) in [("orders*", 1), ("orders_*", 2), ("orders_new_*", 1)] {
        let request = question(service.superuser(), by_pattern(&[pattern]));
        let report = service.ask(request).await.unwrap();
        let saw = &item(&report, "objects").saw;
        assert_eq!(saw, &format!("tables: {tables}"), "{pattern}");
    }
}
