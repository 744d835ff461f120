//! What a task tracks, replaced.

use reqwest::{Method, StatusCode};
use rowcast_domain::TaskId;
use rowcast_proto::message::{CaptureState, DesiredState, TaskError};
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use crate::fixture::{Answer, Api, LIMIT, TOKEN, send, status, task};
use crate::stand_in;

async fn replace(api: &Api, task: &TaskId, objects: &Value) -> Answer {
    let path = format!("/tasks/{task}/objects");
    send(api.request(Method::PUT, &path).json(objects)).await
}

fn orders() -> Value {
    json!({"all": false, "schemas": [
        {"name": "shop", "all": false, "tables": ["orders"], "patterns": ["log_*"]}
    ], "schema_patterns": ["tenant_?"]})
}

#[tokio::test]
async fn a_running_task_gets_other_objects_by_a_new_wish() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    let mut running = status(&task, 1, CaptureState::Running);
    running.objects_since = "0/16B3748".to_owned();
    api.report(running).await;
    api.reaches(&task, "running").await;

    let answer = replace(&api, &task, &orders()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.body["state"], "running");
    assert_eq!(answer.body["objects"], orders());
    // Of the objects before.
    assert_eq!(answer.body.get("objects_since"), None, "{answer:?}");

    let wish = api.wish(&task, 2).await;
    assert_eq!(wish.desired(), DesiredState::Running);
    let objects = wish.objects.unwrap();
    assert_eq!(objects.schema_patterns, ["tenant_?"]);
    assert_eq!(objects.schemas[0].tables, ["orders"]);
    assert_eq!(objects.schemas[0].patterns, ["log_*"]);

    let events = api.get(&format!("/tasks/{task}/events")).await;
    let last = events.body["events"].as_array().unwrap().last().unwrap();
    assert_eq!(last["actor"], "user:admin");
    assert_eq!(
        last["reason"],
        "objects replaced: +tenant_?.* +shop.orders +shop.log_* −all"
    );
    assert_eq!(
        (&last["from"], &last["to"]),
        (&"running".into(), &"running".into())
    );
    let told = api.told().await;
    assert_eq!(told.last().unwrap().reason, last["reason"]);

    let mut running = status(&task, 2, CaptureState::Running);
    running.objects_since = "0/16B4000".to_owned();
    running.warnings = vec!["schema changes are not seen".to_owned()];
    api.report(running).await;
    eventually("the task tells since when", LIMIT, async || {
        let shown = api.get(&format!("/tasks/{task}")).await;
        shown.body["objects_since"] == "0/16B4000"
            && shown.body["warnings"] == json!(["schema changes are not seen"])
    })
    .await;
}

#[tokio::test]
async fn the_same_objects_again_change_nothing() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    replace(&api, &task, &orders()).await;
    let first = api.get(&format!("/tasks/{task}")).await;
    let again = replace(&api, &task, &orders()).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &first.body));
    let generation: i64 = sqlx::query_scalar("SELECT generation FROM task_api.tasks WHERE id = $1")
        .bind(task.as_str())
        .fetch_one(&api.pool)
        .await
        .unwrap();
    assert_eq!(generation, 2);
    let events = api.get(&format!("/tasks/{task}/events")).await;
    assert_eq!(
        events.body["events"].as_array().unwrap().len(),
        2,
        "{events:?}"
    );
}

#[tokio::test]
async fn a_released_task_keeps_its_objects() {
    let api = Api::start().await;
    let task = api.created_task().await;
    api.command(&format!("/tasks/{task}/release")).await;
    let answer = replace(&api, &task, &orders()).await;
    answer.is_problem(StatusCode::CONFLICT, "state_forbids");
    assert_eq!(
        answer.body["detail"],
        "a task that is released does not allow change_objects"
    );
    assert_eq!(
        answer.body["repair"],
        "A task that is released allows: clone, release."
    );
}

#[tokio::test]
async fn objects_are_checked_as_at_creation() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let bad = json!({"schemas": [{"name": "shop", "patterns": ["orders"]}]});
    let answer = replace(&api, &task, &bad).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(answer.body["field"], "schemas[0].patterns[0]");
    let misspelt = replace(&api, &task, &json!({"schemas": [], "al": true})).await;
    misspelt.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(misspelt.body["field"], "al");
}

