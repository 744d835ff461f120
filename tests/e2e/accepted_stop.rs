//! Changes are lost, and the user decides to go on.

use rowcast_client::Operation;
use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop, is_count, read_until};
use rowcast_proto::rest::{IncidentList, Task};
use rowcast_proto::stream::source_object;
use rowcast_testkit::eventually;
use serde_json::json;

/// Somebody drops the task's slot while the task is suspended, and rows are written meanwhile.
async fn lose_the_slot(shop: &Shop) {
    let _task: Task = shop.command("suspend").await.unwrap();
    shop.reaches(TaskState::Suspended).await;
    let slot = source_object(&shop.task);
    eventually("the slot can be dropped", PATIENCE, async || {
        let drop = "SELECT pg_drop_replication_slot($1)";
        shop.sql.execute(drop, &[&slot]).await.is_ok()
    })
    .await;
    shop.sql
        .batch_execute("INSERT INTO shop.counter VALUES (2)")
        .await
        .unwrap();
    let _task: Task = shop.command("resume").await.unwrap();
}

async fn stops_at_the_gap(shop: &Shop) {
    shop.reaches(TaskState::Abnormal).await;
    let error = shop.task().await.unwrap().error.unwrap();
    assert_eq!(error.code, "Gap", "{error:?}");
    assert!(error.advice.contains("accepted"), "{error:?}");
}

async fn incidents(shop: &Shop, open: bool) {
    eventually("the incidents follow the task", PATIENCE, async || {
        let list: anyhow::Result<IncidentList> = shop.api.get("/incidents").await;
        list.is_ok_and(|list| {
            let is_open = |id: &rowcast_proto::rest::Incident| id.resolved_at.is_none();
            !list.incidents.is_empty() && list.incidents.iter().any(is_open) == open
        })
    })
    .await;
}

#[tokio::test]
async fn a_gap_stops_the_task_until_it_is_accepted_and_readers_are_told_of_it() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let group = shop.group("reader").await.unwrap();
    let mut subscription = group.subscribe().await.unwrap();
    let count = async |number: i64| {
        let insert = format!("INSERT INTO shop.counter VALUES ({number})");
        shop.sql.batch_execute(&insert).await.unwrap();
    };
    count(1).await;
    let first = |change: &_| is_count(change, 1);
    let before = read_until(&mut subscription, first).await.unwrap();

    lose_the_slot(&shop).await;
    stops_at_the_gap(&shop).await;
    incidents(&shop, true).await;
    let start = shop.path("start");
    let task: Task = shop.api.post(&start, &json!({})).await.unwrap();
    assert_eq!(task.state, TaskState::Starting);
    stops_at_the_gap(&shop).await;
    let other = json!({"accept_stop": "BrokerDataLoss"});
    let problem = shop.api.refused(&start, &other).await.unwrap();
    assert_eq!(problem.status, 409, "{problem:?}");

    let accepted = json!({"accept_stop": "Gap"});
    let _task: Task = shop.api.post(&start, &accepted).await.unwrap();
    shop.reaches(TaskState::Running).await;
    incidents(&shop, false).await;
    count(3).await;
    let third = |change: &_| is_count(change, 3);
    let after = read_until(&mut subscription, third).await.unwrap();
    let ops: Vec<Operation> = after.iter().map(|change| change.op).collect();
    assert_eq!(ops, [Operation::Gap, Operation::Insert], "{after:#?}");
    let gap = after[0].gap.as_ref().unwrap();
    assert_eq!(gap.code, "Gap");
    assert!(before[0].lsn <= gap.from && gap.from < gap.to, "{gap:?}");
    assert!(after[1].lsn >= gap.to, "{after:#?}");
    let events = shop.events().await.unwrap();
    let decided = events
        .iter()
        .find(|event| event.reason.contains("Gap accepted"));
    assert!(decided.is_some_and(|event| event.actor.starts_with("user:")));
}
