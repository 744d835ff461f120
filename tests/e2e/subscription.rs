//! An instance that is paid in advance, by commands: bought, expired, renewed, and one that nobody renews.

use std::time::Duration;

use rowcast_client::Operation;
use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shell, Shop, is_count, read_until};
use rowcast_proto::rest::{
    Instance, InstanceState, Prices, ReleasePlan, ReleasedKind, Task, TaskTransition,
};
use rowcast_testkit::eventually;

/// The control plane's database.
const CONTROL: &str = "rowcast";

/// Lets the task's subscription be over since a minute, or its days of grace.
async fn set_back(shop: &Shop, column: &str) {
    let control = shop.platform.sql(CONTROL).await.unwrap();
    let moved = format!(
        "UPDATE billing.instances SET {column} = now() - interval '1 minute' WHERE task_id = $1"
    );
    let moved = control.execute(&moved, &[&shop.task.as_str()]).await;
    assert_eq!(moved.unwrap(), 1);
}

/// A running task whose instance was bought for a month.
async fn subscribed() -> (Shop, Shell) {
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    let shell = Shell::of(&shop.platform).unwrap();
    shop.precheck().await.unwrap();
    let prices: Prices = shell.json("prices").await.unwrap();
    let bought: Instance = shell
        .json("task purchase shop --subscription 1")
        .await
        .unwrap();
    let subscription = bought.subscription.unwrap();
    assert_eq!(subscription.month_micros, prices.month_micros);
    assert_eq!(subscription.state, InstanceState::Active);
    shell.prints("task start shop --wait").await.unwrap();
    (shop, shell)
}

#[tokio::test]
async fn an_expired_task_tells_nothing_and_loses_nothing_once_it_is_renewed() {
    let (shop, shell) = Box::pin(subscribed()).await;
    let group = shop.group("reader").await.unwrap();
    let count = async |number: i64| {
        let insert = format!("INSERT INTO shop.counter VALUES ({number})");
        shop.sql.batch_execute(&insert).await.unwrap();
    };
    count(1).await;
    let mut member = group.subscribe().await.unwrap();
    let told = read_until(&mut member, |change| is_count(change, 1)).await;
    assert_eq!(told.unwrap().len(), 1);

    set_back(&shop, "expires_at").await;
    shop.reaches(TaskState::Locked).await;
    let task: Task = shell.json("task show shop").await.unwrap();
    assert_eq!(task.error.unwrap().code, "InstanceExpired");
    eventually("capture lets go of the slot", PATIENCE, async || {
        let active = "SELECT count(*) FROM pg_replication_slots WHERE active";
        let row = shop.sql.query_one(active, &[]).await;
        row.is_ok_and(|row| row.get::<_, i64>(0) == 0)
    })
    .await;
    count(2).await;
    count(3).await;
    let (code, trouble) = shell.fails("task start shop").await.unwrap();
    assert!(code == 1 && trouble.contains("expired"), "{trouble}");
    // Nothing is told while it is locked: there is no capture that could.
    let silent = tokio::time::timeout(
        Duration::from_secs(3),
        read_until(&mut member, |change| is_count(change, 2)),
    );
    assert!(silent.await.is_err(), "a locked task has told a change");
    drop(member);

    let renew = "task renew shop --months 2 --key mine";
    let first: Instance = shell.json(renew).await.unwrap();
    let again: Instance = shell.json(renew).await.unwrap();
    assert_eq!(
        first.subscription, again.subscription,
        "it was renewed twice"
    );
    shop.reaches(TaskState::Running).await;
    count(4).await;
    let mut member = group.subscribe().await.unwrap();
    let told = read_until(&mut member, |change| is_count(change, 4)).await;
    let told = told.unwrap();
    assert!(told.iter().all(|change| change.op == Operation::Insert));
    let numbers: Vec<bool> = (2..=4)
        .map(|number| {
            told.iter()
                .filter(|change| is_count(change, number))
                .count()
                == 1
        })
        .collect();
    assert_eq!((told.len(), numbers), (3, vec![true; 3]), "{told:#?}");

    let instance: Instance = shell.json("task instance shop").await.unwrap();
    let months: Vec<_> = instance.orders.iter().map(|order| order.months).collect();
    assert_eq!(months, [Some(1), Some(2)]);
    is_written_down(&shop.events().await.unwrap());
}

fn is_written_down(events: &[TaskTransition]) {
    let lock = events
        .iter()
        .find(|event| event.to == TaskState::Locked)
        .unwrap();
    assert_eq!(lock.from, TaskState::Running);
    assert_eq!(lock.actor, "service:billing");
    let renewal = events
        .iter()
        .find(|event| event.from == TaskState::Locked)
        .unwrap();
    assert_eq!(renewal.to, TaskState::Starting);
    assert_eq!(renewal.actor, "user:admin");
    assert!(renewal.reason.contains("renewed"), "{}", renewal.reason);
}

#[tokio::test]
async fn a_task_that_nobody_renews_is_released_with_all_that_it_made() {
    let (shop, shell) = Box::pin(subscribed()).await;
    let plan: ReleasePlan = shop.api.get(&shop.path("release")).await.unwrap();
    let instance = plan
        .items
        .iter()
        .find(|item| item.kind == ReleasedKind::Instance);
    assert!(
        instance.unwrap().detail.contains("not refunded"),
        "{plan:?}"
    );
    set_back(&shop, "expires_at").await;
    shop.reaches(TaskState::Locked).await;
    assert!(!shop.left_on_source().await.unwrap().is_empty());
    set_back(&shop, "release_at").await;
    shop.reaches(TaskState::Released).await;
    eventually("slot and publication are gone", PATIENCE, async || {
        shop.left_on_source().await.unwrap().is_empty()
    })
    .await;
    let (code, trouble) = shell.fails("task renew shop --months 1").await.unwrap();
    assert!(code == 1 && trouble.contains("is released"), "{trouble}");
}
