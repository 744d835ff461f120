//! A precheck that finds something, and what a user does about it.

use rowcast_e2e::Shop;
use rowcast_proto::rest::{CheckItem, CheckOutcome, Precheck, TaskTransitionList};
use serde_json::json;

fn item<'a>(report: &'a Precheck, code: &str) -> &'a CheckItem {
    report.items.iter().find(|item| item.code == code).unwrap()
}

#[tokio::test]
async fn an_alert_is_ignored_on_record_and_a_failure_is_not() {
    let missing =
        json!({"objects": {"schemas": [{"name": "shop", "tables": ["counter", "later"]}]}});
    let shop = Box::pin(Shop::open_with(Default::default(), &missing))
        .await
        .unwrap();
    let report: Precheck = shop.command("precheck").await.unwrap();
    assert!(!report.passed, "{report:?}");
    assert_eq!(item(&report, "wal_keep").outcome, CheckOutcome::Alert);
    assert_eq!(item(&report, "objects").outcome, CheckOutcome::Fail);

    let path = shop.path("precheck/ignore");
    let ignore =
        |code: &str| json!({"codes": [code], "by": "ada", "reason": "The disk is watched."});
    let refused = shop.api.refused(&path, &ignore("objects")).await.unwrap();
    assert_eq!(
        (refused.status, refused.code.as_str()),
        (409, "check_not_ignorable")
    );
    let report: Precheck = shop.api.post(&path, &ignore("wal_keep")).await.unwrap();
    let ignored = item(&report, "wal_keep").ignored.clone().unwrap();
    assert_eq!(ignored.by, "ada");
    assert_eq!(ignored.reason, "The disk is watched.");
    let events: TaskTransitionList = shop.api.get(&shop.path("events")).await.unwrap();
    let last = events.events.last().unwrap();
    assert_eq!(
        last.reason,
        "alerts ignored by ada: wal_keep (The disk is watched.)"
    );

    // Only what failed is run again; the rest is kept, with who answers for it.
    shop.sql
        .batch_execute("CREATE TABLE shop.later (id int PRIMARY KEY)")
        .await
        .unwrap();
    let before = report.finished_at;
    let only_failed = json!({"only_failed": true});
    let path = shop.path("precheck");
    let report: Precheck = shop.api.post(&path, &only_failed).await.unwrap();
    assert!(report.passed, "{report:?}");
    assert_eq!(report.success_percent, 100);
    assert_eq!(item(&report, "objects").checked_at, None);
    let kept = item(&report, "wal_keep");
    assert_eq!(kept.checked_at, Some(before));
    assert_eq!(kept.ignored.as_ref(), Some(&ignored));
    let stored: Precheck = shop.api.get(&path).await.unwrap();
    assert_eq!(stored.items, report.items);

    // What is found anew for another cause is told anew.
    let admin = shop.platform.sql("postgres").await.unwrap();
    for statement in [
        "ALTER SYSTEM SET idle_replication_slot_timeout = '60min'",
        "SELECT pg_reload_conf()",
    ] {
        if admin.batch_execute(statement).await.is_err() {
            // A server before 18 has no such setting.
            return;
        }
    }
    let report: Precheck = shop.command("precheck").await.unwrap();
    let found = item(&report, "wal_keep");
    assert_eq!(
        (found.outcome, found.ignored.as_ref()),
        (CheckOutcome::Alert, None)
    );
}
