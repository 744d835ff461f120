//! A source before a task is made of it.

use rowcast_e2e::Shop;
use rowcast_proto::rest::{CheckOutcome, SourceTest};
use serde_json::json;

#[tokio::test]
async fn a_source_is_tested_before_and_after_it_is_registered() {
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    let source = shop.task().await.unwrap().source_id;
    let path = format!("/sources/{source}/test");
    let test: SourceTest = shop.api.command(&path, &[]).await.unwrap();
    assert!(test.passed, "{test:?}");
    assert!(test.server_version.is_some(), "{test:?}");
    assert!(!test.databases.is_empty(), "{test:?}");
    let step = |code: &str| test.steps.iter().find(|step| step.code == code);
    assert_eq!(step("login").unwrap().outcome, CheckOutcome::Pass);

    let body = json!({
        "name": "nowhere", "host": "127.0.0.1", "port": 1, "database": "d", "account": "a",
        "password": "p", "sslmode": "disable"
    });
    let test: SourceTest = shop.api.post("/sources/test", &body).await.unwrap();
    assert!(!test.passed, "{test:?}");
    let failed = test.steps.iter().find(|step| step.code == "tcp").unwrap();
    assert_eq!(failed.outcome, CheckOutcome::Fail, "{test:?}");
    assert!(failed.repair.contains("listen_addresses"), "{test:?}");
}
