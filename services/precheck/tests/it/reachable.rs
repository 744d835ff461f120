//! Sources that are reached, and sources that are not.

use rowcast_bus::request::AskError;
use rowcast_proto::message::{CheckOutcome, CheckResult, PrecheckRequest, SourceConnection};

use crate::service::{Service, codes, item, named, question};

#[tokio::test]
async fn a_good_source_passes_and_unlimited_wal_is_worth_knowing() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY, amount int)")
        .await;
    let report = service.report(service.superuser(), &["orders"]).await;
    assert!(report.passed, "{report:?}");
    // Who answers for the alert is not known here.
    assert_eq!(report.success_percent, 24 * 100 / 25);
    assert_eq!(codes(&report, CheckOutcome::Alert), ["wal_keep"]);
    assert_eq!(report.items.len(), 25);
    assert!(!report.id.is_empty());
    assert!(report.started_at.is_some() && report.finished_at.is_some());
}

#[tokio::test]
async fn who_looks_on_is_told_of_each_check() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let request = PrecheckRequest {
        run: "r1".to_owned(),
        ..question(service.superuser(), named(&["orders"]))
    };
    let (report, progress) = service.watched(request).await;
    assert_eq!(report.id, "r1");
    let whole = progress.last().unwrap();
    assert!(whole.finished_at.is_some());
    let sorted = |mut items: Vec<CheckResult>| {
        items.sort_by(|a, b| a.code.cmp(&b.code));
        items
    };
    assert_eq!(sorted(whole.items.clone()), sorted(report.items));
    let planned: Vec<&str> = whole
        .checks
        .iter()
        .map(|check| check.code.as_str())
        .collect();
    assert_eq!(planned.len(), whole.items.len());
    assert_eq!(planned[0], "connectivity");
    let first = &progress[0];
    assert!(first.finished_at.is_none(), "it was told only at its end");
    assert!(first.items.len() < whole.items.len());
    assert_eq!(first.checks, whole.checks);
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_by_cause_and_the_rest_is_skipped() {
    let service = Service::start().await;
    let good = service.superuser();
    let bad = [
        ("password_wrong", service.login("postgres", "wrong")),
        (
            "database_missing",
            SourceConnection {
                database: "nowhere".to_owned(),
                ..good.clone()
            },
        ),
        (
            "refused",
            SourceConnection {
                port: 1,
                ..good.clone()
            },
        ),
        (
            "not_allowed",
            SourceConnection {
                host: "169.254.169.254".to_owned(),
                ..good.clone()
            },
        ),
        (
            "host_not_found",
            SourceConnection {
                host: "nowhere.invalid".to_owned(),
                ..good.clone()
            },
        ),
        (
            "tls",
            SourceConnection {
                sslmode: "verify-full".to_owned(),
                ..good.clone()
            },
        ),
    ];
    for (name, source) in bad {
        let report = service.report(source, &["orders"]).await;
        let found = item(&report, "connectivity");
        assert!(found.saw.starts_with(&format!("{name}: ")), "{found:?}");
        assert!(
            !found.cause.is_empty() && !found.repair.is_empty(),
            "{found:?}"
        );
        assert_eq!(codes(&report, CheckOutcome::Fail), ["connectivity"]);
        assert_eq!(codes(&report, CheckOutcome::Skipped).len(), 21);
        assert!(!report.passed);
        // Only the broker is well.
        assert_eq!(report.success_percent, 3 * 100 / 25);
    }
}

#[tokio::test]
async fn a_bad_question_is_refused_with_its_field() {
    let service = Service::start().await;
    let good = question(service.superuser(), named(&["orders"]));
    let stolen = SourceConnection {
        source_id: "s999999999999".to_owned(),
        ..service.superuser()
    };
    for (field, request) in [
        (
            "task_id",
            PrecheckRequest {
                task_id: "x".to_owned(),
                ..good.clone()
            },
        ),
        (
            "source",
            PrecheckRequest {
                source: None,
                ..good.clone()
            },
        ),
        (
            "source.password",
            PrecheckRequest {
                source: Some(stolen),
                ..good.clone()
            },
        ),
    ] {
        match service.ask(request).await {
            Err(AskError::Refused(error)) => assert_eq!(error.field, field, "{error:?}"),
            other => panic!("{other:?}"),
        }
    }
}
