//! How it is with groups, and moving their positions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{Bus, Server, refuse};
use rowcast_proto::message as m;
use rowcast_proto::message::RpcError;
use rowcast_proto::message::move_group_request::Target;
use rowcast_proto::rpc::{
    CreateGroup, DeleteGroup, GetGroup, GetGroupHistory, MoveGroup, UpdateGroup,
};
use serde_json::json;
use tokio::sync::Notify;

use crate::fixture::{Api, task};
use crate::stand_in::serve;

const GROUP: &str = "g000000000001";
const TIME: &str = "2026-11-23T05:33:10Z";

fn time() -> DateTime<Utc> {
    TIME.parse().unwrap()
}

fn group(task_id: String, status: m::GroupStatus) -> m::Group {
    m::Group {
        id: GROUP.to_owned(),
        task_id,
        name: "warehouse".to_owned(),
        account: "reader".to_owned(),
        created_at: Some(time().into()),
        acknowledged_sequence: 41,
        status: Some(status),
        ..m::Group::default()
    }
}

fn status() -> m::GroupStatus {
    let position = m::StreamPosition {
        sequence: 41,
        lsn: "16/B374D848".to_owned(),
        ordinal: 3,
        committed_at: Some(time().into()),
    };
    let member = m::GroupMember {
        address: "10.0.0.7:51234".to_owned(),
        connected_at: Some(time().into()),
        server: "rowcast".to_owned(),
        ..m::GroupMember::default()
    };
    m::GroupStatus {
        state: m::GroupState::Gap.into(),
        reason: "gone".to_owned(),
        position: Some(position),
        delay_seconds: 12,
        unconsumed: 7,
        members: vec![member],
        ..m::GroupStatus::default()
    }
}

/// Consumer-group; what lies behind 1/0 is outside.
async fn groups(bus: &Bus) {
    let mut server = Server::start(bus, "consumer-group", "0.0.0", "stands in")
        .await
        .unwrap();
    let get = |question: m::GroupRequest| async move {
        Ok::<_, RpcError>(group(question.task_id, status()))
    };
    server.add::<GetGroup, _, _>(get).await.unwrap();
    let moves = |question: m::MoveGroupRequest| async move {
        if question.target == Some(Target::Lsn("1/0".to_owned())) {
            return Err(
                refuse::conflict("position_outside", "the stream holds 1 to 9")
                    .field("lsn")
                    .repair("choose another"),
            );
        }
        assert!(question.force && !question.actor.is_empty());
        if let Some(Target::Transaction(xid)) = question.target {
            assert_eq!(xid, 740);
        }
        Ok(group(question.task_id, m::GroupStatus::default()))
    };
    server.add::<MoveGroup, _, _>(moves).await.unwrap();
    let update = |question: m::UpdateGroupRequest| async move {
        let group = group(question.task_id, m::GroupStatus::default());
        Ok::<_, RpcError>(m::Group {
            etl: question.etl,
            on_exhausted: question.on_exhausted,
            ..group
        })
    };
    server.add::<UpdateGroup, _, _>(update).await.unwrap();
    let history = |question: m::GroupHistoryRequest| async move {
        let sample = m::GroupSample {
            at: question.since,
            unread: question.points.into(),
            members: -1,
            ..m::GroupSample::default()
        };
        Ok::<_, RpcError>(m::GroupHistoryReply {
            samples: vec![sample],
        })
    };
    server.add::<GetGroupHistory, _, _>(history).await.unwrap();
    serve(server);
}

/// The path of the group.
async fn path(api: &Api) -> String {
    groups(&api.bus).await;
    let source = api.created_source().await;
    let created = api.post("/tasks", &task(&source)).await;
    let id = created.body["id"].as_str().unwrap();
    format!("/tasks/{id}/groups/{GROUP}")
}

#[tokio::test]
async fn a_group_is_shown_with_its_place_and_members() {
    let api = Api::start().await;
    let path = path(&api).await;
    let shown = api.get(&path).await.body;
    assert_eq!(shown["state"], "gap");
    assert_eq!(shown["reason"], "gone");
    assert_eq!(shown["position"]["lsn"], "16/B374D848");
    assert_eq!(
        (&shown["delay_seconds"], &shown["unconsumed"]),
        (&json!(12), &json!(7))
    );
    assert_eq!(shown["members"][0]["address"], "10.0.0.7:51234");
    assert_eq!(shown["acknowledged_sequence"], 41);
}

#[tokio::test]
async fn a_move_names_one_place_and_its_refusal_is_told() {
    let api = Api::start().await;
    let path = path(&api).await;
    let position = format!("{path}/position");
    let moved = api
        .post(&position, &json!({"time": TIME, "force": true}))
        .await;
    assert_eq!(moved.status, StatusCode::OK, "{moved:?}");
    assert_eq!(moved.body["state"], "ok");
    // As `pg_current_xact_id()` tells it in the third round.
    let full = json!({"transaction": (2_u64 << 32) + 740, "force": true});
    let moved = api.post(&position, &full).await;
    assert_eq!(moved.status, StatusCode::OK, "{moved:?}");
    for body in [
        json!({}),
        json!({"force": true}),
        json!({"earliest": true, "latest": true}),
        json!({"earliest": false}),
        json!({"lsn": "1/0", "sequence": 7}),
        json!({"lsn": "nowhere"}),
        json!({"sequenze": 7}),
    ] {
        let refused = api.post(&position, &body).await;
        refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    }
    let outside = api.post(&position, &json!({"lsn": "1/0"})).await;
    outside.is_problem(StatusCode::CONFLICT, "position_outside");
    assert_eq!(outside.body["field"], "lsn");
    let audit = api.get("/audit?limit=3").await.body;
    let entries = audit["entries"].to_string();
    assert!(entries.contains(&position), "{entries}");
}

