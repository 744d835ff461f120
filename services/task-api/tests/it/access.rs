//! Who may ask, and what is asked for that is not there.

use reqwest::{Method, StatusCode};

use crate::fixture::{Api, send};

#[tokio::test]
async fn without_the_token_nothing_is_told() {
    let api = Api::start().await;
    for path in [
        "/sources",
        "/tasks",
        "/incidents",
        "/tasks/t000000000000/groups",
    ] {
        let answer = send(api.anonymous(Method::GET, path)).await;
        answer.is_problem(StatusCode::UNAUTHORIZED, "unauthorized");
        let wrong = api.anonymous(Method::GET, path).bearer_auth("wrong");
        send(wrong)
            .await
            .is_problem(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    assert_eq!(api.get("/tasks").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let api = Api::start().await;
    api.get("/nothing")
        .await
        .is_problem(StatusCode::NOT_FOUND, "no_such_route");
    let wrong = send(api.request(Method::DELETE, "/tasks")).await;
    wrong.is_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    for path in [
        "/tasks/t000000000000",
        "/tasks/none",
        "/tasks/t000000000000/events",
    ] {
        api.get(path)
            .await
            .is_problem(StatusCode::NOT_FOUND, "task_not_found");
    }
    let answer = api.get("/sources/s000000000000").await;
    answer.is_problem(StatusCode::NOT_FOUND, "source_not_found");
    let answer = api.command("/tasks/t000000000000/start").await;
    answer.is_problem(StatusCode::NOT_FOUND, "task_not_found");
    let answer = api.get("/incidents?opened=true").await;
    answer.is_problem(StatusCode::BAD_REQUEST, "malformed_query");
}

#[tokio::test]
async fn the_document_names_every_route_and_needs_no_token() {
    let api = Api::start().await;
    let document = send(api.anonymous(Method::GET, "/openapi.json")).await;
    assert_eq!(document.status, StatusCode::OK);
    let paths = document.body["paths"].as_object().unwrap();
    let routes: usize = paths
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum();
    assert_eq!(routes, 70, "{:?}", paths.keys());
    assert!(paths.contains_key("/api/v1/tasks/{id}/groups/{gid}/connection"));
    let schemas = document.body["components"]["schemas"].as_object().unwrap();
    assert!(schemas.contains_key("ProblemBody"));
    for (schema, member) in [
        ("CreateTask", "change_types"),
        ("ChangeTypes", "schema"),
        ("Objects", "schema_patterns"),
        ("SchemaObjects", "patterns"),
        ("StartTask", "accept_stop"),
        ("Task", "objects_since"),
        ("Task", "warnings"),
        ("SourceTest", "steps"),
        ("SourceObjects", "next_cursor"),
        ("PatchTask", "retry_minutes"),
        ("IgnoreChecks", "reason"),
        ("RunPrecheck", "only_failed"),
        ("CheckItem", "ignored"),
        ("PatchSource", "password"),
        ("TaskList", "next_cursor"),
    ] {
        let members = &schemas[schema]["properties"];
        assert!(
            members.get(member).is_some(),
            "{schema}.{member}: {members}"
        );
    }
    let body = |path: &str, method: &str| {
        let content = &paths[path][method]["requestBody"]["content"];
        content["application/json"]["schema"].to_string()
    };
    let start = body("/api/v1/tasks/{id}/start", "post");
    assert!(start.contains("StartTask"), "{start}");
    let objects = body("/api/v1/tasks/{id}/objects", "put");
    assert!(objects.contains("/Objects\""), "{objects}");
    let parameters = paths["/api/v1/tasks/{id}"]["patch"]["parameters"].to_string();
    assert!(parameters.contains("If-Match"), "{parameters}");
}

#[tokio::test]
async fn what_sources_must_let_in_is_told() {
    let silent = Api::start().await;
    let system = silent.get("/system").await;
    assert_eq!(system.body["egress_addresses"], serde_json::json!([]));
    assert!(!system.body["egress_advice"].as_str().unwrap().is_empty());
    let told = &[("ROWCAST_EGRESS_ADDRESSES", "203.0.113.7, 2001:db8::/48")];
    let api = Api::start_with(told).await;
    let system = api.get("/system").await;
    let expected = serde_json::json!(["203.0.113.7", "2001:db8::/48"]);
    assert_eq!(system.body["egress_addresses"], expected);
}

#[tokio::test]
async fn every_command_describes_its_key_and_every_version_its_tag() {
    let api = Api::start().await;
    let document = send(api.anonymous(Method::GET, "/openapi.json")).await.body;
    let has_header = |operation: &serde_json::Value, name: &str| {
        let parameters = operation["parameters"].as_array();
        let mut parameters = parameters.into_iter().flatten();
        parameters.any(|given| given["in"] == "header" && given["name"] == name)
    };
    let mut conditional = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap();
        for (method, operation) in methods.iter().filter(|(method, _)| *method != "get") {
            assert!(has_header(operation, "Idempotency-Key"), "{method} {path}");
            for problem in ["409", "422"] {
                let content = &operation["responses"][problem]["content"];
                let schema = &content["application/problem+json"]["schema"];
                assert!(
                    schema.to_string().contains("ProblemBody"),
                    "{method} {path}"
                );
            }
            if has_header(operation, "If-Match") {
                conditional.push(format!("{method} {path}"));
                let problem = &operation["responses"]["412"];
                assert!(problem.is_object(), "{method} {path}");
            }
            let is_told = &operation["responses"]["200"]["headers"]["ETag"];
            let shows = operation["responses"].get("200").is_some();
            let expected = shows && has_header(operation, "If-Match");
            assert_eq!(is_told.is_object(), expected, "{method} {path}");
        }
    }
    for thing in [
        "tasks/{id}",
        "sources/{id}",
        "contacts/{id}",
        "tasks/{id}/instance",
    ] {
        let path = format!("/api/v1/{thing}");
        assert!(
            conditional.contains(&format!("patch {path}")),
            "{conditional:?}"
        );
        let read = &document["paths"][&path]["get"]["responses"]["200"]["headers"];
        assert!(read["ETag"].is_object(), "{path}: {read}");
    }
    assert!(conditional.contains(&"delete /api/v1/tasks/{id}/groups/{gid}".to_owned()));
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
}
