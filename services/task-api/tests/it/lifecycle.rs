//! What a task goes through, as capture and the other services see it.

use reqwest::StatusCode;
use rowcast_bus::async_nats;
use rowcast_bus::provision;
use rowcast_domain::Secret;
use rowcast_proto::message::{CaptureState, DesiredState, TaskError};
use rowcast_proto::stream::TASK_STATUS;
use rowcast_service::keyring::{Keyring, Sealed};
use rowcast_testkit::eventually;

use crate::fixture::{Api, LIMIT, status};

#[tokio::test]
async fn a_start_that_takes_long_tells_what_it_is_at() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    let path = format!("/tasks/{task}");
    assert!(api.get(&path).await.body.get("step").is_none());
    let mut starting = status(&task, 1, CaptureState::Starting);
    starting.step = "slot".to_owned();
    api.report(starting).await;
    eventually("the step is told", LIMIT, async || {
        api.get(&path).await.body["step"] == "slot"
    })
    .await;
    api.report(status(&task, 1, CaptureState::Running)).await;
    api.reaches(&task, "running").await;
    assert!(api.get(&path).await.body.get("step").is_none());
}

#[tokio::test]
async fn a_wish_holds_what_capture_needs() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    let wish = api.wish(&task, 1).await;
    assert_eq!(wish.desired(), DesiredState::Running);
    assert_eq!(
        (wish.name.as_str(), wish.partitions, wish.retry_minutes),
        ("orders", 16, 120)
    );
    assert_eq!(wish.retention.unwrap().age_seconds, 24 * 3600);
    assert!(wish.objects.unwrap().all);
    assert_eq!(wish.change_types.unwrap().data.len(), 4);
    let source = wish.source.unwrap();
    assert_eq!(
        (source.database.as_str(), source.sslmode.as_str()),
        ("shop", "require")
    );
    let password = source.password.unwrap();
    let sealed = Sealed {
        key_id: password.key_id,
        nonce: password.nonce,
        ciphertext: password.ciphertext,
    };
    let keyring = Keyring::from_secret(&Secret::new("ab".repeat(32))).unwrap();
    let opened = keyring
        .open(&sealed, &format!("source-password/{}", source.source_id))
        .unwrap();
    assert_eq!(opened.expose(), "correct horse");
}

#[tokio::test]
async fn the_task_follows_the_reports_of_capture() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    let mut running = status(&task, 1, CaptureState::Running);
    running.position = "0/16B3748.2".to_owned();
    running.confirmed_lsn = "0/16B3748".to_owned();
    running.stream_sequence = 7;
    api.report(running).await;
    api.reaches(&task, "running").await;
    let shown = api.get(&format!("/tasks/{task}")).await;
    assert_eq!(shown.body["position"]["stream_sequence"], 7, "{shown:?}");

    let mut stopped = status(&task, 1, CaptureState::Stopped);
    stopped.error = Some(TaskError {
        code: "SlotLost".to_owned(),
        message: "the slot is gone".to_owned(),
        advice: "release the task".to_owned(),
    });
    api.report(stopped).await;
    api.reaches(&task, "abnormal").await;
    let shown = api.get(&format!("/tasks/{task}")).await;
    assert_eq!(shown.body["error"]["code"], "SlotLost");
    assert_eq!(shown.body["position"]["stream_sequence"], 7, "{shown:?}");

    let events = api.get(&format!("/tasks/{task}/events")).await;
    let last = events.body["events"].as_array().unwrap().last().unwrap();
    assert_eq!(last["actor"], "service:capture");
    assert_eq!(
        (&last["from"], &last["to"]),
        (&"running".into(), &"abnormal".into())
    );
    let told = api.told().await;
    let steps: Vec<_> = told
        .iter()
        .map(|event| (event.from.as_str(), event.to.as_str()))
        .collect();
    let expected = [
        ("not_configured", "not_started"),
        ("starting", "running"),
        ("running", "abnormal"),
    ];
    assert_eq!(steps, expected);
    assert_eq!(
        told.last().unwrap().error.as_ref().unwrap().code,
        "SlotLost"
    );
}

#[tokio::test]
async fn a_report_on_an_older_wish_changes_nothing() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    api.report(status(&task, 1, CaptureState::Running)).await;
    api.reaches(&task, "running").await;
    let suspended = api.command(&format!("/tasks/{task}/suspend")).await;
    assert_eq!(suspended.status, StatusCode::OK, "{suspended:?}");
    assert_eq!(api.wish(&task, 2).await.desired(), DesiredState::Suspended);

    // Two tasks' reports are taken in order: once the second is seen, the first has been.
    let witness = api.starting_task().await;
    api.report(status(&task, 1, CaptureState::Stopped)).await;
    api.report(status(&task, 1, CaptureState::Running)).await;
    api.report(status(&witness, 1, CaptureState::Running)).await;
    api.reaches(&witness, "running").await;
    assert_eq!(api.state(&task).await, "suspended");
}

