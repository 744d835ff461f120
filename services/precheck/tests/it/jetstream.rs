//! What the broker is, and is not, fit for.

use rowcast_proto::message::{CheckOutcome, PrecheckReport, Retention};

use crate::service::{Service, item, named, question};

const MIB: u64 = 1 << 20;

/// The report on a task whose stream may come to so many bytes.
async fn report(service: &Service, bytes: u64) -> PrecheckReport {
    let mut wanted = question(service.superuser(), named(&["orders"]));
    wanted.retention = Some(Retention {
        age_seconds: 3600,
        bytes,
    });
    service.ask(wanted).await.unwrap()
}

/// A broker with these settings of `jetstream { }`.
fn jetstream(settings: &str) -> String {
    format!("jetstream {{ store_dir: $ROWCAST_NATS_STORE, {settings} }}")
}

#[tokio::test]
async fn a_broker_without_room_is_repaired_by_what_the_report_says() {
    let mut service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let always = "sync_interval: always";
    let small = jetstream(&format!("{always}, max_file_store: 10485760"));
    service.restart_nats(&small).await;
    let fits = report(&service, 10 * MIB).await;
    assert!(fits.passed, "{fits:?}");

    let bad = report(&service, 10 * MIB + 1).await;
    let found = item(&bad, "jetstream_space");
    assert_eq!(found.outcome(), CheckOutcome::Fail);
    assert!(!bad.passed);
    // Applied as it stands.
    let setting = found.repair.split("jetstream { ").nth(1).unwrap();
    let setting = setting.split(" }").next().unwrap();
    service
        .restart_nats(&jetstream(&format!("{always}, {setting}")))
        .await;
    let repaired = report(&service, 10 * MIB + 1).await;
    assert!(repaired.passed, "{repaired:?}");
}

#[tokio::test]
async fn a_broker_that_syncs_late_is_worth_knowing_and_how_late() {
    let mut service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let good = report(&service, 0).await;
    for code in ["jetstream_servers", "jetstream_space", "jetstream_sync"] {
        assert_eq!(item(&good, code).outcome(), CheckOutcome::Pass, "{code}");
    }
    service.restart_nats(&jetstream("sync_interval: 20s")).await;
    let late = report(&service, 0).await;
    let found = item(&late, "jetstream_sync");
    assert_eq!(found.outcome(), CheckOutcome::Alert);
    assert!(found.cause.contains("40 s longer"), "{}", found.cause);
    assert!(late.passed, "{late:?}");
}

#[tokio::test]
async fn the_broker_is_judged_though_the_source_is_down_and_one_check_alone() {
    let service = Service::start().await;
    let mut away = service.superuser();
    away.port = 1;
    let mut wanted = question(away, named(&["orders"]));
    let down = service.ask(wanted.clone()).await.unwrap();
    assert_eq!(
        item(&down, "jetstream_servers").outcome(),
        CheckOutcome::Pass
    );
    wanted.only = vec!["jetstream_sync".to_owned()];
    let one = service.ask(wanted).await.unwrap();
    let codes: Vec<&str> = one.items.iter().map(|item| item.code.as_str()).collect();
    assert_eq!(codes, ["connectivity", "jetstream_sync"]);
}
