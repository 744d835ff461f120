//! What was put away of a group without a request stands in the audit log beside the requests.

use rowcast_bus::{event_meta, publish};
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::event::Event as _;
use rowcast_proto::message::{DeadLetterCause, DeadLettersPutAway, TraceContext};
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use crate::fixture::{Api, LIMIT};

/// Says as consumer-group what it has put away, in a message with this id.
async fn tell(api: &Api, fact: &DeadLettersPutAway, message_id: &str) {
    let subject = DeadLettersPutAway::SUBJECT.to_owned();
    let payload = serde_json::to_vec(fact).unwrap().into();
    let trace = TraceContext::default();
    publish::event(&api.bus, subject, message_id, payload, &trace)
        .await
        .unwrap();
}

async fn entries(api: &Api, query: &str) -> Vec<Value> {
    let log = api.get(&format!("/audit?{query}")).await;
    log.body["entries"].as_array().unwrap().clone()
}

fn exhausted(task: &TaskId, group: &GroupId) -> DeadLettersPutAway {
    DeadLettersPutAway {
        meta: Some(event_meta()),
        group_id: group.to_string(),
        group_name: "orders".to_owned(),
        task_id: task.to_string(),
        cause: DeadLetterCause::Exhausted.into(),
        number: 120,
        first_sequence: 42,
        last_sequence: 170,
        first_at: Some(chrono::Utc::now().into()),
    }
}

#[tokio::test]
async fn dead_letters_of_some_seconds_are_one_entry_however_often_they_are_told() {
    let api = Api::start().await;
    let (task, group) = (TaskId::random(), GroupId::random());
    let exhausted = exhausted(&task, &group);
    let given_up = DeadLettersPutAway {
        meta: Some(event_meta()),
        cause: DeadLetterCause::GivenUp.into(),
        number: 1,
        first_sequence: 7,
        last_sequence: 7,
        ..exhausted.clone()
    };
    // As a relay does that was killed, and another one long after it.
    for (fact, message_id) in [(&exhausted, "1"), (&exhausted, "2"), (&given_up, "3")] {
        tell(&api, fact, message_id).await;
    }
    eventually("all are there", LIMIT, async || {
        let about = entries(&api, &format!("about={group}")).await;
        about.iter().any(|entry| entry["problem"] == "given_up")
    })
    .await;

    let about = entries(&api, &format!("about={group}")).await;
    assert_eq!(about.len(), 2, "{about:?}");
    let of_service = entries(&api, "actor=service:consumer-group").await;
    assert_eq!(about, of_service);
    let entry = about
        .iter()
        .find(|entry| entry["problem"] == "exhausted")
        .unwrap();
    let path = format!("/api/v1/tasks/{task}/groups/{group}");
    assert_eq!(
        (&entry["action"], &entry["path"], &entry["status"]),
        (&json!("dead_letter"), &json!(path), &json!(200))
    );
    assert_eq!(
        (
            &entry["times"],
            &entry["first_sequence"],
            &entry["last_sequence"]
        ),
        (&json!(120), &json!(42), &json!(170))
    );
    assert_eq!(entry["address"], Value::Null);
}
