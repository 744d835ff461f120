//! Tokens beside the one of the settings: what each may do, and what is on record of it.

use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use rowcast_proto::message::IncidentRaised;
use serde_json::{Value, json};

use crate::fixture::{Answer, Api, send, source, task};
use crate::stand_in;

struct Bearer<'a> {
    api: &'a Api,
    secret: String,
    id: String,
}

impl<'a> Bearer<'a> {
    async fn new(api: &'a Api, body: &Value) -> Self {
        let answer = api.post("/tokens", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        Self {
            api,
            secret: answer.body["secret"].as_str().unwrap().to_owned(),
            id: answer.body["token"]["id"].as_str().unwrap().to_owned(),
        }
    }

    async fn asks(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.api.anonymous(method, path).bearer_auth(&self.secret);
        match body {
            Some(body) => send(request.json(body)).await,
            None => send(request).await,
        }
    }

    async fn gets(&self, path: &str) -> Answer {
        self.asks(Method::GET, path, None).await
    }

    async fn posts(&self, path: &str, body: &Value) -> Answer {
        self.asks(Method::POST, path, Some(body)).await
    }
}

fn of_group(mut body: Value, group: &str) -> Value {
    body["resource_group"] = json!(group);
    body
}

#[tokio::test]
async fn a_role_allows_what_it_says() {
    let api = Api::start().await;
    let viewer = Bearer::new(&api, &json!({"name": "eve", "role": "viewer"})).await;
    let operator = Bearer::new(&api, &json!({"name": "otto", "role": "operator"})).await;
    let admin = Bearer::new(&api, &json!({"name": "ada", "role": "admin"})).await;

    let refused = viewer.posts("/sources", &source()).await;
    refused.is_problem(StatusCode::FORBIDDEN, "role_forbids");
    let made = operator.posts("/sources", &source()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(
        viewer.gets(&format!("/sources/{id}")).await.status,
        StatusCode::OK
    );

    for path in ["/tokens", "/audit"] {
        for bearer in [&viewer, &operator] {
            bearer
                .gets(path)
                .await
                .is_problem(StatusCode::FORBIDDEN, "role_forbids");
        }
        assert_eq!(admin.gets(path).await.status, StatusCode::OK);
    }
    let task = operator.posts("/tasks", &task(id)).await;
    let events = admin
        .gets(&format!(
            "/tasks/{}/events",
            task.body["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(events.body["events"][0]["actor"], "user:otto");
}

#[tokio::test]
async fn a_token_ends_when_it_is_revoked_or_expires() {
    let mut api = Api::start().await;
    let soon = Utc::now() + TimeDelta::milliseconds(1500);
    let short = json!({"name": "short", "role": "viewer", "expires_at": soon});
    let answer = api.post("/tokens", &short).await;
    let short = answer.body["secret"].as_str().unwrap().to_owned();
    let long = Bearer::new(&api, &json!({"name": "ci", "role": "viewer"})).await;
    assert_eq!(long.gets("/tasks").await.status, StatusCode::OK);

    let taken = api
        .post("/tokens", &json!({"name": "CI", "role": "viewer"}))
        .await;
    taken.is_problem(StatusCode::CONFLICT, "token_name_taken");
    let reserved = api
        .post("/tokens", &json!({"name": "Admin", "role": "viewer"}))
        .await;
    reserved.is_problem(StatusCode::CONFLICT, "token_name_taken");

    let path = format!("/tokens/{}", long.id);
    let revoked = send(api.request(Method::DELETE, &path)).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    long.gets("/tasks")
        .await
        .is_problem(StatusCode::UNAUTHORIZED, "unauthorized");
    let again = send(api.request(Method::DELETE, &path)).await;
    again.is_problem(StatusCode::NOT_FOUND, "token_not_found");
    let _renamed = Bearer::new(&api, &json!({"name": "ci", "role": "viewer"})).await;

    tokio::time::sleep(std::time::Duration::from_millis(1600)).await;
    let late = send(api.anonymous(Method::GET, "/tasks").bearer_auth(&short)).await;
    late.is_problem(StatusCode::UNAUTHORIZED, "token_expired");

    // No token is stored as it is, and what was revoked stays so.
    let rows: Vec<String> = sqlx::query_scalar("SELECT api_tokens::text FROM task_api.api_tokens")
        .fetch_all(&api.pool)
        .await
        .unwrap();
    assert_eq!(rows.len(), 3);
    assert!(
        !rows
            .iter()
            .any(|row| row.contains(short.trim_start_matches("rct_")))
    );
    let secret = long.secret.clone();
    api.crash_and_restart().await;
    let revoked = send(api.anonymous(Method::GET, "/tasks").bearer_auth(&secret)).await;
    revoked.is_problem(StatusCode::UNAUTHORIZED, "unauthorized");
}

#[tokio::test]
async fn what_is_out_of_scope_is_not_there() {
    let api = Api::start().await;
    let other = api.created_task().await;
    let other_source = api.get(&format!("/tasks/{other}")).await.body["source_id"].clone();
    let other_source = other_source.as_str().unwrap();
    let wanted =
        json!({"name": "sales-bot", "role": "operator", "resource_groups": ["sales", "crm"]});
    let bot = Bearer::new(&api, &wanted).await;

    let nobodys = bot.posts("/sources", &source()).await;
    nobodys.is_problem(StatusCode::FORBIDDEN, "outside_scope");
    assert_eq!(nobodys.body["field"], "resource_group");
    let made = bot.posts("/sources", &of_group(source(), "sales")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let mine = made.body["id"].as_str().unwrap();
    let made = bot.posts("/tasks", &of_group(task(mine), "crm")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let my_task = made.body["id"].as_str().unwrap();

    let foreign = bot
        .posts("/tasks", &of_group(task(other_source), "crm"))
        .await;
    foreign.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "source_not_found");
    for (method, path) in [
        (Method::GET, format!("/tasks/{other}")),
        (Method::GET, format!("/tasks/{other}/events")),
        (Method::GET, format!("/tasks/{other}/groups")),
        (Method::POST, format!("/tasks/{other}/release")),
        (Method::PATCH, format!("/tasks/{other}")),
    ] {
        let answer = bot.asks(method, &path, Some(&json!({}))).await;
        answer.is_problem(StatusCode::NOT_FOUND, "task_not_found");
    }
    let path = format!("/sources/{other_source}");
    let answer = bot.asks(Method::DELETE, &path, None).await;
    answer.is_problem(StatusCode::NOT_FOUND, "source_not_found");

    let ids = |answer: &Answer, what: &str| -> Vec<String> {
        let all = answer.body[what].as_array().unwrap().iter();
        all.map(|one| one["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&bot.gets("/tasks").await, "tasks"), [my_task]);
    assert_eq!(ids(&bot.gets("/sources").await, "sources"), [mine]);
    assert_eq!(ids(&api.get("/tasks").await, "tasks").len(), 2);

    // Nothing can be given away, or taken out of the scope.
    for group in ["hr", ""] {
        let wanted = json!({"resource_group": group});
        for path in [format!("/tasks/{my_task}"), format!("/sources/{mine}")] {
            let answer = bot.asks(Method::PATCH, &path, Some(&wanted)).await;
            answer.is_problem(StatusCode::FORBIDDEN, "outside_scope");
        }
    }
    let to_sales = json!({"resource_group": "sales"});
    let moved = bot
        .asks(Method::PATCH, &format!("/tasks/{my_task}"), Some(&to_sales))
        .await;
    assert_eq!(moved.status, StatusCode::OK, "{moved:?}");
}

#[tokio::test]
async fn an_id_is_out_of_scope_however_it_is_written() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let shown = api.get(&format!("/tasks/{task}")).await;
    let source = shown.body["source_id"].as_str().unwrap();
    let bot = json!({"name": "bot", "role": "operator", "resource_groups": ["sales"]});
    let bot = Bearer::new(&api, &bot).await;
    // The handler reads %74 as t, and %73 as s.
    let hidden = format!("/tasks/%74{}", task.as_str().strip_prefix('t').unwrap());
    assert_eq!(api.get(&hidden).await.status, StatusCode::OK);
    for (method, path) in [
        (Method::GET, hidden.clone()),
        (Method::POST, format!("{hidden}/release")),
    ] {
        let answer = bot.asks(method, &path, None).await;
        answer.is_problem(StatusCode::NOT_FOUND, "task_not_found");
    }
    let hidden = format!("/sources/%73{}", source.strip_prefix('s').unwrap());
    let answer = bot.asks(Method::DELETE, &hidden, None).await;
    answer.is_problem(StatusCode::NOT_FOUND, "source_not_found");
    // That it was made, and the try.
    let log = api.get(&format!("/audit?about={source}")).await;
    assert_eq!(log.body["entries"].as_array().unwrap().len(), 2, "{log:?}");
}

#[tokio::test]
async fn incidents_out_of_scope_are_not_there() {
    let api = Api::start().await;
    let other = api.created_task().await;
    let bot = json!({"name": "bot", "role": "viewer", "resource_groups": ["sales"]});
    let bot = Bearer::new(&api, &bot).await;
    // Nothing is visible, so nobody is asked.
    assert_eq!(bot.gets("/incidents").await.body["incidents"], json!([]));

    let source = api.post("/sources", &of_group(source(), "sales")).await;
    let source = source.body["id"].as_str().unwrap();
    let mine = api.post("/tasks", &of_group(task(source), "sales")).await;
    let mine = mine.body["id"].as_str().unwrap().to_owned();
    // As an alerting of an older version answers, which does not know the field `within`.
    let raised: IncidentRaised = serde_json::from_str(include_str!(
        "../../../../proto/golden/message/IncidentRaised.v1.json"
    ))
    .unwrap();
    let sample = raised.incident.unwrap();
    let incidents = [other.to_string(), mine.clone()].map(|task_id| {
        let mut incident = sample.clone();
        incident.task_id = task_id;
        incident
    });
    stand_in::alerting(&api.bus, incidents.to_vec()).await;
    let seen = bot.gets("/incidents").await;
    assert_eq!(
        seen.body["incidents"].as_array().unwrap().len(),
        1,
        "{seen:?}"
    );
    assert_eq!(seen.body["incidents"][0]["task_id"], mine);
    assert_eq!(
        api.get("/incidents").await.body["incidents"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn every_command_is_on_record() {
    let api = Api::start().await;
    let bot = json!({"name": "bot", "role": "viewer"});
    let bot = Bearer::new(&api, &bot).await;
    let source_id = api.created_source().await;
    bot.posts("/tasks", &task(&source_id)).await;
    api.command("/tasks/t000000000000/start").await;
    api.get("/tasks").await;
    send(api.anonymous(Method::POST, "/tasks")).await;

    let log = api.get("/audit").await;
    let entries = log.body["entries"].as_array().unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            let word = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
            (
                word("actor"),
                word("action"),
                entry["status"].as_u64().unwrap(),
                word("problem"),
            )
        })
        .collect();
    let admin = |action: &str, status, problem: &str| {
        (
            "user:admin".to_owned(),
            action.to_owned(),
            status,
            problem.to_owned(),
        )
    };
    let refused = (
        "user:bot".to_owned(),
        "POST /api/v1/tasks".to_owned(),
        403,
        "role_forbids".to_owned(),
    );
    assert_eq!(
        told,
        [
            admin("POST /api/v1/tasks/{id}/start", 404, "task_not_found"),
            refused,
            admin("POST /api/v1/sources", 201, "-"),
            admin("POST /api/v1/tokens", 201, "-"),
        ]
    );
    assert_eq!(entries[1]["token_id"], bot.id);
    assert_eq!(entries[2]["created"], source_id);
    assert_eq!(entries[3]["created"], bot.id);
    assert_eq!(entries[2]["address"], "127.0.0.1");
    assert!(!log.text.contains("correct horse") && !log.text.contains(&bot.secret));

    let about = api.get(&format!("/audit?about={source_id}")).await;
    assert_eq!(about.body["entries"].as_array().unwrap().len(), 1);
    let first = api.get("/audit?limit=3&actor=user:admin").await;
    assert_eq!(first.body["entries"].as_array().unwrap().len(), 3);
    assert_eq!(first.body["next_cursor"], Value::Null);
    let first = api.get("/audit?limit=3").await;
    let next = first.body["next_cursor"].as_str().unwrap();
    let second = api.get(&format!("/audit?limit=3&cursor={next}")).await;
    assert_eq!(second.body["entries"], json!([entries[3]]));
    api.get("/audit?cursor=x")
        .await
        .is_problem(StatusCode::BAD_REQUEST, "malformed_query");
}

#[tokio::test]
async fn a_key_is_of_the_token_that_sends_it() {
    let api = Api::start().await;
    let bot = Bearer::new(&api, &json!({"name": "bot", "role": "operator"})).await;
    let with_key = async |secret: &str| {
        let request = api.anonymous(Method::POST, "/sources").bearer_auth(secret);
        send(request.header("Idempotency-Key", "same").json(&source())).await
    };
    let (first, second) = (with_key(&bot.secret).await, with_key(&bot.secret).await);
    assert_eq!(first.body["id"], second.body["id"]);
    assert!(second.replayed);
    let other = with_key(crate::fixture::TOKEN).await;
    assert!(
        !other.replayed && other.body["id"] != first.body["id"],
        "{other:?}"
    );

    // A secret is kept sealed under its key, and no table has it.
    let token = api
        .request(Method::POST, "/tokens")
        .header("Idempotency-Key", "t");
    let made = send(token.json(&json!({"name": "new", "role": "viewer"}))).await;
    let secret = made.body["secret"].as_str().unwrap();
    let kept: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM task_api.idempotency_keys WHERE strpos(encode(answer, 'escape'), $1) > 0",
    )
    .bind(secret)
    .fetch_one(&api.pool)
    .await
    .unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn an_address_that_guesses_tokens_is_told_to_wait() {
    let api = Api::start_with(&[
        ("ROWCAST_API_ADDRESS_RATE", "10"),
        ("ROWCAST_TRUSTED_PROXIES", "127.0.0.1"),
    ])
    .await;
    let from = async |address: &str, token: &str| {
        let request = api.anonymous(Method::GET, "/tasks").bearer_auth(token);
        send(request.header("X-Forwarded-For", address)).await
    };
    // Fifty requests may come at once, and a wrong token counts as twenty.
    let mut guesses = 0;
    let refused = loop {
        let refused = from("198.51.100.7", "guess").await;
        if refused.status != StatusCode::UNAUTHORIZED {
            break refused;
        }
        guesses += 1;
        assert!(guesses < 50, "guesses are not counted");
    };
    assert!(guesses > 0);
    refused.is_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("198.51.100.7"), "{detail}");
    // Others ask as before.
    let other = from("198.51.100.8", crate::fixture::TOKEN).await;
    assert_eq!(other.status, StatusCode::OK, "{other:?}");
}

#[tokio::test]
async fn who_asks_too_fast_is_told_to_wait() {
    let api = Api::start_with(&[("ROWCAST_API_RATE", "1")]).await;
    let mut asked = 0;
    let refused = loop {
        let response = api.request(Method::GET, "/tasks").send().await.unwrap();
        asked += 1;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            break response;
        }
        assert!(asked < 20, "nobody is held back");
    };
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
    assert_eq!(api.get("/tasks").await.status, StatusCode::OK);
}
