//! Contacts over REST, and tasks that name them.

use reqwest::{Method, StatusCode};
use rowcast_proto::message::Contact;
use serde_json::{Value, json};

use crate::fixture::{Api, send, task};
use crate::stand_in;

const ID: &str = "a000000000001";

fn contact(id: &str, group: &str) -> Contact {
    Contact {
        id: id.to_owned(),
        name: "on call".to_owned(),
        resource_group: group.to_owned(),
        url: "https://hooks.example.com/a".to_owned(),
        created_at: Some(chrono::Utc::now().into()),
        ..Contact::default()
    }
}

fn wanted() -> Value {
    json!({"name": "on call", "kind": "webhook", "url": "https://hooks.example.com/a",
           "secret": "correct-horse-battery"})
}

#[tokio::test]
async fn a_contact_never_tells_its_secret_and_keeps_it_for_its_url() {
    let api = Api::start().await;
    stand_in::contacts(&api.bus, vec![contact(ID, "")]).await;
    let made = api.post("/contacts", &wanted()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.body["url"], "https://hooks.example.com/a");
    assert!(!made.text.contains("horse"), "{made:?}");
    let mut short = wanted();
    short["secret"] = json!("short");
    let refused = api.post("/contacts", &short).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(refused.body["field"], "secret");

    let mail = json!({"name": "ops", "kind": "email", "address": "ops@example.com"});
    let made = api.post("/contacts", &mail).await;
    assert_eq!(made.body["address"], "ops@example.com", "{made:?}");
    assert_eq!(made.body["kind"], "email");
    let both =
        json!({"name": "ops", "kind": "email", "address": "ops@example.com", "url": "https://h/"});
    let refused = api.post("/contacts", &both).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(refused.body["field"], "url");

    let path = format!("/contacts/{ID}");
    let moved = json!({"url": "https://evil.example.com/"});
    let refused = api.patch(&path, &moved).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "secret_needed");
    let renamed = api.patch(&path, &json!({"name": "night"})).await;
    assert_eq!(renamed.body["name"], "night", "{renamed:?}");
    let nobody = api.get("/contacts/a000000000009").await;
    nobody.is_problem(StatusCode::NOT_FOUND, "contact_not_found");
}

#[tokio::test]
async fn a_change_of_a_contact_means_one_version_of_it() {
    let api = Api::start().await;
    stand_in::contacts(&api.bus, vec![contact(ID, "")]).await;
    let path = format!("/contacts/{ID}");
    let first = api.get(&path).await.etag;
    assert!(!first.is_empty());
    let with = async |method: Method, tag: &str, body: Value| {
        let request = api.request(method, &path).header("If-Match", tag);
        send(request.json(&body)).await
    };
    // What was refused has changed nothing, and may be sent again as it should have been.
    let refused = with(
        Method::PATCH,
        &first,
        json!({"url": "https://h.example.com/"}),
    )
    .await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "secret_needed");
    let renamed = with(Method::PATCH, &first, json!({"name": "night"})).await;
    assert_eq!(renamed.status, StatusCode::OK, "{renamed:?}");
    assert_ne!(renamed.etag, first);
    assert_eq!(api.get(&path).await.etag, renamed.etag);
    for method in [Method::PATCH, Method::DELETE] {
        let late = with(method, &first, json!({"name": "day"})).await;
        late.is_problem(StatusCode::PRECONDITION_FAILED, "version_changed");
    }
    let unseen = api
        .patch("/contacts/a000000000009", &json!({"name": "x"}))
        .await;
    unseen.is_problem(StatusCode::NOT_FOUND, "contact_not_found");
    let counted: i64 = sqlx::query_scalar("SELECT count(*) FROM task_api.versions")
        .fetch_one(&api.pool)
        .await
        .unwrap();
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn a_task_names_contacts_that_are_there_and_holds_them() {
    let api = Api::start().await;
    stand_in::contacts(&api.bus, vec![contact(ID, "")]).await;
    let registered = api.created_source().await;
    let mut wrong = task(&registered);
    wrong["alerting"] = json!({"contacts": [ID, "a000000000009"]});
    let refused = api.post("/tasks", &wrong).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "contact_not_found");
    assert_eq!(refused.body["field"], "alerting.contacts");

    let id = api.starting_task().await;
    let path = format!("/tasks/{id}");
    let said = json!({"alerting": {"contacts": [ID]}});
    let changed = api.patch(&path, &said).await;
    assert_eq!(changed.body["alerting"], said["alerting"], "{changed:?}");
    assert_eq!(api.wish(&id, 2).await.alerting.unwrap().contacts, [ID]);
    let refused = send(api.request(Method::DELETE, &format!("/contacts/{ID}"))).await;
    refused.is_problem(StatusCode::CONFLICT, "contact_in_use");
    assert!(refused.text.contains(id.as_str()), "{refused:?}");
}

#[tokio::test]
async fn contacts_of_others_are_not_there() {
    let api = Api::start().await;
    let theirs = "a000000000002";
    stand_in::contacts(&api.bus, vec![contact(ID, "sales"), contact(theirs, "crm")]).await;
    let bound = json!({"name": "ci", "role": "operator", "resource_groups": ["sales"]});
    let token = api.post("/tokens", &bound).await;
    let secret = token.body["secret"].as_str().unwrap();
    let ask = async |method: Method, path: &str| {
        send(api.anonymous(method, path).bearer_auth(secret)).await
    };
    let listed = ask(Method::GET, "/contacts").await;
    let listed = listed.body["contacts"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    for (method, path) in [
        (Method::GET, format!("/contacts/{theirs}")),
        (Method::DELETE, format!("/contacts/{theirs}")),
        (Method::POST, format!("/contacts/{theirs}/test")),
    ] {
        let refused = ask(method, &path).await;
        refused.is_problem(StatusCode::NOT_FOUND, "contact_not_found");
    }
    let made = api.anonymous(Method::POST, "/contacts").bearer_auth(secret);
    let refused = send(made.json(&wanted())).await;
    refused.is_problem(StatusCode::FORBIDDEN, "outside_scope");
}
