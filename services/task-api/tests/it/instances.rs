//! What becomes of a task when its subscription expires, is renewed, or ends.

use std::sync::{Arc, Mutex};

use reqwest::{Method, StatusCode};
use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{event_meta, publish, refuse};
use rowcast_domain::TaskId;
use rowcast_proto::event::Event as _;
use rowcast_proto::message as m;
use rowcast_proto::message::{CaptureState, DesiredState, TaskError};
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use crate::fixture::{Api, LIMIT, send as send_request, status};
use crate::stand_in;

/// An instance that has expired, or was renewed or ended, as billing tells of it.
fn instance(task: &TaskId, state: m::InstanceState, version: u64) -> m::Instance {
    let now = chrono::Utc::now();
    m::Instance {
        id: "n000000000000".to_owned(),
        task_id: task.to_string(),
        charge_type: m::ChargeType::Subscription.into(),
        purchased_at: Some(now.into()),
        expires_at: Some(now.into()),
        release_at: (state == m::InstanceState::Expired)
            .then(|| (now + chrono::TimeDelta::days(7)).into()),
        months: 1,
        state: state.into(),
        version,
        ..m::Instance::default()
    }
}

/// Says as billing what has become of a task's instance.
async fn tell(api: &Api, task: &TaskId, state: m::InstanceState, version: u64) {
    let fact = m::InstanceStateChanged {
        meta: Some(event_meta()),
        instance: Some(instance(task, state, version)),
        actor: "user:ada".to_owned(),
    };
    send(api, &fact, "").await;
}

/// With `suffix` on the message id, past the stream's own deduplication.
async fn send(api: &Api, fact: &m::InstanceStateChanged, suffix: &str) {
    let id = format!("{}{suffix}", fact.meta.as_ref().unwrap().id);
    let subject = m::InstanceStateChanged::SUBJECT.to_owned();
    let payload = serde_json::to_vec(fact).unwrap().into();
    let trace = m::TraceContext::default();
    publish::event(&api.bus, subject, &id, payload, &trace)
        .await
        .unwrap();
}

async fn running_task(api: &Api) -> TaskId {
    let task = api.starting_task().await;
    api.report(status(&task, 1, CaptureState::Running)).await;
    api.reaches(&task, "running").await;
    task
}

