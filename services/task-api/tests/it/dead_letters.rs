//! Dead letters of groups, and putting a change away.

use reqwest::{Method, StatusCode};
use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{Bus, Server, refuse};
use rowcast_proto::message as m;
use rowcast_proto::message::RpcError;
use rowcast_proto::rpc::{
    DiscardDeadLetters, GetDeadLetter, ListDeadLetters, RedriveDeadLetters, SkipChange,
};
use serde_json::json;

use crate::fixture::{Api, send, task};
use crate::stand_in::serve;

const GROUP: &str = "g000000000001";

fn letter(id: u64, payload: &[u8]) -> m::DeadLetter {
    let at = chrono::DateTime::UNIX_EPOCH;
    m::DeadLetter {
        id,
        group_id: GROUP.to_owned(),
        subject: "rowcast.change.t000000000000.003.public.orders.insert".to_owned(),
        position: Some(m::StreamPosition {
            sequence: 41,
            lsn: "16/B374D848".to_owned(),
            ordinal: 3,
            committed_at: Some(at.into()),
        }),
        cause: m::DeadLetterCause::GivenUp.into(),
        attempts: 10,
        last_error: "no such customer".to_owned(),
        at: Some(at.into()),
        payload: payload.to_vec(),
        ..m::DeadLetter::default()
    }
}

/// Consumer-group, whose letter 18 is no change.
async fn groups(bus: &Bus) {
    let mut server = Server::start(bus, "consumer-group", "0.0.0", "stands in")
        .await
        .unwrap();
    let list = |question: m::ListDeadLettersRequest| async move {
        Ok::<_, RpcError>(m::ListDeadLettersReply {
            letters: vec![letter(question.after + 1, b"")],
            next_after: question.after + u64::from(question.limit),
            total: 40,
        })
    };
    server.add::<ListDeadLetters, _, _>(list).await.unwrap();
    let get = |question: m::DeadLetterRequest| async move {
        let body: &[u8] = if question.id == 18 {
            &[0, 1, 2]
        } else {
            br#"{"op":"insert"}"#
        };
        Ok::<_, RpcError>(letter(question.id, body))
    };
    server.add::<GetDeadLetter, _, _>(get).await.unwrap();
    let done = |question: m::DeadLetterRequest| async move {
        assert!(!question.actor.is_empty());
        if question.id == 99 {
            let refusal = refuse::not_found("dead_letter_not_found", "none").field("id");
            return Err(refusal.repair("list those that are there"));
        }
        let done = if question.id == 0 { 500 } else { 1 };
        Ok(m::DeadLettersReply { done, left: 7 })
    };
    server.add::<RedriveDeadLetters, _, _>(done).await.unwrap();
    server.add::<DiscardDeadLetters, _, _>(done).await.unwrap();
    let skip = |question: m::SkipChangeRequest| async move {
        assert_eq!((question.sequence, question.reason.as_str()), (41, "why"));
        Ok::<_, RpcError>(m::Group {
            id: question.group_id,
            task_id: question.task_id,
            created_at: Some(chrono::DateTime::UNIX_EPOCH.into()),
            acknowledged_sequence: 41,
            ..m::Group::default()
        })
    };
    server.add::<SkipChange, _, _>(skip).await.unwrap();
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
async fn dead_letters_are_listed_in_pages_and_shown_with_their_change() {
    let api = Api::start().await;
    let letters = format!("{}/dead-letters", path(&api).await);
    let page = api.get(&format!("{letters}?after=16&limit=5")).await.body;
    assert_eq!(
        (&page["next_after"], &page["total"]),
        (&json!(21), &json!(40))
    );
    let first = &page["letters"][0];
    assert_eq!(
        (&first["id"], &first["cause"]),
        (&json!(17), &json!("given_up"))
    );
    assert_eq!(first["position"]["lsn"], "16/B374D848");
    assert!(first.get("change").is_none() && first.get("payload").is_none());
    let whole = api.get(&format!("{letters}/17")).await.body;
    assert_eq!(whole["change"], json!({"op": "insert"}));
    let unreadable = api.get(&format!("{letters}/18")).await.body;
    assert_eq!(unreadable["payload"], "AAEC");
    for (wrong, status, code) in [
        ("?limit=0", StatusCode::BAD_REQUEST, "malformed_query"),
        ("?limits=1", StatusCode::BAD_REQUEST, "malformed_query"),
        ("/x", StatusCode::NOT_FOUND, "dead_letter_not_found"),
    ] {
        let refused = api.get(&format!("{letters}{wrong}")).await;
        refused.is_problem(status, code);
    }
}

#[tokio::test]
async fn dead_letters_are_redriven_and_discarded_and_that_is_on_record() {
    let api = Api::start().await;
    let group = path(&api).await;
    let letters = format!("{group}/dead-letters");
    let nothing = json!({});
    for (command, done) in [("17/redrive", 1), ("redrive", 500), ("discard", 500)] {
        let told = api.post(&format!("{letters}/{command}"), &nothing).await;
        assert_eq!(told.status, StatusCode::OK, "{told:?}");
        assert_eq!(told.body, json!({"done": done, "left": 7}));
    }
    let missing = api.post(&format!("{letters}/99/redrive"), &nothing).await;
    missing.is_problem(StatusCode::NOT_FOUND, "dead_letter_not_found");
    let discard = api.request(Method::DELETE, &format!("{letters}/17"));
    let gone = send(discard).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
    let wanted = json!({"sequence": 41, "reason": "why"});
    let skipped = api.post(&format!("{group}/skip"), &wanted).await;
    assert_eq!(skipped.body["acknowledged_sequence"], 41, "{skipped:?}");
    let wrong = api
        .post(&format!("{group}/skip"), &json!({"reason": "why"}))
        .await;
    wrong.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    let audit = api.get("/audit?limit=10").await.body["entries"].to_string();
    for command in ["dead-letters/redrive", "dead-letters/17", "/skip"] {
        assert!(audit.contains(command), "{command}: {audit}");
    }
}
