//! A started task is looked at again, by itself and when it is asked for.

use reqwest::StatusCode;
use rowcast_proto::event::Event as _;
use rowcast_proto::message::{CaptureState, CheckOutcome, TaskRechecked};
use rowcast_proto::stream::EVENTS;
use rowcast_testkit::eventually;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fixture::{Api, LIMIT, status};
use crate::stand_in;

/// What the others were told of problems so far.
async fn told(api: &Api) -> Vec<Vec<String>> {
    let stream = api.bus.jetstream().get_stream(EVENTS.name).await.unwrap();
    let mut told = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        if message.subject.as_str() == TaskRechecked::SUBJECT {
            let event: TaskRechecked = serde_json::from_slice(&message.payload).unwrap();
            told.push(
                event
                    .problems
                    .into_iter()
                    .map(|problem| problem.code)
                    .collect(),
            );
        }
    }
    told
}

#[tokio::test]
async fn a_running_task_is_looked_at_by_itself_and_news_are_told_once() {
    let api = Api::start_with(&[("ROWCAST_RECHECK_SECONDS", "1")]).await;
    let (found, outcome) = watch::channel(CheckOutcome::Pass);
    stand_in::precheck_of(&api.bus, outcome).await;
    let task = api.starting_task().await;
    api.report(status(&task, 1, CaptureState::Running)).await;
    api.reaches(&task, "running").await;

    let path = format!("/tasks/{task}/recheck");
    eventually("it was looked at", LIMIT, async || {
        api.get(&path).await.status == StatusCode::OK
    })
    .await;
    assert_eq!(api.get(&path).await.body["problems"], json!([]));

    found.send_replace(CheckOutcome::Fail);
    let problems = async || api.get(&path).await.body["problems"].clone();
    eventually("the problem is found", LIMIT, async || {
        problems().await == json!(["keys"])
    })
    .await;
    let asked = api.command(&path).await;
    assert_eq!(asked.body["problems"], json!(["keys"]), "{asked:?}");
    found.send_replace(CheckOutcome::Pass);
    eventually("the repair is found", LIMIT, async || {
        problems().await == json!([])
    })
    .await;
    found.send_replace(CheckOutcome::Fail);
    eventually("another problem is found", LIMIT, async || {
        problems().await == json!(["keys"])
    })
    .await;
    api.command(&format!("/tasks/{task}/release")).await;
    let expected: [&[&str]; 4] = [&["keys"], &[], &["keys"], &[]];
    eventually("each news is told once", LIMIT, async || {
        told(&api).await == expected
    })
    .await;
}

#[tokio::test]
async fn only_a_started_task_is_looked_at() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/recheck");
    let refused = api.command(&path).await;
    refused.is_problem(StatusCode::CONFLICT, "state_forbids");
    let none = api.get(&path).await;
    none.is_problem(StatusCode::NOT_FOUND, "recheck_not_found");
    assert_ne!(none.body["repair"], Value::Null);
}

#[tokio::test]
async fn a_task_that_begins_anew_has_no_problems_of_before() {
    let api = Api::start().await;
    let (_found, outcome) = watch::channel(CheckOutcome::Fail);
    stand_in::precheck_of(&api.bus, outcome).await;
    let task = api.starting_task().await;
    api.report(status(&task, 1, CaptureState::Running)).await;
    api.reaches(&task, "running").await;
    let path = format!("/tasks/{task}/recheck");
    assert_eq!(api.command(&path).await.body["problems"], json!(["keys"]));

    api.command(&format!("/tasks/{task}/reset")).await;
    api.report(status(&task, 2, CaptureState::Released)).await;
    api.reaches(&task, "not_started").await;
    let forgotten = api.get(&path).await;
    forgotten.is_problem(StatusCode::NOT_FOUND, "recheck_not_found");
    sqlx::query(
        "UPDATE task_api.tasks SET state = 'starting', desired = 'running', generation = 3
         WHERE id = $1",
    )
    .bind(task.as_str())
    .execute(&api.pool)
    .await
    .unwrap();
    api.report(status(&task, 3, CaptureState::Running)).await;
    api.reaches(&task, "running").await;
    assert_eq!(api.command(&path).await.body["problems"], json!(["keys"]));
    let expected: [&[&str]; 3] = [&["keys"], &[], &["keys"]];
    eventually("the same problem is told again", LIMIT, async || {
        told(&api).await == expected
    })
    .await;
}

#[tokio::test]
async fn an_older_precheck_is_not_believed() {
    let api = Api::start().await;
    stand_in::precheck(&api.bus, || async {}).await;
    let task = api.starting_task().await;
    api.report(status(&task, 1, CaptureState::Running)).await;
    api.reaches(&task, "running").await;
    let refused = api.command(&format!("/tasks/{task}/recheck")).await;
    refused.is_problem(StatusCode::SERVICE_UNAVAILABLE, "precheck_outdated");
}
