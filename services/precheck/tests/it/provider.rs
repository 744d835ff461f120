//! Who runs a source says what the repairs must say.

use rowcast_proto::message::{CheckOutcome, PrecheckReport, PrecheckRequest};

use crate::service::{Service, item, named, question};

async fn report(service: &Service, kind: &str) -> PrecheckReport {
    let request = PrecheckRequest {
        kind: kind.to_owned(),
        ..question(service.superuser(), named(&["orders"]))
    };
    service.ask(request).await.unwrap()
}

#[tokio::test]
async fn the_parameter_of_the_provider_is_looked_at() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let outcome = async |kind: &str| item(&report(&service, kind).await, "provider").outcome();
    // This is none: what is said of its kind is wrong.
    assert_eq!(outcome("rds").await, CheckOutcome::Alert);
    for (value, expected) in [("off", CheckOutcome::Fail), ("on", CheckOutcome::Pass)] {
        let set = format!("ALTER DATABASE postgres SET rds.logical_replication = '{value}'");
        service.sql(&set).await;
        assert_eq!(outcome("rds").await, expected, "{value}");
    }
    assert_eq!(outcome("patroni").await, CheckOutcome::Alert);

    let plain = report(&service, "").await;
    assert!(plain.items.iter().all(|item| item.code != "provider"));
    let next = report(&service, "of_the_next_version").await;
    assert_eq!(next.items.len(), plain.items.len());
}

#[tokio::test]
async fn a_repair_says_what_to_do_at_the_provider() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    // No limit for the WAL that is kept: an alert wherever it runs.
    let aurora = report(&service, "aurora").await;
    let repair = &item(&aurora, "wal_keep").repair;
    assert!(
        repair.contains("On Amazon Aurora: set max_slot_wal_keep_size = 65536 in the DB cluster"),
        "{repair}"
    );
    let plain = report(&service, "").await;
    assert!(!item(&plain, "wal_keep").repair.contains("On "));
}
