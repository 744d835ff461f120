//! Rules over REST, and what tells alerting which tasks they watch.

use std::sync::{Arc, Mutex};

use reqwest::{Method, StatusCode};
use rowcast_bus::refuse::{self, Refusal as _};
use rowcast_bus::{Bus, Server};
use rowcast_proto::message::{
    AlertRule, ListContactsReply, ListContactsRequest, PutRuleRequest, RpcError, RuleRequest,
};
use rowcast_proto::rpc::{GetRule, ListContacts, PutRule};
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use crate::fixture::{Api, LIMIT, send};
use crate::stand_in::serve;

/// An alerting that keeps rules and has no contacts.
async fn alerting(bus: &Bus) {
    let rules = Arc::new(Mutex::new(Vec::<AlertRule>::new()));
    let mut server = Server::start(bus, "alerting", "0.0.0", "stands in")
        .await
        .unwrap();
    server
        .add::<ListContacts, _, _>(|_all: ListContactsRequest| async {
            Ok::<_, RpcError>(ListContactsReply::default())
        })
        .await
        .unwrap();
    let kept = Arc::clone(&rules);
    server
        .add::<GetRule, _, _>(move |request: RuleRequest| {
            let rules = kept.lock().unwrap().clone();
            async move {
                let mut rules = rules.into_iter();
                let found = rules.find(|rule| rule.id == request.rule_id);
                found.ok_or_else(|| {
                    refuse::not_found("rule_not_found", "there is none").repair("List them.")
                })
            }
        })
        .await
        .unwrap();
    server
        .add::<PutRule, _, _>(move |request: PutRuleRequest| {
            let mut rule = request.rule.unwrap_or_default();
            rule.version += 1;
            rule.created_at = Some(chrono::Utc::now().into());
            let mut kept = rules.lock().unwrap();
            kept.retain(|there| there.id != rule.id);
            kept.push(rule.clone());
            async move { Ok::<_, RpcError>(rule) }
        })
        .await
        .unwrap();
    serve(server);
}

fn rule(members: &Value) -> Value {
    let mut body = json!({"name": "late", "metric": "task_delay_seconds", "threshold": 60});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_rule_is_changed_only_as_it_was_seen() {
    let api = Api::start().await;
    alerting(&api.bus).await;
    let task = api.created_task().await;
    let made = api
        .post("/rules", &rule(&json!({"task_ids": [task]})))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.body["severity"], "warning", "{made:?}");
    let path = format!("/rules/{}", made.body["id"].as_str().unwrap());
    let change = async |tag: &str, body: Value| {
        let request = api.request(Method::PATCH, &path).header("If-Match", tag);
        send(request.json(&body)).await
    };
    let late = change("\"9\"", json!({"threshold": 90})).await;
    late.is_problem(StatusCode::PRECONDITION_FAILED, "version_changed");
    let changed = change("\"1\"", json!({"threshold": 90})).await;
    assert_eq!(changed.body["threshold"], 90, "{changed:?}");
    let again = change("\"2\"", json!({"enabled": false, "repeat_minutes": 60})).await;
    assert_eq!(again.body["enabled"], false, "{again:?}");
    assert_eq!(api.get(&path).await.body, again.body);

    for (members, code, field) in [
        (
            json!({"task_ids": ["t000000000009"]}),
            "task_not_found",
            "task_ids",
        ),
        (
            json!({"task_ids": [task], "resource_group": "sales"}),
            "task_not_watched",
            "task_ids",
        ),
        (
            json!({"contacts": ["a000000000009"]}),
            "contact_not_found",
            "contacts",
        ),
        (json!({"threshold": null}), "invalid_body", "threshold"),
        (json!({"metric": "weather"}), "invalid_body", "metric"),
    ] {
        let refused = api.post("/rules", &rule(&members)).await;
        refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, code);
        assert_eq!(refused.body["field"], field, "{refused:?}");
    }
}

#[tokio::test]
async fn rules_of_others_are_not_there() {
    let api = Api::start().await;
    alerting(&api.bus).await;
    let theirs = api
        .post("/rules", &rule(&json!({"resource_group": "crm"})))
        .await;
    let theirs = format!("/rules/{}", theirs.body["id"].as_str().unwrap());
    let bound = json!({"name": "ci", "role": "operator", "resource_groups": ["sales"]});
    let token = api.post("/tokens", &bound).await;
    let secret = token.body["secret"].as_str().unwrap();
    let ask = |method: Method, path: &str| api.anonymous(method, path).bearer_auth(secret);
    for method in [Method::GET, Method::DELETE] {
        let refused = send(ask(method, &theirs)).await;
        refused.is_problem(StatusCode::NOT_FOUND, "rule_not_found");
    }
    let everybodys = send(ask(Method::POST, "/rules").json(&rule(&json!({})))).await;
    everybodys.is_problem(StatusCode::FORBIDDEN, "outside_scope");
    let own = rule(&json!({"resource_group": "sales"}));
    let made = send(ask(Method::POST, "/rules").json(&own)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
}

#[tokio::test]
async fn other_labels_are_told_in_the_same_wish() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    assert!(api.wish(&task, 1).await.tags.is_empty());
    let labels = json!({"tags": {"env": "prod"}, "resource_group": "sales"});
    let changed = api.patch(&format!("/tasks/{task}"), &labels).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    eventually("the wish tells the labels", LIMIT, async || {
        let wish = api.wish(&task, 1).await;
        let tags: Vec<_> = wish
            .tags
            .iter()
            .map(|tag| (&*tag.key, &*tag.value))
            .collect();
        wish.generation == 1 && tags == [("env", "prod")] && wish.resource_group == "sales"
    })
    .await;
}
