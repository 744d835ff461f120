//! Bodies that cannot be taken.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::fixture::{Api, send, source, task};

#[tokio::test]
async fn every_problem_of_a_body_is_told_at_once() {
    let api = Api::start().await;
    let id = api.created_source().await;
    let mut body = task(&id);
    body["name"] = json!(" ");
    body["partitions"] = json!(0);
    body["retry_minutes"] = json!(5);
    body["objects"] = json!({});
    let answer = api.post("/tasks", &body).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    let errors = answer.body["errors"].as_array().unwrap();
    let fields: Vec<_> = errors
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["name", "objects", "retry_minutes", "partitions"]);
    assert!(
        errors.iter().all(|error| error["repair"].is_string()),
        "{errors:?}"
    );
}

#[tokio::test]
async fn a_nul_is_refused_wherever_it_stands() {
    let api = Api::start().await;
    let mut body = source();
    body["tags"] = json!({"team": "a\0b"});
    let answer = api.post("/sources", &body).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(answer.body["field"], "tags.team");
    let id = api.created_task().await;
    let body = json!({"by": "ada\0", "reason": "watched", "codes": ["wal_keep"]});
    let answer = api
        .post(&format!("/tasks/{id}/precheck/ignore"), &body)
        .await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(answer.body["field"], "by");
}

#[tokio::test]
async fn a_body_of_another_shape_names_the_field() {
    let api = Api::start().await;
    let mut body = source();
    body["port"] = json!("5432");
    let answer = api.post("/sources", &body).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(answer.body["field"], "port");

    let mut body = task("s000000000000");
    body["objects"] = json!({"schemas": [{"name": "a", "tabels": []}]});
    let answer = api.post("/tasks", &body).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(answer.body["field"], "objects.schemas[0].tabels");

    let broken = api.request(Method::POST, "/sources").body("{\"name\": ");
    send(broken)
        .await
        .is_problem(StatusCode::BAD_REQUEST, "malformed_json");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let api = Api::start().await;
    let large = api
        .request(Method::POST, "/sources")
        .body(vec![b' '; 1024 * 1024 + 1]);
    send(large)
        .await
        .is_problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
}

#[tokio::test]
async fn a_task_of_an_unknown_source_names_the_field() {
    let api = Api::start().await;
    let answer = api.post("/tasks", &task("s000000000000")).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "source_not_found");
    assert_eq!(answer.body["field"], "source_id");
}