async fn events(api: &Api, task: &TaskId) -> Vec<Value> {
    let events = api.get(&format!("/tasks/{task}/events")).await;
    events.body["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_expiry_locks_a_running_task_and_a_renewal_starts_it_again() {
    let api = Api::start().await;
    stand_in::billing_of(&api.bus, |task| {
        instance(task, m::InstanceState::Expired, 2)
    })
    .await;
    let task = running_task(&api).await;
    tell(&api, &task, m::InstanceState::Expired, 2).await;
    api.reaches(&task, "locked").await;
    assert_eq!(api.wish(&task, 2).await.desired(), DesiredState::Suspended);

    // Capture lets go of the slot. Why the task is locked stays.
    api.report(status(&task, 2, CaptureState::Suspended)).await;
    let path = format!("/tasks/{task}");
    eventually("the report is taken", LIMIT, async || {
        api.get(&path).await.body["error"]["code"] == "InstanceExpired"
    })
    .await;
    let shown = api.get(&path).await.body;
    let advice = shown["error"]["advice"].as_str().unwrap();
    assert!(
        advice.contains("renew") && advice.contains("WAL"),
        "{advice}"
    );

    for command in ["start", "resume"] {
        let refused = api.command(&format!("{path}/{command}")).await;
        refused.is_problem(StatusCode::CONFLICT, "instance_expired");
        let repair = refused.body["repair"].as_str().unwrap();
        assert!(repair.contains("/renew"), "{repair}");
    }
    let suspended = api.command(&format!("{path}/suspend")).await;
    suspended.is_problem(StatusCode::CONFLICT, "state_forbids");

    tell(&api, &task, m::InstanceState::Active, 3).await;
    api.reaches(&task, "starting").await;
    assert_eq!(api.wish(&task, 3).await.desired(), DesiredState::Running);
    let events = events(&api, &task).await;
    let last = events.last().unwrap();
    assert_eq!(last["actor"], "user:ada");
    assert!(
        last["reason"].as_str().unwrap().contains("renewed"),
        "{last}"
    );
}

#[tokio::test]
async fn a_task_comes_back_to_where_its_user_had_put_it() {
    let api = Api::start().await;
    let suspended = running_task(&api).await;
    api.command(&format!("/tasks/{suspended}/suspend")).await;
    tell(&api, &suspended, m::InstanceState::Expired, 2).await;
    api.reaches(&suspended, "locked").await;
    tell(&api, &suspended, m::InstanceState::Active, 3).await;
    api.reaches(&suspended, "suspended").await;

    // One that had stopped is tried again: what stopped it will say so once more.
    let stopped = running_task(&api).await;
    let mut report = status(&stopped, 1, CaptureState::Stopped);
    report.error = Some(TaskError {
        code: "Gap".to_owned(),
        ..TaskError::default()
    });
    api.report(report).await;
    api.reaches(&stopped, "abnormal").await;
    tell(&api, &stopped, m::InstanceState::Expired, 2).await;
    api.reaches(&stopped, "locked").await;
    tell(&api, &stopped, m::InstanceState::Active, 3).await;
    api.reaches(&stopped, "starting").await;
}

#[tokio::test]
async fn what_was_never_started_is_not_locked_but_cannot_be_started() {
    let api = Api::start().await;
    // The fact is there before billing's answer says so: the newer of the two decides.
    stand_in::billing_of(&api.bus, |task| instance(task, m::InstanceState::Active, 1)).await;
    let task = api.created_task().await;
    tell(&api, &task, m::InstanceState::Expired, 2).await;
    known(&api, &task, 2).await;
    assert_eq!(api.state(&task).await, "not_started");
    sqlx::query("UPDATE task_api.tasks SET state = 'precheck_passed' WHERE id = $1")
        .bind(task.as_str())
        .execute(&api.pool)
        .await
        .unwrap();
    let refused = api.command(&format!("/tasks/{task}/start")).await;
    refused.is_problem(StatusCode::CONFLICT, "instance_expired");
    assert_eq!(api.state(&task).await, "precheck_passed");
}

/// Waits until facts up to this version were taken.
async fn known(api: &Api, task: &TaskId, version: i64) {
    eventually("the fact is taken", LIMIT, async || {
        let question = "SELECT version FROM task_api.instance_states WHERE task_id = $1";
        let known = sqlx::query_scalar::<_, i64>(question).bind(task.as_str());
        known.fetch_optional(&api.pool).await.unwrap() == Some(version)
    })
    .await;
}

#[tokio::test]
async fn facts_that_come_late_or_twice_change_nothing() {
    let api = Api::start().await;
    let task = running_task(&api).await;
    tell(&api, &task, m::InstanceState::Active, 3).await;
    known(&api, &task, 3).await;
    let late = m::InstanceStateChanged {
        meta: Some(event_meta()),
        instance: Some(instance(&task, m::InstanceState::Expired, 2)),
        actor: "service:billing".to_owned(),
    };
    send(&api, &late, "").await;
    let other = running_task(&api).await;
    let fact = m::InstanceStateChanged {
        instance: Some(instance(&other, m::InstanceState::Ended, 4)),
        ..late
    };
    send(&api, &fact, "-once").await;
    send(&api, &fact, "-twice").await;
    api.reaches(&other, "released").await;
    let unknown: TaskId = "t000000000000".parse().unwrap();
    tell(&api, &unknown, m::InstanceState::Ended, 2).await;
    // Facts are taken in their order: those before are, once this one is.
    tell(&api, &task, m::InstanceState::Expired, 5).await;
    api.reaches(&task, "locked").await;
    let locks = events(&api, &task).await;
    let locks = locks.iter().filter(|event| event["to"] == "locked").count();
    assert_eq!(locks, 1, "the late fact has locked the task");
    let releases = events(&api, &other).await;
    let releases = releases
        .iter()
        .filter(|event| event["to"] == "released")
        .count();
    assert_eq!(releases, 1);
}

#[tokio::test]
async fn a_renewal_goes_to_billing_with_its_key() {
    let api = Api::start().await;
    let keys = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&keys);
    stand_in::renewing(&api.bus, move |request| {
        if request.months > 60 {
            let refused = refuse::invalid("months_not_sold", "61 months are not sold");
            return Err(refused.field("months").repair("give less"));
        }
        told.lock().unwrap().push(request.order_key);
        let task = request.task_id.parse().unwrap();
        Ok(instance(&task, m::InstanceState::Active, 3))
    })
    .await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/renew");
    let months = json!({"months": 3});
    for _ in 0..2 {
        let renewed = api.post(&path, &months).await;
        assert_eq!(renewed.status, StatusCode::OK, "{renewed:?}");
        assert_eq!(renewed.body["subscription"]["state"], "active");
    }
    let with_key = async || {
        let request = api.request(Method::POST, &path).json(&months);
        send_request(request.header("Idempotency-Key", "mine")).await
    };
    assert_eq!(with_key().await.status, StatusCode::OK);
    assert!(with_key().await.replayed);
    let keys = keys.lock().unwrap().clone();
    let [first, second, mine] = &keys[..] else {
        panic!("{keys:?}");
    };
    assert_ne!(first, second);
    assert_eq!(*mine, format!("renew/{task}/mine"));

    let refused = api.post(&path, &json!({"months": 61})).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "months_not_sold");
    assert_eq!(refused.body["field"], "months");
    let wrong = api.post(&path, &json!({"month": 1})).await;
    wrong.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
}
