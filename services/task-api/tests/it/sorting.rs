//! Tags, resource groups, and copies of tasks.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::fixture::{Answer, Api, send, source, task};

fn names(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let tasks = answer.body["tasks"].as_array().unwrap();
    tasks
        .iter()
        .map(|task| task["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn tasks_are_found_by_tags_and_resource_group() {
    let api = Api::start().await;
    let source = api.created_source().await;
    for (name, tags, group) in [
        (
            "orders",
            json!({"env": "prod", "team": "crm"}),
            Some("sales"),
        ),
        ("items", json!({"env": "prod"}), None),
        ("stock", json!({"env": "test"}), Some("sales")),
        ("plain", json!({}), None),
    ] {
        let mut body = task(&source);
        body["name"] = json!(name);
        body["tags"] = tags;
        if let Some(group) = group {
            body["resource_group"] = json!(group);
        }
        let created = api.post("/tasks", &body).await;
        assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
        assert_eq!(created.body["resource_group"].as_str(), group);
    }
    let get = async |query: &str| api.get(&format!("/tasks?{query}")).await;
    assert_eq!(names(&get("tag=env=prod").await), ["orders", "items"]);
    assert_eq!(names(&get("tag=env%3Dprod,team").await), ["orders"]);
    assert_eq!(names(&get("tag=env").await), ["orders", "items", "stock"]);
    assert!(names(&get("tag=env=PROD").await).is_empty());
    let both = "resource_group=sales&tag=env=test&state=not_started";
    assert_eq!(names(&get(both).await), ["stock"]);
    assert_eq!(names(&get("resource_group=sales").await).len(), 2);

    // Signs that no tag may have.
    let mut refused = task(&source);
    refused["tags"] = json!({"team": "ops & dev", "a,b": "c"});
    refused["resource_group"] = json!("");
    let answer = api.post("/tasks", &refused).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    for field in ["tags.team", "tags.a,b", "resource_group"] {
        assert!(answer.text.contains(field), "{answer:?}");
    }
}

#[tokio::test]
async fn tags_are_replaced_without_a_new_wish() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    let path = format!("/tasks/{task}");
    let body = json!({"tags": {"env": "prod"}, "resource_group": "sales"});
    let answer = api.patch(&path, &body).await;
    assert_eq!(answer.body["tags"], json!({"env": "prod"}), "{answer:?}");
    let other = json!({"tags": {"team": "crm"}, "resource_group": ""});
    let answer = api.patch(&path, &other).await;
    assert_eq!(answer.body["tags"], json!({"team": "crm"}), "{answer:?}");
    assert_eq!(answer.body["resource_group"], json!(null), "{answer:?}");
    assert_eq!(answer.etag, "\"3\"");
    let generation: i64 = sqlx::query_scalar("SELECT generation FROM task_api.tasks WHERE id = $1")
        .bind(task.as_str())
        .fetch_one(&api.pool)
        .await
        .unwrap();
    assert_eq!(generation, 1);
}

#[tokio::test]
async fn a_clone_is_a_task_of_its_own_with_the_same_configuration() {
    let api = Api::start().await;
    let source = api.created_source().await;
    let mut body = task(&source);
    body["tags"] = json!({"env": "prod", "rowcast/set": "shop"});
    body["change_types"] = json!({"data": ["insert"], "schema": true});
    body["partitions"] = json!(4);
    let first = api.post("/tasks", &body).await.body;
    let path = format!("/tasks/{}", first["id"].as_str().unwrap());
    // A released task can be copied too.
    api.command(&format!("{path}/release")).await;

    let answer = api
        .post(&format!("{path}/clone"), &json!({"name": "again"}))
        .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(
        (answer.etag.as_str(), &answer.body["state"]),
        ("\"1\"", &json!("not_started"))
    );
    let clone = answer.body;
    assert_ne!(clone["id"], first["id"]);
    assert_eq!(clone["name"], "again");
    assert_eq!(clone["tags"], json!({"env": "prod"}));
    for member in [
        "source_id",
        "database",
        "objects",
        "change_types",
        "retry_minutes",
        "retention",
        "partitions",
        "transactions",
    ] {
        assert_eq!(clone[member], first[member], "{member}");
    }
    let events = api
        .get(&format!("/tasks/{}/events", clone["id"].as_str().unwrap()))
        .await;
    let reason = format!("cloned from {}", first["id"].as_str().unwrap());
    assert_eq!(events.body["events"][0]["reason"], reason);

    let answer = api
        .post(&format!("{path}/clone"), &json!({"name": " "}))
        .await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    api.command(&format!("/tasks/{}/release", clone["id"].as_str().unwrap()))
        .await;
    let deleted = send(api.request(Method::DELETE, &format!("/sources/{source}"))).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
    let answer = api
        .post(&format!("{path}/clone"), &json!({"name": "late"}))
        .await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "source_not_found");
}