#[tokio::test]
async fn what_is_changed_of_a_group_is_handed_on_and_what_is_not_named_stays() {
    let api = Api::start().await;
    let path = path(&api).await;
    let etl = json!({"script": "e_keep(`paid`)", "on_error": "stop"});
    let changed = api.patch(&path, &json!({"etl": etl})).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(changed.body["etl"], etl);
    for none in [json!(null), json!({"script": ""})] {
        // As consumer-group is asked for none.
        let taken = api.patch(&path, &json!({"etl": none})).await;
        assert_eq!(taken.body["etl"], json!({"script": ""}), "{taken:?}");
    }
    let renamed = api.patch(&path, &json!({"name": "sales"})).await;
    assert_eq!(renamed.status, StatusCode::OK, "{renamed:?}");
    assert_eq!(renamed.body.get("etl"), None);
    assert_eq!(renamed.body.get("on_exhausted"), None);
    for on_exhausted in ["block", "dead_letter"] {
        let wish = json!({"on_exhausted": on_exhausted});
        let changed = api.patch(&path, &wish).await;
        assert_eq!(changed.body["on_exhausted"], on_exhausted, "{changed:?}");
    }
    let refused = api.patch(&path, &json!({"on_exhausted": "drop"})).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    let refused = api
        .patch(&path, &json!({"etl": {"script": "e_kep(`paid`)"}}))
        .await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert!(refused.text.contains("etl.script"), "{}", refused.text);
    for (field, value) in [("format", "debezium"), ("mode", "keyed")] {
        let refused = api.patch(&path, &json!({ field: value })).await;
        refused.is_problem(StatusCode::CONFLICT, "field_fixed");
        assert_eq!(refused.body["field"], field);
        let repair = refused.body["repair"].as_str().unwrap();
        assert!(repair.contains("another group"), "{repair}");
    }
}

#[tokio::test]
async fn a_history_has_times_and_points() {
    let api = Api::start().await;
    let path = path(&api).await;
    let told = api
        .get(&format!("{path}/history?points=77&since={TIME}"))
        .await;
    assert_eq!(told.status, StatusCode::OK, "{told:?}");
    let sample = &told.body["samples"][0];
    assert_eq!(
        (&sample["at"], &sample["unread"]),
        (&json!(TIME), &json!(77))
    );
    assert!(sample.get("members").is_none(), "{sample}");
    let wrong = api.get(&format!("{path}/history?point=7")).await;
    wrong.is_problem(StatusCode::BAD_REQUEST, "malformed_query");
}

/// Consumer-group; tells that a group was made, and counts what is deleted.
async fn makes_groups(bus: &Bus, made: Arc<Notify>, deleted: Arc<AtomicUsize>) {
    let mut server = Server::start(bus, "consumer-group", "0.0.0", "stands in")
        .await
        .unwrap();
    let create = move |question: m::CreateGroupRequest| {
        made.notify_one();
        async move { Ok::<_, RpcError>(group(question.task_id, m::GroupStatus::default())) }
    };
    server.add::<CreateGroup, _, _>(create).await.unwrap();
    let delete = move |_question: m::GroupRequest| {
        deleted.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, RpcError>(m::DeleteGroupReply::default()) }
    };
    server.add::<DeleteGroup, _, _>(delete).await.unwrap();
    serve(server);
}

#[tokio::test]
async fn a_group_that_is_made_beside_a_change_of_its_task_is_taken_back() {
    let api = Api::start().await;
    let (made, deleted) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    makes_groups(&api.bus, Arc::clone(&made), Arc::clone(&deleted)).await;
    let id = api.created_task().await;
    let path = format!("/tasks/{id}/groups");
    let body = json!({"name": "warehouse", "account": "reader", "password": "hunter2A"});

    // Somebody has looked for groups, found none, and has not written yet that there are fewer partitions.
    let mut change = api.pool.begin().await.unwrap();
    let fewer =
        r#"UPDATE task_api.tasks SET definition = definition || '{"partitions": 4}' WHERE id = $1"#;
    let fewer = sqlx::query(fewer).bind(id.as_str());
    fewer.execute(&mut *change).await.unwrap();
    let commit = async {
        made.notified().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        change.commit().await.unwrap();
    };
    let (refused, ()) = tokio::join!(api.post(&path, &body), commit);
    refused.is_problem(StatusCode::CONFLICT, "task_changed");
    assert_eq!(deleted.load(Ordering::Relaxed), 1);

    let again = api.post(&path, &body).await;
    assert_eq!(again.status, StatusCode::CREATED, "{again:?}");
    assert_eq!(deleted.load(Ordering::Relaxed), 1);
}
