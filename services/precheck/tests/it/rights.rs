//! What the account may do.

use rowcast_proto::message::{CheckOutcome, ObjectSelection};

use crate::service::{Service, TASK, codes, item, question};

#[tokio::test]
async fn the_repairs_of_a_plain_role_make_it_pass() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE ROLE shop;
             CREATE ROLE plain LOGIN PASSWORD 'plain';
             CREATE TABLE orders (id int PRIMARY KEY);
             ALTER TABLE orders OWNER TO shop",
        )
        .await;
    let report = service
        .report(service.login("plain", "plain"), &["orders"])
        .await;
    assert_eq!(codes(&report, CheckOutcome::Fail), ["privileges"]);
    let repair = &item(&report, "privileges").repair;
    // Three grants, then a choice.
    let (grants, _) = repair.split_once("\nOr").unwrap();
    assert_eq!(grants.lines().count(), 3, "{repair}");
    service.sql(grants).await;
    let report = service
        .report(service.login("plain", "plain"), &["orders"])
        .await;
    assert!(report.passed, "{report:?}");
    assert_eq!(item(&report, "privileges").outcome(), CheckOutcome::Pass);
}

#[tokio::test]
async fn a_publication_by_a_superuser_stands_in_for_ownership() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE ROLE plain LOGIN REPLICATION PASSWORD 'plain';
             GRANT CREATE ON DATABASE postgres TO plain;
             CREATE TABLE orders (id int PRIMARY KEY)",
        )
        .await;
    let source = service.login("plain", "plain");
    let report = service.report(source.clone(), &["orders"]).await;
    let repair = &item(&report, "privileges").repair;
    let statement = repair.strip_prefix("As a superuser:\n").unwrap();
    service.sql(statement).await;
    assert!(service.report(source, &["orders"]).await.passed);
}

#[tokio::test]
async fn a_whole_database_without_a_superuser_is_told_what_it_misses() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE ROLE plain LOGIN REPLICATION PASSWORD 'plain';
             GRANT CREATE ON DATABASE postgres TO plain;
             CREATE TABLE orders (id int PRIMARY KEY);
             ALTER TABLE orders OWNER TO plain",
        )
        .await;
    let all = ObjectSelection {
        all: true,
        ..ObjectSelection::default()
    };
    let request = question(service.login("plain", "plain"), all);
    let report = service.ask(request.clone()).await.unwrap();
    assert!(report.passed, "{report:?}");
    let found = item(&report, "privileges");
    assert_eq!(found.outcome(), CheckOutcome::Alert);
    assert!(found.cause.contains("two seconds"), "{found:?}");
    assert!(found.repair.contains("FOR ALL TABLES"), "{found:?}");

    // A publication of the tables of today, as the task makes it, does not take new ones in.
    let publication = format!("CREATE PUBLICATION rowcast_{TASK}");
    service
        .sql(&format!("{publication} FOR TABLE orders"))
        .await;
    let report = service.ask(request.clone()).await.unwrap();
    let found = item(&report, "privileges");
    assert_eq!(found.outcome(), CheckOutcome::Alert);
    let repair = found
        .repair
        .strip_prefix("As a superuser, while the task does not run:\n");
    let (statements, _) = repair.unwrap().split_once("\nEvery").unwrap();
    service.sql(statements).await;
    let report = service.ask(request).await.unwrap();
    assert_eq!(item(&report, "privileges").outcome(), CheckOutcome::Pass);
}
