//! A row committed in PostgreSQL reaches a NATS client.

use futures::StreamExt as _;
use rowcast_client::{Change, Operation, Subscription};
use rowcast_e2e::{Language, PATIENCE, Sample, Shop};
use rowcast_testkit::eventually;
use serde_json::json;

const CHANGES: &str = r#"
    INSERT INTO shop.customers (name, tags) VALUES ('Ada', '{vip,"new, york"}');
    INSERT INTO shop.orders (id, customer_id, total, details)
        VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1, 19.90, '{"gift": true}');
    UPDATE shop.orders SET paid = true;
    DELETE FROM shop.orders;
"#;

async fn take(subscription: &mut Subscription, count: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    while changes.len() < count {
        let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
        let delivery = next.unwrap().unwrap().unwrap();
        delivery.ack().await.unwrap();
        if delivery.change.op != Operation::Schema && delivery.change.op != Operation::Heartbeat {
            changes.push(delivery.change);
        }
    }
    changes
}

fn check(changes: &[Change]) {
    let told: Vec<(Operation, &str)> = changes
        .iter()
        .map(|change| (change.op, change.table.as_deref().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            (Operation::Insert, "customers"),
            (Operation::Insert, "orders"),
            (Operation::Update, "orders"),
            (Operation::Delete, "orders"),
        ]
    );
    let customer = changes[0].after.as_ref().unwrap();
    assert_eq!(customer["tags"], json!(["vip", "new, york"]));
    let order = changes[1].after.as_ref().unwrap();
    assert_eq!(order["total"], json!("19.90"));
    assert_eq!(order["details"], json!({"gift": true}));
    assert_eq!(changes[2].after.as_ref().unwrap()["paid"], json!(true));
    let key = changes[3].key.as_ref().unwrap();
    assert_eq!(key["id"], json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
    assert!(changes.is_sorted_by(|a, b| a.id < b.id));
    assert!(changes.iter().all(|change| change.database == "shop"));
}

#[tokio::test]
async fn a_committed_row_reaches_rust_and_python() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let (rust, python) = (
        shop.group("rust").await.unwrap(),
        shop.group("python").await.unwrap(),
    );
    let python = Sample::new("consume", Language::Python, &python).unwrap();
    shop.sql.batch_execute(CHANGES).await.unwrap();

    let mut subscription = rust.subscribe().await.unwrap();
    check(&take(&mut subscription, 4).await);
    check(&read_by_python(&python, 4).await);

    // What was acknowledged does not come again; what comes later does.
    drop(subscription);
    shop.sql
        .batch_execute("INSERT INTO shop.counter VALUES (1)")
        .await
        .unwrap();
    let mut again = rust.subscribe().await.unwrap();
    let next = take(&mut again, 1).await;
    assert_eq!(next[0].table.as_deref(), Some("counter"));
    assert_eq!(read_by_python(&python, 5).await[4].id, next[0].id);
}

#[tokio::test]
async fn a_row_larger_than_a_message_reaches_rust_and_python_whole() {
    const SIZE: usize = 5_000_000;
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let (rust, python) = (
        shop.group("rust").await.unwrap(),
        shop.group("python").await.unwrap(),
    );
    let python = Sample::new("consume", Language::Python, &python).unwrap();
    let sql = format!(
        "BEGIN;
         INSERT INTO shop.customers (name) VALUES ('before');
         INSERT INTO shop.customers (name) VALUES (repeat('0123456789', {}));
         INSERT INTO shop.customers (name) VALUES ('after');
         COMMIT;",
        SIZE / 10
    );
    shop.sql.batch_execute(&sql).await.unwrap();
    let mut subscription = rust.subscribe().await.unwrap();
    for changes in [
        take(&mut subscription, 3).await,
        read_by_python(&python, 3).await,
    ] {
        let names: Vec<&str> = changes
            .iter()
            .map(|change| change.after.as_ref().unwrap()["name"].as_str().unwrap())
            .collect();
        assert_eq!((names[0], names[2]), ("before", "after"));
        assert_eq!(names[1], "0123456789".repeat(SIZE / 10));
        assert!(changes.iter().all(|change| change.op == Operation::Insert));
        assert!(changes.is_sorted_by(|a, b| a.id < b.id));
    }
}

/// Reads and acknowledges with nats-py, which knows nothing of Rowcast, until the journal has so many changes.
pub(crate) async fn read_by_python(python: &Sample, count: usize) -> Vec<Change> {
    let mut child = python.start(&["journal".to_owned()]).unwrap();
    let told = || python.told(".jsonl").unwrap().concat();
    eventually("nats-py has read", PATIENCE, async || told().len() >= count).await;
    child.kill().await.unwrap();
    told()
}
