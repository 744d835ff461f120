//! What a task carries itself: a source of its own, a network for its clients, a policy.

use std::time::Duration;

use reqwest::StatusCode;
use rowcast_bus::Server;
use rowcast_proto::message::{GroupConnection, GroupFormat, GroupRequest, RpcError};
use rowcast_proto::rpc::GetGroupConnection;
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use crate::fixture::{Api, source, task};
use crate::stand_in;

fn with_own_source() -> Value {
    json!({"name": "orders", "source": source(), "objects": {"all": true}})
}

#[tokio::test]
async fn a_source_of_its_own_is_not_listed_and_goes_with_its_task() {
    let api = Api::start().await;
    let created = api.post("/tasks", &with_own_source()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(created.body["database"], "shop");
    let id = created.body["source_id"].as_str().unwrap();
    let path = format!("/sources/{id}");
    assert_eq!(api.get(&path).await.body["host"], "db.example.com");
    assert_eq!(api.get("/sources").await.body["sources"], json!([]));
    let task = created.body["id"].as_str().unwrap();
    let shown = api.get(&format!("/tasks/{task}")).await;
    assert!(!shown.text.contains("correct horse"), "{shown:?}");
    let moved = json!({"host": "db2.example.com", "password": "another horse"});
    assert_eq!(api.patch(&path, &moved).await.status, StatusCode::OK);

    // A copy has the same one, which stays until neither needs it.
    let copy = api
        .post(&format!("/tasks/{task}/clone"), &json!({"name": "copy"}))
        .await;
    assert_eq!(copy.body["source_id"], id, "{copy:?}");
    api.command(&format!("/tasks/{task}/release")).await;
    let copy = copy.body["id"].as_str().unwrap();
    assert_eq!(api.get(&path).await.status, StatusCode::OK);
    api.command(&format!("/tasks/{copy}/release")).await;
    let is_gone = async || api.get(&path).await.status == StatusCode::NOT_FOUND;
    eventually("the source is gone", Duration::from_secs(30), is_gone).await;
    let key: String =
        sqlx::query_scalar("SELECT password_key_id FROM task_api.sources WHERE id = $1")
            .bind(id)
            .fetch_one(&api.pool)
            .await
            .unwrap();
    assert_eq!(key, "", "its password goes with it");
}

#[tokio::test]
async fn either_a_source_or_its_parameters_are_given() {
    let api = Api::start().await;
    let registered = api.created_source().await;
    let mut both = with_own_source();
    both["source_id"] = json!(registered);
    let refused = api.post("/tasks", &both).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(refused.body["field"], "source");
    let neither = json!({"name": "orders", "objects": {"all": true}});
    let refused = api.post("/tasks", &neither).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(refused.body["field"], "source_id");
    let mut wrong = with_own_source();
    wrong["source"]["host"] = json!("");
    let refused = api.post("/tasks", &wrong).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(refused.body["field"], "source.host");
}

#[tokio::test]
async fn clients_of_a_task_are_told_its_network() {
    let networks = &[(
        "ROWCAST_CLIENT_NETWORKS",
        "internal=nats://10.0.0.5:4222;public=tls://nats.example.com:4222",
    )];
    let api = Api::start_with(networks).await;
    let mut server = Server::start(&api.bus, "consumer-group", "0.0.0", "stands in")
        .await
        .unwrap();
    let answer = |request: GroupRequest| async move {
        Ok::<_, RpcError>(GroupConnection {
            urls: vec!["nats://own:4222".to_owned()],
            group_id: request.group_id,
            task_id: request.task_id,
            format: GroupFormat::Avro.into(),
            ..GroupConnection::default()
        })
    };
    server
        .add::<GetGroupConnection, _, _>(answer)
        .await
        .unwrap();
    stand_in::serve(server);

    let told = api.get("/system").await.body["client_networks"].clone();
    assert_eq!(
        told[1],
        json!({"name": "public", "urls": ["tls://nats.example.com:4222"]})
    );
    let registered = api.created_source().await;
    let urls = async |network: Option<&str>| {
        let mut wanted = task(&registered);
        wanted["network"] = json!(network);
        let created = api.post("/tasks", &wanted).await;
        assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
        assert_eq!(created.body.get("network").and_then(Value::as_str), network);
        let id = created.body["id"].as_str().unwrap();
        let connection = api
            .get(&format!("/tasks/{id}/groups/g000000000001/connection"))
            .await;
        assert_eq!(connection.body["format"], "avro");
        connection.body["urls"].clone()
    };
    assert_eq!(urls(None).await, json!(["nats://own:4222"]));
    assert_eq!(
        urls(Some("public")).await,
        json!(["tls://nats.example.com:4222"])
    );

    let mut unknown = task(&registered);
    unknown["network"] = json!("moon");
    let refused = api.post("/tasks", &unknown).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "network_not_found");
    assert_eq!(refused.body["field"], "network");
    let repair = refused.body["repair"].as_str().unwrap();
    assert!(repair.contains("internal, public"), "{repair}");
}

