//! What speaks the first version of the contract, compiled from its own sources, among the services of today: it asks,
//! it wishes, and it answers.

use std::time::Duration;

use async_nats::jetstream;
use futures::StreamExt as _;
use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop, first_contract as first, is_count, read_until};
use rowcast_proto::message::Timestamp;
use rowcast_proto::rpc::{self, DEADLINE_HEADER, ERROR_HEADER, Rpc};
use rowcast_proto::stream::{TASK_STATUS, TASKS};
use rowcast_testkit::eventually;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::control;

/// Asks on a subject of today, and reads the answer as the first version does.
async fn ask<R: Rpc, Reply: DeserializeOwned>(
    control: &async_nats::Client,
    question: &impl Serialize,
) -> Reply {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(DEADLINE_HEADER, "20000");
    let request = async_nats::Request::new()
        .headers(headers)
        .timeout(Some(PATIENCE))
        .payload(serde_json::to_vec(question).unwrap().into());
    let answer = control.send_request(R::SUBJECT, request).await.unwrap();
    let text = String::from_utf8_lossy(&answer.payload);
    let refused = answer
        .headers
        .is_some_and(|all| all.get(ERROR_HEADER).is_some());
    assert!(!refused, "{}: {text}", R::SUBJECT);
    serde_json::from_str(&text).unwrap()
}

/// The wish of the task as a service of the first version reads it.
async fn wish(kv: &jetstream::kv::Store, shop: &Shop) -> first::TaskSpec {
    let value = kv.get(shop.task.as_str()).await.unwrap().unwrap();
    serde_json::from_slice(&value).unwrap()
}

#[tokio::test]
async fn an_asker_of_the_first_version_is_answered_by_every_service() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let control = control(&shop).await;
    let nats = jetstream::new(control.clone());
    let wish = wish(&nats.get_key_value(TASKS.name).await.unwrap(), &shop).await;
    let task_id = shop.task.to_string();

    let question = first::PrecheckRequest {
        task_id: task_id.clone(),
        source: wish.source,
        objects: wish.objects,
        change_types: wish.change_types,
    };
    let report: first::PrecheckReport = ask::<rpc::RunPrecheck, _>(&control, &question).await;
    assert!(report.passed && !report.items.is_empty(), "{report:?}");

    let by_the_hour = first::ChargeType::PayAsYouGo;
    let question = first::QuoteRequest {
        charge_type: by_the_hour.into(),
    };
    let quote: first::Quote = ask::<rpc::GetQuote, _>(&control, &question).await;
    assert!(quote.hour_micros > 0, "{quote:?}");
    let of_task = first::InstanceRequest {
        task_id: task_id.clone(),
    };
    let told: first::InstanceReply = ask::<rpc::GetInstance, _>(&control, &of_task).await;
    let bought = told.instance.unwrap();
    assert_eq!(bought.charge_type(), by_the_hour);
    // Under the order's key of today's task-api, it is the same order.
    let order = first::PurchaseRequest {
        task_id: task_id.clone(),
        charge_type: by_the_hour.into(),
        order_key: task_id.clone(),
        actor: "user:first".to_owned(),
    };
    let again: first::Instance = ask::<rpc::PurchaseInstance, _>(&control, &order).await;
    assert_eq!(again.id, bought.id);
    let of_task = first::UsageRequest {
        task_id: task_id.clone(),
    };
    let _usage: first::UsageReply = ask::<rpc::GetUsage, _>(&control, &of_task).await;
    let question = first::ListIncidentsRequest {
        task_id: task_id.clone(),
        open: true,
    };
    let incidents: first::ListIncidentsReply =
        ask::<rpc::ListIncidents, _>(&control, &question).await;
    assert!(incidents.incidents.is_empty(), "{incidents:?}");
    groups_are_told(&shop, &control).await;
}

/// A group of today, which has more members than the first version knows.
async fn groups_are_told(shop: &Shop, control: &async_nats::Client) {
    let group = shop.group("reader").await.unwrap();
    let task_id = shop.task.to_string();
    let of_task = first::ListGroupsRequest {
        task_id: task_id.clone(),
    };
    let list: first::ListGroupsReply = ask::<rpc::ListGroups, _>(control, &of_task).await;
    assert_eq!(list.groups.len(), 1);
    let of_group = first::GroupRequest {
        task_id,
        group_id: group.connection.group_id.to_string(),
        actor: "user:first".to_owned(),
    };
    let told: first::Group = ask::<rpc::GetGroup, _>(control, &of_group).await;
    assert_eq!(told.name, "reader");
    let connection: first::GroupConnection =
        ask::<rpc::GetGroupConnection, _>(control, &of_group).await;
    assert_eq!(connection.login, group.connection.login);
    let _deleted: first::DeleteGroupReply = ask::<rpc::DeleteGroup, _>(control, &of_group).await;
    let list: first::ListGroupsReply = ask::<rpc::ListGroups, _>(control, &of_task).await;
    assert!(list.groups.is_empty(), "{list:?}");
}

