//! A task that was started: its slot and its publication must stay.

use rowcast_proto::message::{CheckOutcome, PrecheckReport, PrecheckRequest};

use crate::service::{Service, TASK, item, named, question};

async fn look(service: &Service) -> PrecheckReport {
    let request = PrecheckRequest {
        started: true,
        ..question(service.superuser(), named(&["orders", "items"]))
    };
    service.ask(request).await.unwrap()
}

fn outcome(report: &PrecheckReport, code: &str) -> CheckOutcome {
    item(report, code).outcome()
}

#[tokio::test]
async fn slot_and_publication_are_looked_at_and_each_loss_is_told() {
    let service = Service::start().await;
    let name = format!("rowcast_{TASK}");
    service
        .sql(&format!(
            "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE items (id int PRIMARY KEY);
             CREATE PUBLICATION {name} FOR TABLE orders, items"
        ))
        .await;
    service
        .sql(&format!(
            "SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"
        ))
        .await;
    let report = look(&service).await;
    assert!(report.passed, "{report:?}");
    for code in ["publication", "existing_slot", "replication_slots"] {
        assert_eq!(outcome(&report, code), CheckOutcome::Pass, "{code}");
    }

    service
        .sql(&format!("ALTER PUBLICATION {name} DROP TABLE items"))
        .await;
    let report = look(&service).await;
    assert_eq!(outcome(&report, "publication"), CheckOutcome::Alert);
    assert!(item(&report, "publication").saw.contains("public.items"));

    service
        .sql(&format!(
            "ALTER PUBLICATION {name} ADD TABLE items;
             ALTER PUBLICATION {name} SET (publish = 'insert, update')"
        ))
        .await;
    let report = look(&service).await;
    assert_eq!(outcome(&report, "publication"), CheckOutcome::Fail);
    assert!(item(&report, "publication").saw.contains("delete"));

    service.sql(&format!("DROP PUBLICATION {name}")).await;
    service
        .sql(&format!("SELECT pg_drop_replication_slot('{name}')"))
        .await;
    let report = look(&service).await;
    for code in ["publication", "existing_slot"] {
        assert_eq!(outcome(&report, code), CheckOutcome::Fail, "{code}");
    }
}

#[tokio::test]
async fn a_task_that_was_not_started_is_not_asked_for_a_publication() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let report = service.report(service.superuser(), &["orders"]).await;
    assert!(report.items.iter().all(|item| item.code != "publication"));
}