#[tokio::test]
async fn a_release_without_a_start_is_told_too() {
    let api = Api::start().await;
    let task = api.created_task().await;
    for _ in 0..2 {
        let released = api.command(&format!("/tasks/{task}/release")).await;
        assert_eq!(released.body["state"], "released", "{released:?}");
    }
    // The second one asked for nothing new.
    assert_eq!(api.wish(&task, 1).await.desired(), DesiredState::Released);
    let suspend = api.command(&format!("/tasks/{task}/suspend")).await;
    suspend.is_problem(StatusCode::CONFLICT, "state_forbids");
    assert_eq!(
        suspend.body["repair"],
        "A task that is released allows: clone, release."
    );
    assert_eq!(api.told().await.len(), 2);
}

#[tokio::test]
async fn a_wish_made_while_nats_is_away_is_written_later() {
    let mut api = Api::start().await;
    let task = api.starting_task().await;
    api.nats.kill().await.unwrap();
    let suspended = api.command(&format!("/tasks/{task}/suspend")).await;
    assert_eq!(suspended.status, StatusCode::OK, "{suspended:?}");
    api.nats.restart().await.unwrap();
    assert_eq!(api.wish(&task, 2).await.desired(), DesiredState::Suspended);
}

#[tokio::test]
async fn reports_are_taken_again_after_their_bucket_was_lost() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    api.report(status(&task, 1, CaptureState::Running)).await;
    api.reaches(&task, "running").await;
    let jetstream: &async_nats::jetstream::Context = api.bus.jetstream();
    jetstream.delete_key_value(TASK_STATUS.name).await.unwrap();
    provision::bucket(&api.bus, &TASK_STATUS).await.unwrap();
    api.report(status(&task, 1, CaptureState::Retrying)).await;
    api.reaches(&task, "retrying").await;
}

#[tokio::test]
async fn a_reset_task_is_as_if_it_had_never_been_started() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    let path = |verb: &str| format!("/tasks/{task}/{verb}");
    let mut running = status(&task, 1, CaptureState::Running);
    running.position = "0/16B3748.2".to_owned();
    running.confirmed_lsn = "0/16B3748".to_owned();
    api.report(running.clone()).await;
    api.reaches(&task, "running").await;
    let reset = api.command(&path("reset")).await;
    assert_eq!(reset.body["state"], "resetting", "{reset:?}");
    assert_eq!(api.wish(&task, 2).await.desired(), DesiredState::Released);
    // Nothing else goes on before everything is removed, and a reset is asked for once.
    for verb in ["start", "precheck"] {
        let early = api.command(&path(verb)).await;
        early.is_problem(StatusCode::CONFLICT, "state_forbids");
    }
    assert_eq!(api.command(&path("reset")).await.status, StatusCode::OK);
    let mut removed = running;
    removed.generation = 2;
    removed.set_state(CaptureState::Released);
    api.report(removed).await;
    api.reaches(&task, "not_started").await;
    // The report is read again and again, and is about what was before.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let shown = api.get(&format!("/tasks/{task}")).await;
    assert_eq!(shown.body["position"], serde_json::Value::Null, "{shown:?}");
    let types = serde_json::json!({"change_types": {"data": ["insert"]}});
    let changed = api.patch(&format!("/tasks/{task}"), &types).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
}

#[tokio::test]
async fn what_happened_is_searched_and_read_in_pages() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    for state in [CaptureState::Running, CaptureState::Retrying] {
        api.report(status(&task, 1, state)).await;
        let name = if state == CaptureState::Running {
            "running"
        } else {
            "retrying"
        };
        api.reaches(&task, name).await;
    }
    let found = async |query: &str| {
        let page = api.get(&format!("/tasks/{task}/events?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        page.body
    };
    let by_capture = found("search=Service:CAPTURE").await;
    assert_eq!(by_capture["events"].as_array().unwrap().len(), 2);
    let first = found("limit=1").await;
    let rest = format!("cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = found(&rest).await;
    let number = |page: &serde_json::Value| page["events"].as_array().unwrap().len();
    let whole = number(&found("").await);
    assert_eq!(number(&first) + number(&rest), whole);
    assert_eq!(rest.get("next_cursor"), None);
    assert_eq!(number(&found("until=1970-01-01T00:00:00Z").await), 0);
    assert_eq!(number(&found("since=1970-01-01T00:00:00Z").await), whole);
}
