//! A task that begins anew.

use std::time::Duration;

use futures::StreamExt as _;
use rowcast_client::{Error, GroupMode, Operation};
use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop, data, is_count, read_until};
use rowcast_proto::rest::{ReleasePlan, ReleasedKind, Task};
use rowcast_proto::stream::task_stream;
use rowcast_testkit::eventually;
use serde_json::json;

#[tokio::test]
async fn a_reset_removes_everything_and_the_next_start_tells_what_comes_then() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let group = shop.group("reader").await.unwrap();
    let sql = async |statements: &str| shop.sql.batch_execute(statements).await.unwrap();
    sql("INSERT INTO shop.counter VALUES (1)").await;
    let mut member = group.subscribe().await.unwrap();
    let before = read_until(&mut member, |change| is_count(change, 1)).await;
    assert_eq!(before.unwrap().len(), 1);
    drop(member);

    // What the plan of a release names is what is there.
    let plan: ReleasePlan = shop.api.get(&shop.path("release")).await.unwrap();
    let named = |kinds: &[ReleasedKind]| -> Vec<String> {
        let items = plan.items.iter().filter(|item| kinds.contains(&item.kind));
        items.map(|item| item.name.clone()).collect()
    };
    let on_source = named(&[
        ReleasedKind::Slot,
        ReleasedKind::Publication,
        ReleasedKind::Trigger,
    ]);
    assert_eq!(shop.left_on_source().await.unwrap(), on_source);
    assert_eq!(named(&[ReleasedKind::Stream]), [task_stream(&shop.task)]);
    assert_eq!(named(&[ReleasedKind::Group]), ["reader"]);
    assert_eq!(named(&[ReleasedKind::Instance]).len(), 1);

    let resetting: Task = shop.command("reset").await.unwrap();
    assert_eq!(resetting.state, TaskState::Resetting);
    shop.reaches(TaskState::NotStarted).await;
    assert_eq!(shop.left_on_source().await.unwrap(), [""; 0]);
    let nats = async_nats::jetstream::new(data(&shop.platform).await.unwrap());
    assert!(nats.get_stream(task_stream(&shop.task)).await.is_err());

    // What is written now is told by nobody. All of the task may be changed; its group is there still.
    sql("INSERT INTO shop.counter VALUES (2)").await;
    let plan: ReleasePlan = shop.api.get(&shop.path("release")).await.unwrap();
    let kinds: Vec<ReleasedKind> = plan.items.iter().map(|item| item.kind).collect();
    assert_eq!(kinds, [ReleasedKind::Group, ReleasedKind::Instance]);
    let only_inserts = json!({"change_types": {"data": ["insert"]}});
    let path = format!("/tasks/{}", shop.task);
    let _changed: Task = shop.api.patch(&path, &only_inserts).await.unwrap();
    shop.run().await.unwrap();
    sql("DELETE FROM shop.counter").await;
    sql("INSERT INTO shop.counter VALUES (3)").await;
    eventually("the group reads again", PATIENCE, async || {
        group.subscribe().await.is_ok()
    })
    .await;
    let mut member = group.subscribe().await.unwrap();
    let after = read_until(&mut member, |change| is_count(change, 3))
        .await
        .unwrap();
    let told: Vec<Operation> = after.iter().map(|change| change.op).collect();
    assert_eq!(told, [Operation::Insert], "{after:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_left_running_read_on_after_a_reset() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let sql = async |statements: &str| shop.sql.batch_execute(statements).await.unwrap();
    let of_its_own = json!({ "etl": { "script": "e_keep(__TB__ == 'counter')" } });
    let groups = [
        shop.group("ordered").await.unwrap(),
        shop.group_of("keyed", GroupMode::Keyed).await.unwrap(),
        shop.group_of("shared", GroupMode::Shared).await.unwrap(),
        shop.group_as("own", &of_its_own).await.unwrap(),
    ];
    sql("INSERT INTO shop.counter VALUES (1)").await;
    let (mut members, mut held) = (Vec::new(), Vec::new());
    for group in &groups {
        eventually("the group can be read", PATIENCE, async || {
            group.subscribe().await.is_ok()
        })
        .await;
        let mut member = group.subscribe().await.unwrap();
        read_until(&mut member, |change| is_count(change, 1))
            .await
            .unwrap();
        members.push(member);
    }
    sql("INSERT INTO shop.counter VALUES (2)").await;
    for member in &mut members {
        let change = loop {
            let next = tokio::time::timeout(PATIENCE, member.next()).await;
            let delivery = next.unwrap().unwrap().unwrap();
            if is_count(&delivery.change, 2) {
                break delivery;
            }
        };
        held.push(change);
    }

    let _resetting: Task = shop.command("reset").await.unwrap();
    shop.reaches(TaskState::NotStarted).await;
    sql("INSERT INTO shop.counter VALUES (3)").await;
    // Nothing ends, though nothing is there to be read; what came before may be handed out still.
    for member in &mut members {
        let told = tokio::time::timeout(Duration::from_secs(2), member.next()).await;
        assert!(!matches!(told, Ok(None | Some(Err(_)))), "{told:?}");
    }

    shop.run().await.unwrap();
    sql("INSERT INTO shop.counter VALUES (4)").await;
    for member in &mut members {
        let told = read_until(member, |change| is_count(change, 4))
            .await
            .unwrap();
        let is_older = |change| (1..=3).any(|number| is_count(change, number));
        assert!(!told.iter().any(is_older), "{told:#?}");
    }
    // What was told before the reset has no meaning any more.
    for change in &held {
        let refused = change.ack().await;
        assert!(
            matches!(refused, Err(Error::PositionMoved | Error::NotHeld { .. })),
            "{refused:?}"
        );
    }
}
