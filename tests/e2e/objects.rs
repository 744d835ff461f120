//! What a task tracks changes while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rowcast_client::Lsn;
use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop, is_count, read_until};
use rowcast_proto::rest::Task;
use rowcast_proto::stream::source_object;
use rowcast_testkit::eventually;
use serde_json::json;

/// Transactions written at least before and after the change of the objects.
const SOME: i64 = 20;

/// A row of each table, transaction after transaction, until told to stop.
async fn write(shop: &Shop, written: &AtomicI64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let number = written.load(Ordering::Relaxed) + 1;
        let statements = format!(
            "WITH new AS (INSERT INTO shop.customers (name) VALUES ('{number}') RETURNING id)
             INSERT INTO shop.orders (customer_id, total) SELECT id, 1 FROM new;
             INSERT INTO shop.counter VALUES ({number})"
        );
        // Several statements sent at once are one transaction.
        shop.sql.batch_execute(&statements).await.unwrap();
        written.store(number, Ordering::Relaxed);
    }
}

async fn more_are_written(written: &AtomicI64) {
    let wanted = written.load(Ordering::Relaxed) + SOME;
    eventually("more is written", PATIENCE, async || {
        written.load(Ordering::Relaxed) >= wanted
    })
    .await;
}

/// Asks for counter and orders instead of counter and customers, and gives the LSN from which they
/// are told.
async fn replace(shop: &Shop) -> Lsn {
    let wanted = json!({"schemas": [{"name": "shop", "tables": ["counter", "orders"]}]});
    let path = shop.path("objects");
    let task: Task = shop.api.put(&path, &wanted).await.unwrap();
    assert_eq!((task.state, task.objects_since), (TaskState::Running, None));
    eventually("the new objects are in force", PATIENCE, async || {
        let task = shop.task().await.unwrap();
        assert_eq!(task.state, TaskState::Running, "{task:?}");
        task.objects_since.is_some()
    })
    .await;
    shop.task().await.unwrap().objects_since.unwrap()
}

#[tokio::test]
async fn other_tables_are_told_from_the_lsn_that_the_task_names() {
    let first =
        json!({"objects": {"schemas": [{"name": "shop", "tables": ["counter", "customers"]}]}});
    let shop = Box::pin(Shop::open_with(Default::default(), &first))
        .await
        .unwrap();
    shop.run().await.unwrap();
    let group = shop.group("reader").await.unwrap();
    let (written, stop) = (AtomicI64::new(0), AtomicBool::new(false));
    let ((), since) = tokio::join!(write(&shop, &written, &stop), async {
        more_are_written(&written).await;
        let since = replace(&shop).await;
        more_are_written(&written).await;
        stop.store(true, Ordering::Relaxed);
        since
    });
    let written = written.load(Ordering::Relaxed);

    let mut subscription = group.subscribe().await.unwrap();
    let last = |change: &_| is_count(change, written);
    let told = read_until(&mut subscription, last).await.unwrap();
    let mut transactions: BTreeMap<Lsn, BTreeSet<&str>> = BTreeMap::new();
    for change in &told {
        let tables = transactions.entry(change.lsn).or_default();
        let table = change.table.as_deref().unwrap();
        assert!(tables.insert(table), "{change:?} is told twice");
    }
    let (old, new) = (
        ["counter", "customers"].into(),
        ["counter", "orders"].into(),
    );
    for (lsn, tables) in &transactions {
        let expected = if *lsn < since { &old } else { &new };
        assert_eq!(tables, expected, "at {lsn}, replaced at {since}");
    }
    let before = transactions.range(..since).count();
    let some = usize::try_from(SOME).unwrap();
    assert!(before >= some && transactions.len() >= before + some);
    assert_eq!(transactions.len(), usize::try_from(written).unwrap());

    let events = shop.events().await.unwrap();
    let mut running = events
        .iter()
        .skip_while(|event| event.to != TaskState::Running);
    assert!(
        running.all(|event| event.to == TaskState::Running),
        "{events:?}"
    );
    let reason = &events.last().unwrap().reason;
    assert!(
        reason.contains("+shop.orders") && reason.contains("−shop.customers"),
        "{reason}"
    );
}

#[tokio::test]
async fn new_tables_join_by_pattern_without_a_superuser_and_who_cannot_is_named() {
    let patterns = json!({"objects": {"schemas": [
        {"name": "shop", "tables": ["counter"], "patterns": ["log_*"]}
    ]}});
    let shop = Box::pin(Shop::open_with(Default::default(), &patterns))
        .await
        .unwrap();
    shop.run().await.unwrap();
    let group = shop.group("reader").await.unwrap();
    shop.sql
        .batch_execute(
            "CREATE TABLE shop.log_1 (n bigint PRIMARY KEY);
             CREATE TABLE shop.log_keyless (n bigint)",
        )
        .await
        .unwrap();
    eventually("the table without a key is named", PATIENCE, async || {
        let warnings = shop.task().await.unwrap().warnings;
        warnings
            .iter()
            .any(|text| text.contains("shop.log_keyless"))
    })
    .await;
    let publication = source_object(&shop.task);
    let joined = async |table: &str| {
        eventually(&format!("{table} joins"), PATIENCE, async || {
            let query = "SELECT 1 FROM pg_publication_tables WHERE pubname = $1 AND tablename = $2";
            let found = shop.sql.query_opt(query, &[&publication, &table]).await;
            found.unwrap().is_some()
        })
        .await;
    };
    joined("log_1").await;
    // Were the keyless table published, PostgreSQL would refuse the application's own update.
    shop.sql
        .batch_execute(
            "INSERT INTO shop.log_keyless VALUES (1);
             UPDATE shop.log_keyless SET n = 2;
             INSERT INTO shop.customers (name) VALUES ('not selected');
             INSERT INTO shop.log_1 VALUES (1);
             INSERT INTO shop.counter VALUES (1)",
        )
        .await
        .unwrap();
    shop.sql
        .batch_execute("ALTER TABLE shop.log_keyless REPLICA IDENTITY FULL")
        .await
        .unwrap();
    joined("log_keyless").await;
    eventually("there is nothing to warn of", PATIENCE, async || {
        shop.task().await.unwrap().warnings.is_empty()
    })
    .await;
    shop.sql
        .batch_execute("UPDATE shop.log_keyless SET n = 3; INSERT INTO shop.counter VALUES (2)")
        .await
        .unwrap();
    let mut subscription = group.subscribe().await.unwrap();
    let last = |change: &_| is_count(change, 2);
    let told = read_until(&mut subscription, last).await.unwrap();
    let tables: Vec<&str> = told
        .iter()
        .map(|change| change.table.as_deref().unwrap())
        .collect();
    assert_eq!(tables, ["log_1", "counter", "log_keyless", "counter"]);
}
