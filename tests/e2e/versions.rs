//! Services of other versions of the contract beside the ones of today: one of the first version, which knows
//! fewer fields, and one of the next, which knows more.

mod first;

use async_nats::jetstream;
use futures::StreamExt as _;
use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop, is_count, read_until};
use rowcast_proto::event::Event as _;
use rowcast_proto::message::{IncidentRaised, TaskSpec, TaskStateChanged, TaskStatus};
use rowcast_proto::rpc::{self, DEADLINE_HEADER, ERROR_HEADER, Rpc};
use rowcast_proto::stream::{TASK_STATUS, TASKS};
use rowcast_testkit::eventually;
use serde_json::{Value, json};

/// What no version knows yet, in every object of a message.
fn of_the_next_version(mut message: Value) -> Value {
    match &mut message {
        Value::Object(members) => {
            let known = std::mem::take(members);
            members.extend(
                known
                    .into_iter()
                    .map(|(name, value)| (name, of_the_next_version(value))),
            );
            members.insert("fieldOfTheNextVersion".to_owned(), json!({"a": [1, null]}));
        }
        Value::Array(items) => {
            for item in items {
                *item = of_the_next_version(item.take());
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    message
}

async fn control(shop: &Shop) -> async_nats::Client {
    let password = shop.platform.nats_password("task-api").unwrap();
    async_nats::ConnectOptions::with_user_and_password("task-api".into(), password)
        .connect(&shop.platform.nats_url)
        .await
        .unwrap()
}

/// Asks as another version does, and reads the answer as this one.
async fn ask<R: Rpc>(control: &async_nats::Client, question: &Value) -> R::Reply {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(DEADLINE_HEADER, "20000");
    let request = async_nats::Request::new()
        .headers(headers)
        .timeout(Some(PATIENCE))
        .payload(question.to_string().into());
    let answer = control.send_request(R::SUBJECT, request).await.unwrap();
    let refused = answer
        .headers
        .is_some_and(|all| all.get(ERROR_HEADER).is_some());
    let text = String::from_utf8_lossy(&answer.payload);
    assert!(!refused, "{} {question}: {text}", R::SUBJECT);
    serde_json::from_slice(&answer.payload).unwrap()
}

/// The wish of the task, as it is written.
async fn wish(kv: &jetstream::kv::Store, shop: &Shop) -> Value {
    let value = kv.get(shop.task.as_str()).await.unwrap().unwrap();
    serde_json::from_slice(&value).unwrap()
}

#[tokio::test]
async fn whoever_asks_in_another_version_is_answered() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let group = shop.group("reader").await.unwrap();
    let control = control(&shop).await;
    let nats = jetstream::new(control.clone());
    let wish = wish(&nats.get_key_value(TASKS.name).await.unwrap(), &shop).await;
    let task = json!({"taskId": shop.task.as_str()});
    // What the first version had: no `only`, no `retention`, no `started`.
    let precheck = json!({
        "taskId": shop.task.as_str(), "source": wish["source"],
        "objects": wish["objects"], "changeTypes": wish["changeTypes"],
    });
    let of_group = json!({
        "taskId": shop.task.as_str(), "groupId": group.connection.group_id.as_str(),
    });
    for version in [
        |message: &Value| message.clone(),
        |message: &Value| of_the_next_version(message.clone()),
    ] {
        let report = ask::<rpc::RunPrecheck>(&control, &version(&precheck)).await;
        assert!(report.passed, "{report:?}");
        let bought = ask::<rpc::GetInstance>(&control, &version(&task)).await;
        assert!(bought.instance.is_some());
        ask::<rpc::GetUsage>(&control, &version(&task)).await;
        ask::<rpc::ListIncidents>(&control, &version(&task)).await;
        let groups = ask::<rpc::ListGroups>(&control, &version(&task)).await;
        assert_eq!(groups.groups.len(), 1);
        let found = ask::<rpc::GetGroup>(&control, &version(&of_group)).await;
        assert_eq!(found.name, "reader");
    }
}

#[tokio::test]
async fn a_wish_and_a_fact_of_the_next_version_are_taken() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let group = shop.group("reader").await.unwrap();
    let control = control(&shop).await;
    let nats = jetstream::new(control.clone());
    let wishes = nats.get_key_value(TASKS.name).await.unwrap();
    let statuses = nats.get_key_value(TASK_STATUS.name).await.unwrap();

    // A task-api of the next version wishes a name.
    let mut next = of_the_next_version(wish(&wishes, &shop).await);
    let spec: TaskSpec = serde_json::from_value(next.clone()).unwrap();
    let generation = spec.generation + 1;
    next["generation"] = json!(generation.to_string());
    next["retryMinutes"] = json!(77);
    wishes
        .put(shop.task.as_str(), next.to_string().into())
        .await
        .unwrap();
    eventually("capture follows the wish", PATIENCE, async || {
        let value = statuses.get(shop.task.as_str()).await;
        let status = value
            .ok()
            .flatten()
            .map(|value| serde_json::from_slice::<TaskStatus>(&value));
        matches!(status, Some(Ok(status)) if status.generation == generation)
    })
    .await;
    shop.sql
        .batch_execute("INSERT INTO shop.counter VALUES (7)")
        .await
        .unwrap();
    let mut member = group.subscribe().await.unwrap();
    read_until(&mut member, |change| is_count(change, 7))
        .await
        .unwrap();

    // It tells a state that is not known here, and then one that is.
    let mut raised = control.subscribe(IncidentRaised::SUBJECT).await.unwrap();
    for (id, state) in [("next-1", "hibernating"), ("next-2", "abnormal")] {
        let fact = of_the_next_version(json!({
            "meta": {"id": id, "occurredAt": "2026-11-28T12:00:00Z"},
            "taskId": shop.task.as_str(), "taskName": "shop", "from": "running", "to": state,
            "actor": "service:capture", "reason": "told by the next version",
        }));
        let told = nats
            .publish(TaskStateChanged::SUBJECT, fact.to_string().into())
            .await
            .unwrap();
        told.await.unwrap();
    }
    let incident = tokio::time::timeout(PATIENCE, raised.next())
        .await
        .unwrap()
        .unwrap();
    let incident: IncidentRaised = serde_json::from_slice(&incident.payload).unwrap();
    assert!(
        incident
            .incident
            .unwrap()
            .summary
            .contains("told by the next version")
    );
    assert_eq!(shop.task().await.unwrap().state, TaskState::Running);
}
