//! Commands that are sent twice.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fixture::{Answer, Api, send, source};

async fn create(api: &Api, key: &str, body: &Value) -> Answer {
    let request = api
        .request(Method::POST, "/sources")
        .header("Idempotency-Key", key);
    send(request.json(body)).await
}

#[tokio::test]
async fn a_request_sent_twice_is_done_once() {
    let mut api = Api::start().await;
    let first = create(&api, "k1", &source()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert!(!first.replayed);
    // The answer outlives the process.
    api.crash_and_restart().await;
    let second = create(&api, "k1", &source()).await;
    assert_eq!(
        (second.status, &second.body),
        (StatusCode::CREATED, &first.body)
    );
    assert!(second.replayed);
    let sources = api.get("/sources").await;
    assert_eq!(sources.body["sources"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let api = Api::start().await;
    create(&api, "k1", &source()).await;
    let mut other = source();
    other["name"] = json!("other");
    let answer = create(&api, "k1", &other).await;
    answer.is_problem(StatusCode::CONFLICT, "idempotency_key_reused");
    assert_eq!(create(&api, "k2", &other).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn many_at_once_make_one() {
    let api = Api::start().await;
    let body = source();
    let answers = futures::future::join_all((0..8).map(|_| create(&api, "k1", &body))).await;
    for answer in &answers {
        if answer.status != StatusCode::CREATED {
            answer.is_problem(StatusCode::CONFLICT, "request_in_progress");
        }
    }
    assert!(
        answers
            .iter()
            .any(|answer| answer.status == StatusCode::CREATED)
    );
    let sources = api.get("/sources").await;
    assert_eq!(sources.body["sources"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_request_may_be_repaired_under_its_key() {
    let api = Api::start().await;
    let mut bad = source();
    bad["name"] = json!("");
    let refused = create(&api, "k1", &bad).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        create(&api, "k1", &source()).await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn every_command_can_have_a_key() {
    let mut api = Api::start().await;
    let id = api.created_source().await;
    let path = format!("/sources/{id}");
    let tag = api.get(&path).await.etag;
    let rename = async |api: &Api, name: &str| {
        let request = api
            .request(Method::PATCH, &path)
            .header("Idempotency-Key", "rename")
            .header("If-Match", &tag);
        send(request.json(&json!({"name": name}))).await
    };
    let first = rename(&api, "store").await;
    assert_eq!(first.status, StatusCode::OK, "{first:?}");
    assert_ne!(first.etag, tag);
    // Its client did not hear that. Without the key, the version would no longer be the one that it meant.
    api.crash_and_restart().await;
    let again = rename(&api, "store").await;
    assert!(again.replayed, "{again:?}");
    assert_eq!((&again.body, &again.etag), (&first.body, &first.etag));
    let other = rename(&api, "shop").await;
    other.is_problem(StatusCode::CONFLICT, "idempotency_key_reused");

    let delete = async || {
        let request = api.request(Method::DELETE, &path);
        send(request.header("Idempotency-Key", "delete")).await
    };
    assert_eq!(delete().await.status, StatusCode::NO_CONTENT);
    let again = delete().await;
    assert_eq!(
        (again.status, again.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    assert!(again.replayed && again.content_type.is_empty(), "{again:?}");
}

#[tokio::test]
async fn a_token_made_twice_under_a_key_is_one_and_is_kept_sealed() {
    let mut api = Api::start().await;
    let make = async |api: &Api| {
        let request = api
            .request(Method::POST, "/tokens")
            .header("Idempotency-Key", "ci");
        send(request.json(&json!({"name": "ci", "role": "viewer"}))).await
    };
    let first = make(&api).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    api.crash_and_restart().await;
    let again = make(&api).await;
    assert!(again.replayed, "{again:?}");
    assert_eq!(again.body, first.body);
    let secret = first.body["secret"].as_str().unwrap();
    let kept: Vec<u8> = sqlx::query_scalar("SELECT answer FROM task_api.idempotency_keys")
        .fetch_one(&api.pool)
        .await
        .unwrap();
    let is_told = kept
        .windows(secret.len())
        .any(|text| text == secret.as_bytes());
    assert!(!kept.is_empty() && !is_told);
    let request = api.anonymous(Method::GET, "/tasks").bearer_auth(secret);
    assert_eq!(send(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_malformed_key_is_refused() {
    let api = Api::start().await;
    let answer = create(&api, &"k".repeat(129), &source()).await;
    answer.is_problem(StatusCode::BAD_REQUEST, "malformed_idempotency_key");
}
