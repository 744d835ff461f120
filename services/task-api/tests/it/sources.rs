//! Registering sources.

use reqwest::StatusCode;

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
