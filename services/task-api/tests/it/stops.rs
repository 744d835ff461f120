//! Stops that wait for a decision, and the decision.

use reqwest::{Method, StatusCode};
use rowcast_domain::TaskId;
use rowcast_proto::message::{CaptureState, TaskError};
use serde_json::json;

use crate::fixture::{Answer, Api, send, status};
use crate::stand_in;

/// A task that has stopped with this error.
async fn stopped(api: &Api, code: &str) -> TaskId {
    let task = api.starting_task().await;
    let mut stopped = status(&task, 1, CaptureState::Stopped);
    stopped.error = Some(TaskError {
        code: code.to_owned(),
        ..TaskError::default()
    });
    api.report(stopped).await;
    api.reaches(&task, "abnormal").await;
    task
}

async fn start(api: &Api, task: &TaskId, code: &str) -> Answer {
    let path = format!("/tasks/{task}/start");
    api.post(&path, &json!({"accept_stop": code})).await
}

#[tokio::test]
async fn an_accepted_stop_is_in_one_version_of_the_wish_and_in_the_history() {
    let api = Api::start().await;
    stand_in::billing(&api.bus).await;
    for (code, route) in [
        ("Gap", "start"),
        ("PublicationMissing", "resume"),
        ("BrokerDataLoss", "start"),
    ] {
        let task = stopped(&api, code).await;
        let path = format!("/tasks/{task}/{route}");
        for _ in 0..2 {
            let started = api.post(&path, &json!({"accept_stop": code})).await;
            assert_eq!(started.status, StatusCode::OK, "{started:?}");
            assert_eq!(started.body["state"], "starting");
        }
        assert_eq!(api.wish(&task, 2).await.accepted_stop, code);
        let events = api.get(&format!("/tasks/{task}/events")).await;
        let last = events.body["events"].as_array().unwrap().last().unwrap();
        assert_eq!(
            last["reason"],
            format!("{route} asked for, {code} accepted")
        );

        api.command(&format!("/tasks/{task}/suspend")).await;
        assert_eq!(api.wish(&task, 3).await.accepted_stop, "");
        api.command(&format!("/tasks/{task}/start")).await;
        assert_eq!(api.wish(&task, 4).await.accepted_stop, "");
    }
}

#[tokio::test]
async fn only_the_stop_at_which_the_task_stands_can_be_accepted() {
    let api = Api::start().await;
    stand_in::billing(&api.bus).await;
    let task = stopped(&api, "BrokerDataLoss").await;
    let other = start(&api, &task, "Gap").await;
    other.is_problem(StatusCode::CONFLICT, "stop_not_present");
    assert_eq!(other.body["field"], "accept_stop");
    let repair = other.body["repair"].as_str().unwrap();
    assert!(repair.starts_with("Accept BrokerDataLoss"), "{repair}");

    let replaced = stopped(&api, "SourceReplaced").await;
    let unacceptable = start(&api, &replaced, "SourceReplaced").await;
    unacceptable.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(unacceptable.body["field"], "accept_stop");
    let detail = unacceptable.body["detail"].as_str().unwrap();
    for possible in ["Gap", "PublicationMissing", "BrokerDataLoss"] {
        assert!(detail.contains(possible), "{detail}");
    }
    for task in [task, replaced] {
        assert_eq!(api.state(&task).await, "abnormal");
        assert_eq!(api.wish(&task, 1).await.accepted_stop, "");
    }
}

#[tokio::test]
async fn the_body_of_a_start_may_be_left_out_or_empty() {
    let api = Api::start().await;
    stand_in::billing(&api.bus).await;
    let task = stopped(&api, "Gap").await;
    let path = format!("/tasks/{task}/start");
    let misspelt = api.post(&path, &json!({"accept": "Gap"})).await;
    misspelt.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(misspelt.body["field"], "accept");
    let without = send(api.request(Method::POST, &path)).await;
    assert_eq!(without.status, StatusCode::OK, "{without:?}");
    let empty = api.post(&path, &json!({})).await;
    assert_eq!(empty.status, StatusCode::OK, "{empty:?}");
    assert_eq!(api.wish(&task, 2).await.accepted_stop, "");
}
