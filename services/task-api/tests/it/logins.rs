//! Who logged in at NATS, and who was refused, stands in the audit log beside the requests.

use rowcast_bus::{event_meta, publish};
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::event::Event as _;
use rowcast_proto::message::{LoginSeen, TraceContext};
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use crate::fixture::{Api, LIMIT};

/// Says as consumer-group who logged in.
async fn tell(api: &Api, fact: &LoginSeen) {
    let fact = LoginSeen {
        meta: Some(event_meta()),
        ..fact.clone()
    };
    let id = fact.meta.as_ref().unwrap().id.clone();
    let subject = LoginSeen::SUBJECT.to_owned();
    let payload = serde_json::to_vec(&fact).unwrap().into();
    let trace = TraceContext::default();
    publish::event(&api.bus, subject, &id, payload, &trace)
        .await
        .unwrap();
}

async fn entries(api: &Api, query: &str) -> Vec<Value> {
    let log = api.get(&format!("/audit?{query}")).await;
    log.body["entries"].as_array().unwrap().clone()
}

/// Three logins with a wrong password.
fn refused(task: &TaskId, group: &GroupId) -> LoginSeen {
    LoginSeen {
        id: "one".to_owned(),
        login: format!("reader-{group}"),
        group_id: group.to_string(),
        task_id: task.to_string(),
        host: "192.0.2.7".to_owned(),
        client_name: "shop".to_owned(),
        refusal: "wrong_password".to_owned(),
        first_at: Some(chrono::Utc::now().into()),
        times: 3,
        ..LoginSeen::default()
    }
}

#[tokio::test]
async fn logins_are_entries_with_a_number_that_grows() {
    let api = Api::start().await;
    let (task, group) = (TaskId::random(), GroupId::random());
    let refused = refused(&task, &group);
    let let_in = LoginSeen {
        id: "two".to_owned(),
        refusal: String::new(),
        client_name: String::new(),
        times: 1,
        ..refused.clone()
    };
    let many = LoginSeen {
        id: "three".to_owned(),
        login: "*".to_owned(),
        group_id: String::new(),
        task_id: String::new(),
        host: "*".to_owned(),
        ..refused.clone()
    };
    let more = |times| LoginSeen {
        times,
        ..refused.clone()
    };
    // The second is told late: a smaller number than is known.
    for fact in [&refused, &more(9), &more(5), &let_in, &many] {
        tell(&api, fact).await;
    }
    eventually("all are there", LIMIT, async || {
        entries(&api, "actor=login:*").await.len() == 1
    })
    .await;

    let about = entries(&api, &format!("about={group}")).await;
    assert_eq!(about.len(), 2, "{about:?}");
    assert_eq!(
        about,
        entries(&api, &format!("actor=login:reader-{group}")).await
    );
    let entry = about.iter().find(|entry| entry["status"] == 401).unwrap();
    let word = |name: &str| entry[name].as_str().unwrap();
    let path = format!("/api/v1/tasks/{task}/groups/{group}");
    assert_eq!(
        (
            word("action"),
            word("address"),
            word("path"),
            word("problem"),
            word("client_name")
        ),
        (
            "login",
            "192.0.2.7",
            path.as_str(),
            "wrong_password",
            "shop"
        )
    );
    assert_eq!(entry["times"], 9);
    let entry = about.iter().find(|entry| entry["status"] == 200).unwrap();
    assert_eq!(entry["times"], 1);
    assert_eq!(
        (&entry["problem"], &entry["client_name"]),
        (&Value::Null, &Value::Null)
    );
    let many = entries(&api, "actor=login:*").await;
    assert_eq!(
        (&many[0]["address"], &many[0]["path"]),
        (&json!("*"), &json!(""))
    );
}
