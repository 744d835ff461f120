//! What a user changes of tasks and sources that exist.

use reqwest::{Method, StatusCode};
use rowcast_domain::{Secret, TaskId};
use rowcast_proto::message::{CaptureState, DesiredState, SealedSecret, TaskError, TaskSpec};
use rowcast_service::keyring::{self, Keyring, Sealed};
use serde_json::json;

use crate::fixture::{Api, send, status, task};
use crate::stand_in;

async fn source_of(api: &Api, task: &TaskId) -> String {
    let shown = api.get(&format!("/tasks/{task}")).await;
    shown.body["source_id"].as_str().unwrap().to_owned()
}

async fn running_task(api: &Api) -> TaskId {
    let task = api.starting_task().await;
    api.report(status(&task, 1, CaptureState::Running)).await;
    api.reaches(&task, "running").await;
    task
}

/// The password in a wish, opened as capture does.
fn password(wish: &TaskSpec) -> String {
    let source = wish.source.clone().unwrap();
    let sealed = source.password.unwrap();
    opened(sealed, &keyring::source_password(&source.source_id))
}

fn opened(sealed: SealedSecret, aad: &str) -> String {
    let sealed = Sealed {
        key_id: sealed.key_id,
        nonce: sealed.nonce,
        ciphertext: sealed.ciphertext,
    };
    let keyring = Keyring::from_secret(&Secret::new("ab".repeat(32))).unwrap();
    keyring.open(&sealed, aad).unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_running_task_gets_another_name_and_retry_window_by_a_new_wish() {
    let api = Api::start().await;
    let task = running_task(&api).await;
    let path = format!("/tasks/{task}");
    let body = json!({"name": "sales", "retry_minutes": 30});
    let answer = api.patch(&path, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.body["state"], "running");
    assert_eq!(answer.body["name"], "sales");
    let wish = api.wish(&task, 2).await;
    assert_eq!((wish.name.as_str(), wish.retry_minutes), ("sales", 30));
    assert_eq!(wish.desired(), DesiredState::Running);
    let events = api.get(&format!("{path}/events")).await;
    let last = events.body["events"].as_array().unwrap().last().unwrap();
    assert_eq!(
        last["reason"],
        "changed: name \"orders\" → \"sales\", retry_minutes 120 → 30"
    );
    assert_eq!(api.told().await.last().unwrap().task_name, "sales");

    // The same again is no change.
    let again = api.patch(&path, &body).await;
    assert_eq!(again.etag, answer.etag);
    assert_eq!(again.body["updated_at"], answer.body["updated_at"]);
    assert_eq!(api.wish(&task, 2).await.name, "sales");
}

#[tokio::test]
async fn retention_is_changed_before_and_after_the_stream_is_made() {
    let api = Api::start().await;
    let body = json!({"retention": {"hours": 48}});
    let fresh = api.created_task().await;
    let answer = api.patch(&format!("/tasks/{fresh}"), &body).await;
    assert_eq!(answer.body["retention"]["hours"], 48, "{answer:?}");
    let running = running_task(&api).await;
    let path = format!("/tasks/{running}");
    let answer = api.patch(&path, &body).await;
    assert_eq!(answer.body["retention"]["hours"], 48, "{answer:?}");
    let wish = api.wish(&running, 2).await;
    assert_eq!(wish.retention.unwrap().age_seconds, 48 * 3600);
    let wrong = api.patch(&path, &json!({"retry_minutes": 9})).await;
    wrong.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    let misspelt = api.patch(&path, &json!({"partitons": 1})).await;
    misspelt.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(misspelt.body["field"], "partitons");
    assert_eq!(api.wish(&running, 2).await.retry_minutes, 120);
}

#[tokio::test]
async fn a_change_is_made_only_on_the_version_it_was_thought_out_on() {
    let api = Api::start().await;
    let task = running_task(&api).await;
    let path = format!("/tasks/{task}");
    let first = api.get(&path).await.etag;
    assert!(!first.is_empty());
    // What capture reports is no other version.
    let mut reported = status(&task, 1, CaptureState::Retrying);
    reported.error = Some(TaskError::default());
    api.report(reported).await;
    api.reaches(&task, "retrying").await;
    let change = |etag: &str, name: &str| {
        let request = api.request(Method::PATCH, &path).header("If-Match", etag);
        send(request.json(&json!({"name": name})))
    };
    let made = change(&first, "one").await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    assert_ne!(made.etag, first);
    let late = change(&first, "two").await;
    late.is_problem(StatusCode::PRECONDITION_FAILED, "version_changed");
    assert_eq!(late.body["field"], "If-Match");
    let objects = api
        .request(Method::PUT, &format!("{path}/objects"))
        .header("If-Match", &first)
        .json(&json!({"schemas": [{"name": "a", "all": true}]}));
    send(objects)
        .await
        .is_problem(StatusCode::PRECONDITION_FAILED, "version_changed");
    let shown = api.get(&path).await;
    assert_eq!(
        (shown.body["name"].as_str(), &shown.etag),
        (Some("one"), &made.etag)
    );
    assert_eq!(change("*", "three").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_new_password_reaches_the_tasks_that_run_and_the_others_with_their_start() {
    let api = Api::start().await;
    stand_in::billing(&api.bus).await;
    let running = running_task(&api).await;
    let source = source_of(&api, &running).await;
    let body = task(&source);
    let created = api.post("/tasks", &body).await;
    let waiting: TaskId = created.body["id"].as_str().unwrap().parse().unwrap();
    let path = format!("/sources/{source}");
    let before = api.get(&path).await;
    let change = json!({"password": "battery staple"});
    let answer = api.patch(&path, &change).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_ne!(answer.etag, before.etag);
    assert!(!answer.text.contains("staple"), "{answer:?}");

    assert_eq!(password(&api.wish(&running, 2).await), "battery staple");
    let events = api.get(&format!("/tasks/{running}/events")).await;
    let last = events.body["events"].as_array().unwrap().last().unwrap();
    assert_eq!(last["reason"], "source changed: password");
    assert_eq!(api.state(&running).await, "running");
    assert_eq!(api.state(&waiting).await, "not_started");

    // A stopped task is not woken; its next start brings the password.
    let mut stopped = status(&running, 2, CaptureState::Stopped);
    stopped.error = Some(TaskError::default());
    api.report(stopped).await;
    api.reaches(&running, "abnormal").await;
    api.patch(&path, &json!({"password": "third"})).await;
    assert_eq!(password(&api.wish(&running, 2).await), "battery staple");
    api.command(&format!("/tasks/{running}/start")).await;
    assert_eq!(password(&api.wish(&running, 3).await), "third");

    // A name is no matter of the way there.
    api.patch(&path, &json!({"name": "renamed"})).await;
    assert_eq!(api.get(&path).await.body["name"], "renamed");
    assert_eq!(api.wish(&running, 3).await.generation, 3);
}

#[tokio::test]
async fn a_password_goes_to_no_other_server_than_it_was_entered_for() {
    let api = Api::start().await;
    let source = api.created_source().await;
    let path = format!("/sources/{source}");
    for (field, change) in [
        ("host", json!({"host": "evil.example.com"})),
        ("port", json!({"port": 5433})),
        ("account", json!({"account": "other"})),
        // Nor to whoever stands in for the server.
        ("sslmode", json!({"sslmode": "prefer"})),
        ("sslmode", json!({"sslmode": "allow"})),
        (
            "sslrootcert",
            json!({"sslrootcert": "-----BEGIN CERTIFICATE-----"}),
        ),
    ] {
        let answer = api.patch(&path, &change).await;
        answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
        assert_eq!(answer.body["field"], field, "{answer:?}");
    }
    let change = json!({"host": "db2.example.com", "port": 5433, "password": "p2"});
    let answer = api.patch(&path, &change).await;
    assert_eq!(answer.body["host"], "db2.example.com", "{answer:?}");
    assert_eq!(answer.body["account"], "rowcast");
    let bad = api
        .patch(&path, &json!({"sslrootcert": "/etc/ca.pem"}))
        .await;
    bad.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(bad.body["field"], "sslrootcert");
}

#[tokio::test]
async fn a_client_certificate_reaches_running_tasks_and_no_password_goes_along() {
    let api = Api::start().await;
    let running = running_task(&api).await;
    let path = format!("/sources/{}", source_of(&api, &running).await);
    let half = api.patch(&path, &json!({"sslkey": "k"})).await;
    half.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(half.body["field"], "sslcert");
    let key = "-----BEGIN PRIVATE KEY-----\nhush\n";
    let change = json!({
        "host": "db2.example.com", "sslcert": "-----BEGIN CERTIFICATE-----\n", "sslkey": key
    });
    let answer = api.patch(&path, &change).await;
    assert_eq!(answer.body["client_certificate"], true, "{answer:?}");
    assert!(!answer.text.contains("hush"), "{answer:?}");
    let wish = api.wish(&running, 2).await;
    // It was entered for the server before.
    assert_eq!(password(&wish), "");
    let source = wish.source.unwrap();
    assert_eq!(source.sslcert, "-----BEGIN CERTIFICATE-----\n");
    let sealed = source.sslkey.unwrap();
    assert_eq!(opened(sealed, &keyring::source_key(&source.source_id)), key);

    let without_tls = api.patch(&path, &json!({"sslmode": "disable"})).await;
    without_tls.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    let none = json!({"sslcert": "", "sslkey": "", "password": "p3"});
    let answer = api.patch(&path, &none).await;
    assert!(
        answer.body.get("client_certificate").is_none(),
        "{answer:?}"
    );
    let wish = api.wish(&running, 3).await;
    assert_eq!(password(&wish), "p3");
    assert!(wish.source.unwrap().sslkey.is_none());
}

#[tokio::test]
async fn a_source_is_deleted_once_no_task_needs_it() {
    let api = Api::start().await;
    let task_id = api.created_task().await;
    let source = source_of(&api, &task_id).await;
    let path = format!("/sources/{source}");
    let delete = || send(api.request(Method::DELETE, &path));
    let used = delete().await;
    used.is_problem(StatusCode::CONFLICT, "source_in_use");
    let detail = used.body["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("orders ({task_id})")), "{detail}");

    api.command(&format!("/tasks/{task_id}/release")).await;
    api.wish(&task_id, 1).await;
    // A release that fails needs the password still.
    let mut failed = status(&task_id, 1, CaptureState::Retrying);
    failed.error = Some(TaskError {
        code: "SourceRefused".to_owned(),
        ..TaskError::default()
    });
    api.report(failed).await;
    rowcast_testkit::eventually("the error is told", crate::fixture::LIMIT, async || {
        let shown = api.get(&format!("/tasks/{task_id}")).await;
        shown.body["error"]["code"] == "SourceRefused"
    })
    .await;
    delete()
        .await
        .is_problem(StatusCode::CONFLICT, "source_in_use");
    let released = status(&task_id, 1, CaptureState::Released);
    api.report(released).await;
    rowcast_testkit::eventually("the source is gone", crate::fixture::LIMIT, async || {
        delete().await.status == StatusCode::NO_CONTENT
    })
    .await;

    let gone = api.get(&path).await;
    gone.is_problem(StatusCode::NOT_FOUND, "source_not_found");
    delete()
        .await
        .is_problem(StatusCode::NOT_FOUND, "source_not_found");
    let sources = api.get("/sources").await;
    assert_eq!(sources.body["sources"], json!([]));
    let again = api.post("/tasks", &task(&source)).await;
    again.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "source_not_found");
    let shown = api.get(&format!("/tasks/{task_id}")).await;
    assert_eq!(shown.body["source_id"], source.as_str());
    let left: Vec<u8> =
        sqlx::query_scalar("SELECT password_ciphertext FROM task_api.sources WHERE id = $1")
            .bind(&source)
            .fetch_one(&api.pool)
            .await
            .unwrap();
    assert!(left.is_empty());
}

#[tokio::test]
async fn a_source_is_deleted_right_behind_the_release_of_its_last_task() {
    let api = Api::start().await;
    let task_id = api.created_task().await;
    let source = source_of(&api, &task_id).await;
    api.command(&format!("/tasks/{task_id}/release")).await;
    api.wish(&task_id, 1).await;
    // As if it were not written yet; the next look is within a second.
    sqlx::query("UPDATE task_api.tasks SET written_generation = 0 WHERE id = $1")
        .bind(task_id.as_str())
        .execute(&api.pool)
        .await
        .unwrap();
    let path = format!("/sources/{source}");
    let deleted = send(api.request(Method::DELETE, &path)).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
}

#[tokio::test]
async fn what_the_first_start_fixes_is_changed_before_it_and_not_behind() {
    let api = Api::start().await;
    stand_in::groupless(&api.bus).await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}");
    let other = api.created_source().await;
    let wanted = json!({"source_id": other, "database": "crm", "partitions": 4, "transactions": true,
        "format": "protobuf"});
    let changed = api.patch(&path, &wanted).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(&changed.body[field], value, "{changed:?}");
    }
    assert_eq!(source_of(&api, &task).await, other);
    // Together they must make a task.
    let packed = api.patch(&path, &json!({"packing": "transaction"})).await;
    packed.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(packed.body["field"], "partitions");
    let nowhere = api.patch(&path, &json!({"network": "moon"})).await;
    nowhere.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "network_not_found");

    let running = running_task(&api).await;
    let path = format!("/tasks/{running}");
    for (field, value) in wanted.as_object().unwrap() {
        let refused = api.patch(&path, &json!({ field: value })).await;
        refused.is_problem(StatusCode::CONFLICT, "field_fixed");
        assert_eq!(&refused.body["field"], field, "{refused:?}");
        assert_eq!(refused.body["state"], "running", "{refused:?}");
    }
    let same = api
        .patch(&path, &json!({"partitions": 16, "format": "json"}))
        .await;
    assert_eq!(same.status, StatusCode::OK, "{same:?}");
}
