//! An ETL policy against the tables that it is for.

use rowcast_proto::message::{CheckOutcome, EtlPolicy, PrecheckReport, PrecheckRequest};

use crate::service::{Service, item, named, question};

const SHOP: &str = "CREATE TABLE orders (id int PRIMARY KEY, phone text, total numeric);
    CREATE TABLE lines (id int PRIMARY KEY, total numeric);
    CREATE TABLE audit (id int PRIMARY KEY, phone text, twice int GENERATED ALWAYS AS (id * 2) STORED);
    ALTER TABLE audit REPLICA IDENTITY FULL;";

async fn judged(service: &Service, tables: &[&str], script: &str) -> PrecheckReport {
    let etl = EtlPolicy {
        script: script.to_owned(),
        ..EtlPolicy::default()
    };
    let request = PrecheckRequest {
        etl: Some(etl),
        ..question(service.superuser(), named(tables))
    };
    service.ask(request).await.unwrap()
}

#[tokio::test]
async fn a_policy_is_fitted_to_every_table_before_the_start() {
    let service = Service::start().await;
    service.sql(SHOP).await;
    let plain = service.report(service.superuser(), &["orders"]).await;
    assert!(
        plain.items.iter().all(|item| item.code != "etl"),
        "nobody asks for one"
    );

    let report = judged(
        &service,
        &["orders", "lines"],
        "e_set(`phone`, str_upper(`phone`))",
    )
    .await;
    let found = item(&report, "etl");
    assert_eq!(found.outcome(), CheckOutcome::Fail);
    assert!(
        found.saw.contains("public.lines")
            && found.saw.contains("phone")
            && !found.saw.contains("public.orders"),
        "{found:?}"
    );
    let guarded = "e_if(op_eq(__TB__, 'orders'), e_set(`phone`, str_upper(`phone`)))";
    let report = judged(&service, &["orders", "lines"], guarded).await;
    let found = item(&report, "etl");
    assert_eq!(found.outcome(), CheckOutcome::Pass, "{found:?}");
    assert_eq!(found.saw, "applies to 1 of 2 tables");

    let report = judged(&service, &["orders"], "e_set(`id`, 1)").await;
    let found = item(&report, "etl");
    assert_eq!(found.outcome(), CheckOutcome::Fail);
    assert!(found.saw.contains("key"), "{found:?}");
}

#[tokio::test]
async fn a_generated_column_is_there_where_the_server_sends_it() {
    let expected = [(17, CheckOutcome::Fail), (18, CheckOutcome::Pass)];
    for (version, outcome) in expected {
        let service = Service::start_version(version).await;
        service.sql(SHOP).await;
        let report = judged(&service, &["audit"], "e_keep(`twice` > 1)").await;
        assert_eq!(item(&report, "etl").outcome(), outcome, "{version}");
    }
}

#[tokio::test]
async fn what_a_delete_does_not_send_is_told_with_its_repair() {
    let service = Service::start().await;
    service.sql(SHOP).await;
    let script = "e_keep(`total` > 10)";
    let report = judged(&service, &["orders"], script).await;
    let found = item(&report, "etl");
    assert_eq!(found.outcome(), CheckOutcome::Alert, "{found:?}");
    assert!(found.saw.contains("public.orders (total)"), "{found:?}");
    let statement = found.repair.lines().last().unwrap();
    service.sql(statement).await;
    let report = judged(&service, &["orders"], script).await;
    assert_eq!(item(&report, "etl").outcome(), CheckOutcome::Pass);
    // Where neither updates nor deletes are tracked, there is nothing to miss.
    let report = judged(&service, &["lines"], "e_keep(`id` > 10)").await;
    assert_eq!(item(&report, "etl").outcome(), CheckOutcome::Pass);
}
