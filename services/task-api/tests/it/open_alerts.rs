//! What keeps a task from being bought and started: alerts that are neither repaired nor ignored.

use reqwest::StatusCode;
use rowcast_domain::TaskId;
use rowcast_proto::message::{CaptureState, CheckOutcome, CheckResult};
use serde_json::json;

use crate::fixture::{Api, status};
use crate::stand_in;

fn item(code: &str, outcome: CheckOutcome) -> CheckResult {
    CheckResult {
        code: code.to_owned(),
        title: format!("About {code}"),
        outcome: outcome.into(),
        cause: "It matters.".to_owned(),
        repair: "Mend it.".to_owned(),
        ..CheckResult::default()
    }
}

fn alert(code: &str) -> CheckResult {
    item(code, CheckOutcome::Alert)
}

async fn is_refused(api: &Api, task: &TaskId, code: &str) -> String {
    let order = json!({"charge_type": "pay_as_you_go"});
    let bought = api.post(&format!("/tasks/{task}/purchase"), &order).await;
    bought.is_problem(StatusCode::CONFLICT, code);
    let started = api.command(&format!("/tasks/{task}/start")).await;
    started.is_problem(StatusCode::CONFLICT, code);
    assert_eq!(bought.body["detail"], started.body["detail"]);
    let text = |member: &str| started.body[member].as_str().unwrap().to_owned();
    format!("{} {}", text("detail"), text("repair"))
}

#[tokio::test]
async fn a_task_is_bought_and_started_once_every_alert_is_answered_for() {
    let api = Api::start().await;
    stand_in::billing(&api.bus).await;
    let (found, finds) = tokio::sync::watch::channel(vec![
        item("connectivity", CheckOutcome::Pass),
        alert("wal_keep"),
        alert("clock"),
    ]);
    stand_in::precheck_that(&api.bus, finds).await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/precheck");
    let report = api.command(&path).await;
    assert_eq!(report.body["passed"], true);
    assert_eq!(report.body["success_percent"], 33);
    assert_eq!(report.body["open_alerts"], json!(["wal_keep", "clock"]));
    assert_eq!(report.body["items"][1]["ignorable"], true);
    assert_eq!(api.state(&task).await, "precheck_passed");

    let told = is_refused(&api, &task, "alerts_open").await;
    for said in [
        "wal_keep (About wal_keep)",
        "clock (About clock)",
        "/precheck/ignore",
    ] {
        assert!(told.contains(said), "{told}");
    }
    let ignore = |code: &str| json!({"codes": [code], "by": "ada", "reason": "It is known."});
    let ignored = api
        .post(&format!("{path}/ignore"), &ignore("wal_keep"))
        .await;
    assert_eq!(ignored.body["success_percent"], 66, "{ignored:?}");
    let told = is_refused(&api, &task, "alerts_open").await;
    assert!(!told.contains("wal_keep"), "{told}");

    // The one is ignored for good, the other repaired.
    found.send_replace(vec![
        item("connectivity", CheckOutcome::Pass),
        item("clock", CheckOutcome::Pass),
    ]);
    let only = json!({"only": ["clock"]});
    let report = api.post(&path, &only).await;
    assert_eq!(report.body["success_percent"], 100, "{report:?}");
    let started = api.command(&format!("/tasks/{task}/start")).await;
    assert_eq!(started.status, StatusCode::OK, "{started:?}");

    // What comes up later stops nobody: neither who runs nor who goes on.
    api.wish(&task, 1).await;
    api.report(status(&task, 1, CaptureState::Running)).await;
    api.reaches(&task, "running").await;
    api.command(&format!("/tasks/{task}/suspend")).await;
    let resumed = api.command(&format!("/tasks/{task}/resume")).await;
    assert_eq!(resumed.status, StatusCode::OK, "{resumed:?}");
}

#[tokio::test]
async fn an_alert_that_nobody_can_answer_for_is_repaired() {
    let api = Api::start().await;
    let taken = CheckResult {
        must_repair: true,
        ..alert("existing_slot")
    };
    let (found, finds) = tokio::sync::watch::channel(vec![taken]);
    stand_in::precheck_that(&api.bus, finds).await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/precheck");
    let report = api.command(&path).await;
    assert_eq!(report.body["items"][0]["ignorable"], false, "{report:?}");
    let ignore = json!({"codes": ["existing_slot"], "by": "ada", "reason": "I do not care."});
    let refused = api.post(&format!("{path}/ignore"), &ignore).await;
    refused.is_problem(StatusCode::CONFLICT, "check_not_ignorable");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.ends_with("It matters."), "{detail}");
    assert!(refused.text.contains("Mend it."), "{refused:?}");
    let told = is_refused(&api, &task, "alerts_open").await;
    assert!(told.ends_with("Must be repaired: existing_slot."), "{told}");

    found.send_replace(vec![item("existing_slot", CheckOutcome::Pass)]);
    let again = api.post(&path, &json!({"only_failed": true})).await;
    assert_eq!(again.body["success_percent"], 100, "{again:?}");
    let started = api.command(&format!("/tasks/{task}/start")).await;
    // No billing answers here: the precheck no longer hinders.
    started.is_problem(StatusCode::SERVICE_UNAVAILABLE, "billing_unavailable");
}

#[tokio::test]
async fn what_is_to_be_run_again_is_named_by_codes_that_there_are() {
    let api = Api::start().await;
    let (_found, finds) = tokio::sync::watch::channel(vec![alert("wal_keep"), alert("clock")]);
    stand_in::precheck_that(&api.bus, finds).await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/precheck");
    let only = |codes: &[&str]| json!({ "only": codes });
    let early = api.post(&path, &only(&["clock"])).await;
    early.is_problem(StatusCode::CONFLICT, "precheck_outdated");
    assert_eq!(early.body["field"], "only");
    api.command(&path).await;
    let unknown = api.post(&path, &only(&["clock", "clocks"])).await;
    unknown.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "check_unknown");
    assert_eq!(unknown.body["field"], "only");
    let repair = unknown.body["repair"].as_str().unwrap();
    assert!(repair.ends_with("wal_keep, clock."), "{repair}");
    assert_eq!(api.state(&task).await, "precheck_passed");
    let both = json!({"only": ["clock"], "only_failed": true});
    let both = api.post(&path, &both).await;
    both.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    let one = api.post(&path, &only(&["clock"])).await;
    assert_eq!(one.body["items"].as_array().unwrap().len(), 2, "{one:?}");
    assert!(one.body["items"][0]["checked_at"].is_string(), "{one:?}");
    assert!(one.body["items"][1]["checked_at"].is_null(), "{one:?}");
}
