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
async fn a_malformed_key_is_refused() {
    let api = Api::start().await;
    let answer = create(&api, &"k".repeat(129), &source()).await;
    answer.is_problem(StatusCode::BAD_REQUEST, "malformed_idempotency_key");
}