#[tokio::test]
async fn a_stopped_task_tracks_its_new_objects_after_the_next_start() {
    let api = Api::start().await;
    stand_in::billing(&api.bus).await;
    let task = api.starting_task().await;
    let mut stopped = status(&task, 1, CaptureState::Stopped);
    stopped.objects_since = "0/16B3748".to_owned();
    stopped.error = Some(TaskError {
        code: "TableMissing".to_owned(),
        ..TaskError::default()
    });
    api.report(stopped).await;
    api.reaches(&task, "abnormal").await;

    let answer = replace(&api, &task, &orders()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.body["state"], "abnormal");
    // It would wake the capture; the error and the decision stay.
    assert!(api.wish(&task, 1).await.objects.unwrap().all);
    assert_eq!(answer.body["error"]["code"], "TableMissing");

    let started = api.command(&format!("/tasks/{task}/start")).await;
    assert_eq!(started.body["state"], "starting", "{started:?}");
    assert_eq!(started.body.get("objects_since"), None, "{started:?}");
    let wish = api.wish(&task, 2).await;
    assert_eq!(wish.objects.unwrap().schemas[0].tables, ["orders"]);
}

#[tokio::test]
async fn a_precheck_of_objects_that_were_replaced_meanwhile_proves_nothing() {
    let api = Api::start().await;
    let source = api.created_source().await;
    let created = api.post("/tasks", &task(&source)).await;
    let task: TaskId = created.body["id"].as_str().unwrap().parse().unwrap();
    let url = api.url(&format!("/tasks/{task}/objects"));
    stand_in::precheck(&api.bus, move || {
        let url = url.clone();
        async move {
            let request = reqwest::Client::new().put(url).bearer_auth(TOKEN);
            let answer = request.json(&orders()).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
        }
    })
    .await;
    let path = format!("/tasks/{task}/precheck");
    let report = api.command(&path).await;
    assert_eq!(report.body["passed"], true, "{report:?}");
    assert_eq!(api.state(&task).await, "precheck_failed");
    // The objects stay the same this time.
    api.command(&path).await;
    assert_eq!(api.state(&task).await, "precheck_passed");

    replace(&api, &task, &json!({"all": true})).await;
    assert_eq!(api.state(&task).await, "not_started");
}

#[tokio::test]
async fn schema_changes_without_rows_are_a_wish_too() {
    let api = Api::start().await;
    let source = api.created_source().await;
    let mut body = task(&source);
    body["change_types"] = json!({"data": [], "schema": true});
    let created = api.post("/tasks", &body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    let task: TaskId = created.body["id"].as_str().unwrap().parse().unwrap();
    api.command(&format!("/tasks/{task}/release")).await;
    let types = api.wish(&task, 1).await.change_types.unwrap();
    assert!(types.schema && types.data.is_empty(), "{types:?}");
}

#[tokio::test]
async fn objects_come_and_go_as_the_preview_says() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/objects");
    let tables = |names: &[&str]| json!({"schemas": [{"name": "shop", "tables": names}]});
    let first = json!({"replace": tables(&["orders", "items"])});
    let replaced = api.patch(&path, &first).await;
    assert_eq!(replaced.status, StatusCode::OK, "{replaced:?}");

    let change =
        json!({"remove": tables(&["items"]), "add": {"schemas": [{"name": "crm", "all": true}]}});
    let preview = api.post(&format!("{path}/preview"), &change).await;
    assert_eq!(preview.status, StatusCode::OK, "{preview:?}");
    assert_eq!(preview.body["added"], json!(["crm.*"]));
    assert_eq!(preview.body["removed"], json!(["shop.items"]));
    assert_eq!(preview.body["needs_precheck"], true);
    let shown = api.get(&format!("/tasks/{task}")).await;
    assert_eq!(
        shown.body["objects"], replaced.body["objects"],
        "nothing is changed"
    );

    let stale = api
        .request(Method::PATCH, &path)
        .header("If-Match", "\"1\"");
    let stale = send(stale.json(&change)).await;
    stale.is_problem(StatusCode::PRECONDITION_FAILED, "version_changed");
    let changed = api.patch(&path, &change).await;
    assert_eq!(
        changed.body["objects"], preview.body["objects"],
        "{changed:?}"
    );
    let events = api.get(&format!("/tasks/{task}/events")).await;
    assert!(
        events.text.contains("objects replaced: +crm.* −shop.items"),
        "{events:?}"
    );

    // The same again removes what is no longer there, and says so.
    let again = api.patch(&path, &change).await;
    again.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(again.body["field"], "remove.schemas[0].tables");
}
