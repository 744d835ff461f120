//! Transactions that would hold up the start of a task, and a run of single checks.

use rowcast_proto::message::{CheckOutcome, PrecheckRequest};

use crate::service::{Service, codes, item, named, question};

#[tokio::test]
async fn a_prepared_transaction_is_named_with_what_ends_it() {
    let mut service = Service::start().await;
    service
        .sql("ALTER SYSTEM SET max_prepared_transactions = 2")
        .await;
    service.postgres.restart().await.unwrap();
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    service
        .sql("BEGIN; INSERT INTO orders VALUES (1); PREPARE TRANSACTION 'two phases'")
        .await;
    let report = service.report(service.superuser(), &["orders"]).await;
    let found = item(&report, "prepared_transactions");
    assert_eq!(found.outcome(), CheckOutcome::Alert, "{found:?}");
    assert!(found.saw.contains("two phases"), "{found:?}");
    // It does not hinder, and what it says helps.
    assert!(report.passed, "{report:?}");
    let (_, repair) = found.repair.split_once('\n').unwrap();
    service.sql(repair).await;
    let report = service.report(service.superuser(), &["orders"]).await;
    let found = item(&report, "prepared_transactions");
    assert_eq!(found.outcome(), CheckOutcome::Pass, "{found:?}");
}

#[tokio::test]
async fn what_the_account_may_not_see_is_told_and_clocks_of_one_machine_agree() {
    let service = Service::start().await;
    service
        .sql("CREATE ROLE plain LOGIN REPLICATION PASSWORD 'plain'")
        .await;
    let _other = service.postgres.client("postgres").await.unwrap();
    let report = service
        .report(service.login("plain", "plain"), &["orders"])
        .await;
    let found = item(&report, "long_transactions");
    assert_eq!(found.outcome(), CheckOutcome::Pass, "{found:?}");
    assert!(found.saw.contains("pg_read_all_stats"), "{found:?}");
    assert_eq!(item(&report, "clock").outcome(), CheckOutcome::Pass);
}

#[tokio::test]
async fn single_checks_are_run_beside_connectivity() {
    let service = Service::start().await;
    let request = PrecheckRequest {
        only: vec!["objects".to_owned(), "wal_level".to_owned()],
        ..question(service.superuser(), named(&["orders"]))
    };
    let report = service.ask(request.clone()).await.unwrap();
    let ran: Vec<_> = report.items.iter().map(|item| item.code.as_str()).collect();
    assert_eq!(ran, ["connectivity", "wal_level", "objects"]);
    assert_eq!(codes(&report, CheckOutcome::Fail), ["objects"]);
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let report = service.ask(request).await.unwrap();
    assert!(report.passed, "{report:?}");
}
