//! What needs another service, while none of them runs.

use futures::StreamExt as _;
use reqwest::{Method, StatusCode};
use rowcast_proto::rpc::{ListIncidents, Rpc as _};
use serde_json::{Value, json};

use crate::fixture::{Api, send, source};

#[tokio::test]
async fn the_service_that_is_absent_is_named() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;

    let incidents = api.get("/incidents?open=true").await;
    incidents.is_problem(unavailable, "alerting_unavailable");
    let usage = api.get(&format!("/tasks/{task}/usage")).await;
    usage.is_problem(unavailable, "billing_unavailable");
    let groups = api.get(&format!("/tasks/{task}/groups")).await;
    groups.is_problem(unavailable, "consumer_group_unavailable");
    let group = json!({"name": "g", "account": "reader", "password": "abcdefg1"});
    let created = api.post(&format!("/tasks/{task}/groups"), &group).await;
    created.is_problem(unavailable, "consumer_group_unavailable");
    let detail = created.body["detail"].as_str().unwrap();
    assert!(detail.contains("consumer-group"), "{detail}");
}

#[tokio::test]
async fn a_source_is_tested_by_precheck_before_and_after_it_is_registered() {
    let api = Api::start().await;
    let id = api.created_source().await;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let registered = api.command(&format!("/sources/{id}/test")).await;
    registered.is_problem(unavailable, "precheck_unavailable");
    let unregistered = api.post("/sources/test", &source()).await;
    unregistered.is_problem(unavailable, "precheck_unavailable");

    let mut bad = source();
    bad["port"] = json!(0);
    let answer = api.post("/sources/test", &bad).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(answer.body["field"], "port");
    let unknown = api.command("/sources/s000000000000/test").await;
    unknown.is_problem(StatusCode::NOT_FOUND, "source_not_found");
    let listed = api.get("/sources").await;
    assert_eq!(listed.body["sources"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_query_that_cannot_be_taken_names_its_parameter() {
    let api = Api::start().await;
    let id = api.created_source().await;
    let path = format!("/sources/{id}/objects");
    let absent = api.get(&path).await;
    absent.is_problem(StatusCode::SERVICE_UNAVAILABLE, "precheck_unavailable");
    for (query, field) in [
        ("limit=x", "limit"),
        ("level=rows", "level"),
        ("scheme=a", "scheme"),
        ("limit=201", "limit"),
        ("schema=", "schema"),
    ] {
        let answer = api.get(&format!("{path}?{query}")).await;
        answer.is_problem(StatusCode::BAD_REQUEST, "malformed_query");
        assert_eq!(answer.body["field"], field, "{answer:?}");
    }
}

#[tokio::test]
async fn a_precheck_without_a_report_fails_and_may_be_repeated() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/precheck");
    for _ in 0..2 {
        let answer = api.command(&path).await;
        answer.is_problem(StatusCode::SERVICE_UNAVAILABLE, "precheck_unavailable");
        assert_eq!(api.state(&task).await, "precheck_failed");
    }
    api.get(&path)
        .await
        .is_problem(StatusCode::NOT_FOUND, "precheck_not_found");
}

#[tokio::test]
async fn a_purchase_needs_no_key_and_takes_one() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/purchase");
    let body = json!({"charge_type": "pay_as_you_go"});
    let early = api.post(&path, &body).await;
    early.is_problem(StatusCode::CONFLICT, "precheck_missing");
    sqlx::query("UPDATE task_api.tasks SET state = 'precheck_passed' WHERE id = $1")
        .bind(task.as_str())
        .execute(&api.pool)
        .await
        .unwrap();
    let without = api.post(&path, &body).await;
    without.is_problem(StatusCode::SERVICE_UNAVAILABLE, "billing_unavailable");
    let request = api
        .request(Method::POST, &path)
        .header("Idempotency-Key", "order-1");
    let with = send(request.json(&body)).await;
    with.is_problem(StatusCode::SERVICE_UNAVAILABLE, "billing_unavailable");
}

#[tokio::test]
async fn the_state_is_looked_at_before_the_instance() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let start = api.command(&format!("/tasks/{task}/start")).await;
    start.is_problem(StatusCode::CONFLICT, "state_forbids");
    let repair = start.body["repair"].as_str().unwrap();
    assert_eq!(
        repair,
        "A task that is not_started allows: change, change_objects, precheck, renew, create_group, clone, release."
    );
}

#[tokio::test]
async fn an_answer_of_the_next_version_is_read() {
    let api = Api::start().await;
    let mut asked = api
        .bus
        .client()
        .subscribe(ListIncidents::SUBJECT)
        .await
        .unwrap();
    // Before the question, which comes over another connection.
    api.bus.client().flush().await.unwrap();
    let sample: Value = serde_json::from_str(include_str!(
        "../../../../proto/golden/message/ListIncidentsReply.v1.json"
    ))
    .unwrap();
    let mut next = sample;
    next["incidents"][0]["fieldOfTheNextVersion"] = json!({"a": [1, null]});
    next["another"] = json!("x");
    let answer = async {
        let question = asked.next().await.unwrap();
        let reply = question.reply.unwrap();
        let client = api.bus.client();
        client
            .publish(reply, next.to_string().into())
            .await
            .unwrap();
    };
    let (listed, ()) = tokio::join!(api.get("/incidents"), answer);
    assert_eq!(listed.status, StatusCode::OK, "{listed:?}");
    assert_eq!(listed.body["incidents"].as_array().unwrap().len(), 1);
}