#[tokio::test]
async fn a_policy_is_read_before_it_is_kept_and_is_part_of_the_wish() {
    let api = Api::start().await;
    let registered = api.created_source().await;
    let mut wrong = task(&registered);
    wrong["etl"] = json!({"script": "e_drop()\ne_keeep(`id` > 3)"});
    let refused = api.post("/tasks", &wrong).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(refused.body["field"], "etl.script");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("line 2") && detail.contains("e_keep"),
        "{detail}"
    );

    let id = api.starting_task().await;
    let path = format!("/tasks/{id}");
    let policy = json!({"etl": {"script": "e_keep(`id` > 3)", "on_error": "stop"}});
    let changed = api.patch(&path, &policy).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(changed.body["etl"], policy["etl"]);
    let wish = api.wish(&id, 2).await;
    assert_eq!(wish.etl.unwrap().script, "e_keep(`id` > 3)");
    let again = api.patch(&path, &policy).await;
    assert_eq!(again.etag, changed.etag, "the same again changes nothing");
    let none = api.patch(&path, &json!({"etl": {"script": ""}})).await;
    assert_eq!(none.body.get("etl"), None, "{none:?}");
    assert_eq!(api.wish(&id, 3).await.etl, None);
}

#[tokio::test]
async fn the_delay_that_is_told_is_in_bounds_and_part_of_the_wish() {
    let api = Api::start().await;
    let registered = api.created_source().await;
    let mut wrong = task(&registered);
    wrong["alerting"] = json!({"delay_seconds": 29});
    let refused = api.post("/tasks", &wrong).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(refused.body["field"], "alerting.delay_seconds");

    let id = api.starting_task().await;
    let path = format!("/tasks/{id}");
    let said = json!({"alerting": {"delay_seconds": 60}});
    let changed = api.patch(&path, &said).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(changed.body["alerting"], said["alerting"]);
    let wish = api.wish(&id, 2).await;
    assert_eq!(wish.alerting.unwrap().delay_seconds, 60);
    let none = api.patch(&path, &json!({"alerting": {}})).await;
    assert_eq!(none.body.get("alerting"), None, "{none:?}");
    assert_eq!(api.wish(&id, 3).await.alerting, None);
}

#[tokio::test]
async fn the_preview_has_the_source_and_no_secret_of_it() {
    let api = Api::start().await;
    let made = api.post("/tasks", &with_own_source()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let path = format!("/tasks/{}/preview", made.body["id"].as_str().unwrap());
    let preview = api.get(&path).await;
    assert_eq!(preview.status, StatusCode::OK, "{preview:?}");
    let body = &preview.body["body"];
    assert_eq!(body["source"]["host"], "db.example.com", "{body}");
    assert_eq!(body.get("source_id"), None, "{body}");
    let left_out = "<put the password of the source here>";
    assert_eq!(body["source"]["password"], left_out, "{body}");
    let text = |name: &str| preview.body[name].as_str().unwrap().to_owned();
    assert!(text("curl").contains(left_out), "{}", text("curl"));
    let (command, yaml) = (text("command"), text("yaml"));
    assert!(command.contains("--own-source=-"), "{command}");
    for file in [&command, &yaml] {
        assert!(file.contains("host: db.example.com"), "{file}");
        assert!(file.contains("file: PASSWORD_FILE"), "{file}");
    }
    assert!(yaml.contains("source: shop"), "{yaml}");
    assert!(!preview.text.contains("correct horse"), "{preview:?}");
    // With its password put in, it makes the same.
    let mut again = body.clone();
    again["source"]["password"] = json!("correct horse");
    let made = api.post("/tasks", &again).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
}
