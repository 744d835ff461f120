//! A source before a task is made of it.

use rowcast_e2e::Shop;
use rowcast_proto::rest::{CheckOutcome, SourceObjects, SourceTest};
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

#[tokio::test]
async fn what_a_source_has_is_browsed_before_it_is_chosen() {
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    let source = shop.task().await.unwrap().source_id;
    let path = format!("/sources/{source}/objects");
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = format!("{path}?schema=shop&limit=1{cursor}");
        let page: SourceObjects = shop.api.get(&page).await.unwrap();
        assert_eq!((page.database.as_str(), page.tables.len()), ("shop", 1));
        seen.extend(page.tables.into_iter().map(|table| table.name));
        let Some(next) = page.next_cursor else { break };
        cursor = format!("&cursor={next}");
    }
    let rows = shop
        .sql
        .query(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'shop'::regnamespace
             AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname",
            &[],
        )
        .await
        .unwrap();
    let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(!tables.is_empty());
    assert_eq!(seen, tables);
    let schemas = format!("{path}?level=schemas&search=SHO");
    let page: SourceObjects = shop.api.get(&schemas).await.unwrap();
    assert_eq!(page.schemas[0].name, "shop");
}
