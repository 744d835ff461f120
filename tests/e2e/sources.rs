//! A source before a task is made of it, and while one runs.

use std::collections::BTreeSet;

use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop, is_count, read_until};
use rowcast_proto::rest::{CheckOutcome, Source, SourceObjects, SourceTest, Task};
use rowcast_testkit::eventually;
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

/// Inserts the numbers of a range, a transaction each.
async fn count(shop: &Shop, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let insert = format!("INSERT INTO shop.counter VALUES ({number})");
        shop.sql.batch_execute(&insert).await.unwrap();
    }
}

/// Logins to the source by its capture, by their start.
async fn walsenders(shop: &Shop) -> BTreeSet<String> {
    let admin = shop.platform.sql("postgres").await.unwrap();
    let started = "SELECT backend_start::text FROM pg_stat_replication";
    let rows = admin.query(started, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_running_task_goes_on_with_a_new_password_name_and_retry_window() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let group = shop.group("reader").await.unwrap();
    let mut member = group.subscribe().await.unwrap();
    count(&shop, 0..10).await;
    let admin = shop.platform.sql("postgres").await.unwrap();
    let password = "ALTER ROLE shop_owner PASSWORD 'Shop-demo-2'";
    admin.batch_execute(password).await.unwrap();
    let before = walsenders(&shop).await;
    assert_eq!(before.len(), 1);

    let source = shop.task().await.unwrap().source_id;
    let path = format!("/sources/{source}");
    let change = json!({"password": "Shop-demo-2"});
    let _source: Source = shop.api.patch(&path, &change).await.unwrap();
    count(&shop, 10..20).await;
    // Capture has logged in again, which takes the new password.
    eventually("capture has logged in again", PATIENCE, async || {
        let now = walsenders(&shop).await;
        now.len() == 1 && now.is_disjoint(&before)
    })
    .await;
    let path = format!("/tasks/{}", shop.task);
    let change = json!({"name": "renamed", "retry_minutes": 20});
    let task: Task = shop.api.patch(&path, &change).await.unwrap();
    assert_eq!((task.name.as_str(), task.retry_minutes), ("renamed", 20));
    count(&shop, 20..30).await;

    let told = read_until(&mut member, |change| is_count(change, 29)).await;
    let told = told.unwrap();
    for number in 0..30 {
        let times = told.iter().filter(|change| is_count(change, number));
        assert_eq!(times.count(), 1, "{number}");
    }
    shop.reaches(TaskState::Running).await;
}
