//! Prechecks that are run again, and alerts that somebody answers for.

use reqwest::StatusCode;
use serde_json::json;

use crate::fixture::{Api, TOKEN};
use crate::stand_in;

#[tokio::test]
async fn only_a_report_on_what_the_task_is_now_can_be_gone_on_with() {
    let api = Api::start().await;
    stand_in::precheck(&api.bus, || async {}).await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/precheck");
    let only_failed = json!({"only_failed": true});
    let none = api.post(&path, &only_failed).await;
    none.is_problem(StatusCode::CONFLICT, "precheck_outdated");
    assert_eq!(none.body["field"], "only_failed");
    assert_eq!(api.state(&task).await, "not_started");

    assert_eq!(api.command(&path).await.status, StatusCode::OK);
    let again = api.post(&path, &only_failed).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    let shown = api.get(&format!("/tasks/{task}")).await;
    let source = shown.body["source_id"].as_str().unwrap();
    let change = json!({"sslmode": "prefer", "password": "p2"});
    let answer = api.patch(&format!("/sources/{source}"), &change).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    // What was found out about the way there before says nothing now.
    assert_eq!(api.state(&task).await, "not_started");
    let outdated = api.post(&path, &only_failed).await;
    outdated.is_problem(StatusCode::CONFLICT, "precheck_outdated");

    api.command(&path).await;
    let change = json!({"retry_minutes": 20});
    api.patch(&format!("/tasks/{task}"), &change).await;
    let outdated = api.post(&path, &only_failed).await;
    outdated.is_problem(StatusCode::CONFLICT, "precheck_outdated");
    let misspelt = api.post(&path, &json!({"failed": true})).await;
    misspelt.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(misspelt.body["field"], "failed");
}

#[tokio::test]
async fn a_precheck_of_a_source_that_was_changed_meanwhile_proves_nothing() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let shown = api.get(&format!("/tasks/{task}")).await;
    let source = shown.body["source_id"].as_str().unwrap();
    let url = api.url(&format!("/sources/{source}"));
    stand_in::precheck(&api.bus, move || {
        let url = url.clone();
        async move {
            let request = reqwest::Client::new().patch(url).bearer_auth(TOKEN);
            let change = json!({"password": "another"});
            let answer = request.json(&change).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
        }
    })
    .await;
    let report = api.command(&format!("/tasks/{task}/precheck")).await;
    assert_eq!(report.body["passed"], true, "{report:?}");
    assert_eq!(api.state(&task).await, "precheck_failed");
    let events = api.get(&format!("/tasks/{task}/events")).await;
    let last = events.body["events"].as_array().unwrap().last().unwrap();
    assert_eq!(
        last["reason"],
        "the source was changed while the precheck ran"
    );
}

#[tokio::test]
async fn who_ignores_says_what_and_why() {
    let api = Api::start().await;
    stand_in::precheck(&api.bus, || async {}).await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/precheck/ignore");
    let body = json!({"codes": ["wal_keep"], "by": "ada", "reason": "The disk is watched."});
    let early = api.post(&path, &body).await;
    early.is_problem(StatusCode::NOT_FOUND, "precheck_not_found");
    api.command(&format!("/tasks/{task}/precheck")).await;
    let unknown = api.post(&path, &body).await;
    unknown.is_problem(StatusCode::CONFLICT, "check_not_ignorable");
    assert_eq!(unknown.body["field"], "codes");
    let empty = json!({"codes": [], "by": "", "reason": " "});
    let answer = api.post(&path, &empty).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    let fields: Vec<_> = answer.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["codes", "by", "reason"]);
}
