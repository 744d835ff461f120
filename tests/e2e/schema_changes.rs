//! Commands that change the schema, told between the rows.

use rowcast_client::{Change, Operation};
use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop, is_count, read_until};
use rowcast_proto::rest::{CheckItem, CheckOutcome, Precheck, Task};
use rowcast_testkit::eventually;
use serde_json::json;

const COMMANDS: &str = "
    INSERT INTO shop.customers (name) VALUES ('before');
    ALTER TABLE shop.customers ADD COLUMN city text DEFAULT 'Lyon';
    INSERT INTO shop.customers (name) VALUES ('after');
    SELECT pg_logical_emit_message(true, 'shop', 'the till is closed');
    INSERT INTO shop.counter VALUES (1);";

async fn shop() -> Shop {
    let wanted = json!({"change_types": {"schema": true}});
    Box::pin(Shop::open_with(Default::default(), &wanted))
        .await
        .unwrap()
}

/// What the precheck says of schema changes.
async fn checked(shop: &Shop) -> CheckItem {
    let report: Precheck = shop.command("precheck").await.unwrap();
    let mut items = report.items.into_iter();
    items.find(|item| item.code == "schema_changes").unwrap()
}

/// Runs the commands in one transaction and reads them as a group.
async fn told(shop: &Shop) -> Vec<Change> {
    let group = shop.group("reader").await.unwrap();
    shop.sql.batch_execute(COMMANDS).await.unwrap();
    let mut subscription = group.subscribe().await.unwrap();
    let last = |change: &_| is_count(change, 1);
    read_until(&mut subscription, last).await.unwrap()
}

/// Each stands where its command stood.
fn check(told: &[Change]) {
    use Operation::{Ddl, Insert, Message};
    let ops: Vec<Operation> = told.iter().map(|change| change.op).collect();
    assert_eq!(ops, [Insert, Ddl, Insert, Message, Insert], "{told:#?}");
    let ddl = told[1].ddl.as_ref().unwrap();
    assert_eq!(
        (ddl.command.as_str(), ddl.object.as_str(), ddl.user.as_str()),
        ("ALTER TABLE", "shop.customers", "shop_owner")
    );
    assert!(ddl.text.contains("ADD COLUMN city"), "{ddl:?}");
    let row = |index: usize| told[index].after.as_ref().unwrap();
    assert_eq!(row(0).get("city"), None);
    assert_eq!(row(2)["city"], json!("Lyon"));
    let message = told[3].message.as_ref().unwrap();
    assert_eq!(
        (message.prefix.as_str(), message.text.as_deref()),
        ("shop", Some("the till is closed"))
    );
    assert!(told.iter().all(|change| change.lsn == told[0].lsn));
}

async fn release(shop: &Shop) {
    let _task: Task = shop.command("release").await.unwrap();
    shop.reaches(TaskState::Released).await;
}

#[tokio::test]
async fn with_a_superuser_schema_changes_are_told_and_a_release_leaves_nothing() {
    let shop = shop().await;
    let admin = shop.platform.sql("shop").await.unwrap();
    admin
        .batch_execute("ALTER ROLE shop_owner SUPERUSER")
        .await
        .unwrap();
    let item = checked(&shop).await;
    assert_eq!(item.outcome, CheckOutcome::Pass, "{item:?}");
    shop.run().await.unwrap();
    let installed = shop.left_on_source().await.unwrap();
    assert!(
        installed.iter().any(|name| name == "tell_ddl"),
        "{installed:?}"
    );
    check(&told(&shop).await);
    release(&shop).await;
    eventually("nothing is left on the source", PATIENCE, async || {
        shop.left_on_source().await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test]
async fn without_a_superuser_the_precheck_has_the_sql_for_one() {
    let shop = shop().await;
    let item = checked(&shop).await;
    assert_eq!(item.outcome, CheckOutcome::Fail, "{item:?}");
    let (advice, sql) = item.repair.split_once('\n').unwrap();
    assert!(advice.contains("superuser"), "{advice}");
    let admin = shop.platform.sql("shop").await.unwrap();
    admin.batch_execute(sql).await.unwrap();
    let item = checked(&shop).await;
    assert_eq!(item.outcome, CheckOutcome::Pass, "{item:?}");
    shop.run().await.unwrap();
    check(&told(&shop).await);

    // What somebody else installed is not the task's to remove; its own is.
    release(&shop).await;
    let own = |name: &String| *name == rowcast_proto::stream::source_object(&shop.task);
    eventually("slot and publication are gone", PATIENCE, async || {
        !shop.left_on_source().await.unwrap().iter().any(own)
    })
    .await;
    let left = shop.left_on_source().await.unwrap();
    assert!(left.iter().any(|name| name == "tell_ddl"), "{left:?}");
    let task = shop.task().await.unwrap();
    assert_eq!(task.error, None);
}