#[tokio::test]
async fn a_wish_of_the_first_version_is_made_true_and_its_report_is_read_there() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let group = shop.group("reader").await.unwrap();
    let nats = jetstream::new(control(&shop).await);
    let wishes = nats.get_key_value(TASKS.name).await.unwrap();
    let statuses = nats.get_key_value(TASK_STATUS.name).await.unwrap();
    // Without what the first version does not know: packing, format, policy, alerts.
    let mut wanted = wish(&wishes, &shop).await;
    wanted.generation += 1;
    wanted.retry_minutes = 77;
    let generation = wanted.generation;
    let value = serde_json::to_vec(&wanted).unwrap();
    wishes.put(shop.task.as_str(), value.into()).await.unwrap();
    eventually("capture follows the wish", PATIENCE, async || {
        let value = statuses.get(shop.task.as_str()).await.ok().flatten();
        let status = value.map(|value| serde_json::from_slice::<first::TaskStatus>(&value));
        matches!(status, Some(Ok(status))
            if status.generation == generation && status.state() == first::CaptureState::Running)
    })
    .await;
    shop.sql
        .batch_execute("INSERT INTO shop.counter VALUES (7)")
        .await
        .unwrap();
    let mut member = group.subscribe().await.unwrap();
    let read = read_until(&mut member, |change| is_count(change, 7)).await;
    assert_eq!(read.unwrap().len(), 1);
}

/// A billing of the first version: one price, no subscriptions, no list of instances.
async fn first_billing(shop: &Shop) -> impl Future<Output = ()> + use<> {
    let password = shop.platform.nats_password("billing").unwrap();
    let client = async_nats::ConnectOptions::with_user_and_password("billing".into(), password)
        .connect(&shop.platform.nats_url)
        .await
        .unwrap();
    let mut questions = client.subscribe("rowcast.rpc.billing.>").await.unwrap();
    client.flush().await.unwrap();
    async move {
        let mut sold: Option<first::Instance> = None;
        while let Some(question) = questions.next().await {
            let Some(reply) = question.reply.clone() else {
                continue;
            };
            let answer = if question.subject.as_str() == rpc::PurchaseInstance::SUBJECT {
                let order: first::PurchaseRequest =
                    serde_json::from_slice(&question.payload).unwrap();
                let instance = sold.get_or_insert_with(|| first::Instance {
                    id: "n000000000000".to_owned(),
                    task_id: order.task_id,
                    charge_type: order.charge_type,
                    hour_micros: 120_000,
                    currency: "USD".to_owned(),
                    price_version: "first".to_owned(),
                    purchased_at: Some(Timestamp {
                        seconds: 1_764_000_000,
                        nanos: 0,
                    }),
                });
                serde_json::to_vec(instance)
            } else if question.subject.as_str() == rpc::GetInstance::SUBJECT {
                let instance = sold.clone();
                serde_json::to_vec(&first::InstanceReply { instance })
            } else {
                // What it does not know it does not hear.
                continue;
            };
            client.publish(reply, answer.unwrap().into()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_task_is_bought_and_started_with_a_billing_of_the_first_version() {
    let mut shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    shop.precheck().await.unwrap();
    shop.platform.kill("billing").await.unwrap();
    let billing = first_billing(&shop).await;
    let life = async {
        shop.purchase().await.unwrap();
        let task: serde_json::Value = shop.command("start").await.unwrap();
        assert_eq!(task["id"], json!(shop.task.as_str()));
        shop.reaches(TaskState::Running).await;
        let group = shop.group("reader").await.unwrap();
        shop.sql
            .batch_execute("INSERT INTO shop.counter VALUES (7)")
            .await
            .unwrap();
        let mut member = group.subscribe().await.unwrap();
        read_until(&mut member, |change| is_count(change, 7))
            .await
            .unwrap();
        // A list asks for what that billing does not answer, and goes without.
        let listed: serde_json::Value = shop.api.get("/tasks?with=instance").await.unwrap();
        assert_eq!(listed["tasks"][0]["state"], "running");
        assert_eq!(listed["tasks"][0]["instance"], serde_json::Value::Null);
    };
    tokio::select! {
        () = billing => panic!("the billing of the first version has ended"),
        () = life => {}
        () = tokio::time::sleep(Duration::from_mins(3)) => panic!("it does not end"),
    }
}
