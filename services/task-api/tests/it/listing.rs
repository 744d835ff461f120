//! Looking for tasks.

use reqwest::{Method, StatusCode};
use rowcast_domain::{TaskCommand, TaskId, TaskState};
use serde_json::{Value, json};

use crate::fixture::{Answer, Api, send, task};
use crate::stand_in;

fn names(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let tasks = answer.body["tasks"].as_array().unwrap();
    tasks
        .iter()
        .map(|task| task["name"].as_str().unwrap())
        .collect()
}

/// Tasks of these names, oldest first, of one source; and one of another.
async fn shop() -> (Api, String) {
    let api = Api::start().await;
    let source = api.created_source().await;
    for name in ["orders", "Ümlaut.x", "orders", "items"] {
        let mut body = task(&source);
        body["name"] = json!(name);
        let created = api.post("/tasks", &body).await;
        assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    }
    let other = api.created_task().await;
    let answer = api.command(&format!("/tasks/{other}/release")).await;
    assert_eq!(answer.status, StatusCode::OK);
    (api, source)
}

#[tokio::test]
async fn tasks_are_filtered_by_state_source_and_text() {
    let (api, source) = shop().await;
    let get = async |query: &str| api.get(&format!("/tasks?{query}")).await;
    assert_eq!(names(&api.get("/tasks").await).len(), 5);
    assert_eq!(names(&get("state=released").await), ["orders"]);
    assert_eq!(names(&get("state=released,not_started").await).len(), 5);
    assert_eq!(names(&get(&format!("source_id={source}")).await).len(), 4);
    assert_eq!(names(&get("search=ORD").await).len(), 3);
    let both = format!("source_id={source}&search=ord&state=not_started");
    assert_eq!(names(&get(&both).await).len(), 2);
    // A sign that LIKE would know stands for itself.
    assert!(names(&get("search=o%25s").await).is_empty());
    let first = get("limit=1").await;
    let id = first.body["tasks"][0]["id"].as_str().unwrap();
    assert_eq!(names(&get(&format!("search={id}")).await), ["orders"]);
}

#[tokio::test]
async fn pages_follow_each_other_in_every_order() {
    let (api, _source) = shop().await;
    let by_age = ["orders", "Ümlaut.x", "orders", "items", "orders"];
    let by_name = ["items", "orders", "orders", "orders", "Ümlaut.x"];
    let backwards = |names: [&'static str; 5]| names.into_iter().rev().collect();
    let orders: [(&str, Vec<&str>); 4] = [
        ("created_at", by_age.to_vec()),
        ("-created_at", backwards(by_age)),
        ("name", by_name.to_vec()),
        ("-name", backwards(by_name)),
    ];
    for (sort, expected) in orders {
        for limit in [1, 2, 5] {
            let mut seen = Vec::new();
            let mut ids = std::collections::BTreeSet::new();
            let mut cursor = String::new();
            loop {
                let page = api
                    .get(&format!("/tasks?sort={sort}&limit={limit}{cursor}"))
                    .await;
                seen.extend(names(&page).into_iter().map(str::to_owned));
                for task in page.body["tasks"].as_array().unwrap() {
                    ids.insert(task["id"].as_str().unwrap().to_owned());
                }
                let Some(next) = page.body["next_cursor"].as_str() else {
                    break;
                };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(seen, expected, "{sort} by {limit}");
            assert_eq!(ids.len(), 5, "{sort} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_query_that_means_nothing_names_its_parameter() {
    let (api, _source) = shop().await;
    let page = api.get("/tasks?limit=1").await;
    let next = page.body["next_cursor"].as_str().unwrap();
    let other_order = format!("sort=name&cursor={next}");
    for (query, field) in [
        ("state=sleeping", "state"),
        ("sort=size", "sort"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        (other_order.as_str(), "cursor"),
        ("name=orders", "name"),
    ] {
        let answer = api.get(&format!("/tasks?{query}")).await;
        answer.is_problem(StatusCode::BAD_REQUEST, "malformed_query");
        assert_eq!(answer.body["field"], field, "{answer:?}");
    }
}

/// The task as the list tells it.
async fn listed(api: &Api, id: &TaskId) -> Value {
    let list = api.get(&format!("/tasks?search={id}")).await;
    assert_eq!(list.status, StatusCode::OK, "{list:?}");
    list.body["tasks"][0].clone()
}

#[tokio::test]
async fn a_list_tells_how_the_last_precheck_stands_and_what_is_allowed() {
    let api = Api::start().await;
    stand_in::precheck(&api.bus, || async {}).await;
    let id = api.created_task().await;
    let told = listed(&api, &id).await;
    assert_eq!(told["precheck"], Value::Null, "{told}");
    let allowed_in = |state: TaskState| {
        let commands = state.commands();
        json!(commands.map(TaskCommand::as_str).collect::<Vec<_>>())
    };
    let before = allowed_in(TaskState::NotStarted);
    assert_eq!(told["allowed"], before);
    assert_eq!(told["etl_applied"], Value::Null);

    let report = api.command(&format!("/tasks/{id}/precheck")).await;
    let told = listed(&api, &id).await;
    assert_eq!(told["precheck"]["state"], "passed", "{told}");
    for member in ["success_percent", "finished_at"] {
        assert_eq!(told["precheck"][member], report.body[member], "{told}");
    }
    assert_eq!(told["allowed"], allowed_in(TaskState::PrecheckPassed));

    let patch = api.request(Method::PATCH, &format!("/tasks/{id}"));
    let policy = json!({"etl": {"script": "e_drop()"}});
    let patched = send(patch.json(&policy)).await;
    assert_eq!(patched.status, StatusCode::OK, "{patched:?}");
    let told = listed(&api, &id).await;
    assert_eq!(told["precheck"]["state"], "outdated", "{told}");
    assert_eq!(told["etl_applied"], false, "it does not run");
    assert_eq!(told["allowed"], before);
}
