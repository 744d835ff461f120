//! Registering sources.

use reqwest::StatusCode;
use serde_json::json;

use crate::fixture::{Api, source};

#[tokio::test]
async fn a_password_is_never_returned_and_stored_sealed() {
    let api = Api::start().await;
    let created = api.post("/sources", &source()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    let id = created.body["id"].as_str().unwrap();
    let shown = api.get(&format!("/sources/{id}")).await;
    assert_eq!(shown.body, created.body);
    let listed = api.get("/sources").await;
    assert_eq!(listed.body["sources"][0], created.body);
    for text in [&created.text, &shown.text, &listed.text] {
        assert!(
            !text.contains("password") && !text.contains("correct horse"),
            "{text}"
        );
    }
    let ciphertext: Vec<u8> =
        sqlx::query_scalar("SELECT password_ciphertext FROM task_api.sources WHERE id = $1")
            .bind(id)
            .fetch_one(&api.pool)
            .await
            .unwrap();
    assert!(!String::from_utf8_lossy(&ciphertext).contains("correct horse"));
}

#[tokio::test]
async fn who_runs_a_source_is_told_and_changed_without_a_word_to_its_tasks() {
    let api = Api::start().await;
    let mut wanted = source();
    wanted["kind"] = json!("rds");
    wanted["region"] = json!("eu-central-1");
    let created = api.post("/sources", &wanted).await;
    assert_eq!(created.body["kind"], "rds", "{created:?}");
    let path = format!("/sources/{}", created.body["id"].as_str().unwrap());
    let moved = json!({"kind": "aurora", "region": "", "instance_id": "db-7"});
    let changed = api.patch(&path, &moved).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(api.get(&path).await.body, changed.body);
    assert_eq!(changed.body["kind"], "aurora");
    assert_eq!(changed.body["instance_id"], "db-7");
    assert_eq!(changed.body.get("region"), None, "{changed:?}");
    // Nothing of it is on the way to the server: no password is asked for.
    let again = api.patch(&path, &moved).await;
    assert_eq!(again.etag, changed.etag, "the same again changes nothing");
    let unknown = api.patch(&path, &json!({"kind": "oracle"})).await;
    unknown.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(unknown.body["field"], "kind");
}