#[tokio::test]
async fn other_change_types_need_a_precheck_and_come_before_the_first_start() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}");
    sqlx::query("UPDATE task_api.tasks SET state = 'precheck_passed' WHERE id = $1")
        .bind(task.as_str())
        .execute(&api.pool)
        .await
        .unwrap();
    let body = json!({"change_types": {"data": ["insert", "delete"]}});
    let answer = api.patch(&path, &body).await;
    assert_eq!(answer.body["state"], "not_started", "{answer:?}");
    assert_eq!(
        answer.body["change_types"]["data"],
        json!(["insert", "delete"])
    );
    let body = json!({"change_types": {"schema": true}});
    let answer = api.patch(&path, &body).await;
    let expected = json!({"data": ["insert", "delete"], "schema": true});
    assert_eq!(answer.body["change_types"], expected);
    let nothing = json!({"change_types": {"data": [], "schema": false}});
    let answer = api.patch(&path, &nothing).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");

    let started = api.starting_task().await;
    let answer = api.patch(&format!("/tasks/{started}"), &body).await;
    assert_eq!(answer.body["state"], "starting", "{answer:?}");
    let wish = api.wish(&started, 2).await;
    assert!(wish.change_types.unwrap().schema, "capture is told");
}

#[tokio::test]
async fn tags_of_a_source_are_no_news_to_its_tasks() {
    let api = Api::start().await;
    let task = api.starting_task().await;
    let shown = api.get(&format!("/tasks/{task}")).await;
    let path = format!("/sources/{}", shown.body["source_id"].as_str().unwrap());
    let answer = api.patch(&path, &json!({"tags": {"env": "prod"}})).await;
    assert_eq!(answer.body["tags"], json!({"env": "prod"}), "{answer:?}");
    assert_eq!(api.get(&path).await.body, answer.body);
    assert_eq!(
        api.get(&format!("/tasks/{task}/events")).await.body["events"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let refused = api.patch(&path, &json!({"tags": {"a=b": "c"}})).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    let mut body = source();
    body["tags"] = json!({"team": "crm"});
    let created = api.post("/sources", &body).await;
    assert_eq!(created.body["tags"], json!({"team": "crm"}), "{created:?}");
}

#[tokio::test]
async fn tasks_are_sorted_by_state_and_change_over_pages() {
    let api = Api::start().await;
    let source = api.created_source().await;
    for (name, state) in [
        ("a", "suspended"),
        ("b", "running"),
        ("c", "not_started"),
        ("d", "running"),
    ] {
        let mut body = task(&source);
        body["name"] = json!(name);
        let made = api.post("/tasks", &body).await;
        sqlx::query("UPDATE task_api.tasks SET state = $2 WHERE id = $1")
            .bind(made.body["id"].as_str().unwrap())
            .bind(state)
            .execute(&api.pool)
            .await
            .unwrap();
    }
    let paged = async |sort: &str| {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api
                .get(&format!("/tasks?sort={sort}&limit=1{cursor}"))
                .await;
            found.extend(names(&page).into_iter().map(str::to_owned));
            let Some(next) = page.body["next_cursor"].as_str() else {
                return found;
            };
            cursor = format!("&cursor={next}");
        }
    };
    // In the order of the lifecycle; the id decides between the two that run.
    let by_state = paged("state").await;
    assert_eq!((by_state[0].as_str(), by_state[3].as_str()), ("c", "a"));
    let mut backwards = paged("-state").await;
    backwards.reverse();
    assert_eq!(backwards, by_state);
    assert_eq!(paged("updated_at").await, ["a", "b", "c", "d"]);
    assert_eq!(paged("-updated_at").await, ["d", "c", "b", "a"]);
    let other = api.get("/tasks?sort=updated_at&cursor=s.running.t1").await;
    other.is_problem(StatusCode::BAD_REQUEST, "malformed_query");
}
