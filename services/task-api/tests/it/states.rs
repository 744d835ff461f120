//! What each state of a task allows, and what it says to the rest.

use reqwest::{Method, StatusCode};
use rowcast_domain::{TaskCommand, TaskId, TaskState};
use serde_json::{Value, json};

use crate::fixture::{Answer, Api, send};

/// The command's request.
async fn ask(api: &Api, task: &TaskId, command: TaskCommand) -> Answer {
    let (method, below, body) = match command {
        TaskCommand::Change => (Method::PATCH, "", json!({"retry_minutes": 60})),
        TaskCommand::ChangeObjects => (Method::PUT, "/objects", json!({"all": true})),
        TaskCommand::Purchase => {
            let body = json!({"charge_type": "pay_as_you_go"});
            (Method::POST, "/purchase", body)
        }
        TaskCommand::Renew => (Method::POST, "/renew", json!({"months": 1})),
        TaskCommand::CreateGroup => {
            let body = json!({"name": "g", "account": "reader", "password": "Blue-horse-7"});
            (Method::POST, "/groups", body)
        }
        TaskCommand::Clone => (Method::POST, "/clone", json!({"name": "another"})),
        TaskCommand::Precheck => (Method::POST, "/precheck", json!({})),
        TaskCommand::Start => (Method::POST, "/start", json!({})),
        TaskCommand::Resume => (Method::POST, "/resume", json!({})),
        TaskCommand::Recheck => (Method::POST, "/recheck", json!({})),
        TaskCommand::Suspend => (Method::POST, "/suspend", json!({})),
        TaskCommand::Reset => (Method::POST, "/reset", json!({})),
        TaskCommand::Release => (Method::POST, "/release", json!({})),
    };
    send(
        api.request(method, &format!("/tasks/{task}{below}"))
            .json(&body),
    )
    .await
}

async fn put_into(api: &Api, task: &TaskId, state: TaskState) {
    sqlx::query("UPDATE task_api.tasks SET state = $2, error = NULL WHERE id = $1")
        .bind(task.as_str())
        .bind(state.as_str())
        .execute(&api.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_command_is_refused_by_the_state_exactly_where_the_lifecycle_says_so() {
    let api = Api::start().await;
    let task = api.created_task().await;
    for state in TaskState::ALL {
        let allowed: Vec<&str> = state.commands().map(TaskCommand::as_str).collect();
        for command in TaskCommand::ALL {
            put_into(&api, &task, state).await;
            let answer = ask(&api, &task, command).await;
            let by_state = answer.body.get("state").is_some_and(Value::is_string)
                && answer.status == StatusCode::CONFLICT;
            assert_eq!(
                !by_state,
                state.takes(command),
                "{state} {command}: {answer:?}"
            );
            if !by_state {
                // No other service runs: what needs one says so.
                let code = answer.status;
                let is_taken = code.is_success() || code == StatusCode::SERVICE_UNAVAILABLE;
                assert!(is_taken, "{state} {command}: {answer:?}");
                continue;
            }
            let problem = &answer.body;
            assert_eq!(problem["state"], state.as_str(), "{command}: {answer:?}");
            assert_eq!(problem["allowed"], json!(allowed), "{command}: {answer:?}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(state.as_str()), "{detail}");
        }
    }
}

#[tokio::test]
async fn a_start_of_what_runs_is_answered_with_the_task() {
    let api = Api::start().await;
    let task = api.created_task().await;
    for state in [TaskState::Running, TaskState::Retrying] {
        put_into(&api, &task, state).await;
        let before = api.get(&format!("/tasks/{task}/events")).await.body;
        for command in [TaskCommand::Start, TaskCommand::Resume] {
            let answer = ask(&api, &task, command).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            assert_eq!(answer.body["state"], state.as_str(), "{answer:?}");
        }
        assert_eq!(api.get(&format!("/tasks/{task}/events")).await.body, before);
    }
}
