//! Aliases for scripts that were written for Alibaba Cloud DTS.

mod refused;
mod orders;
mod tags;
mod peers;

use reqwest::{Method, StatusCode};
use rowcast_domain::TaskId;
use rowcast_proto::message::{CaptureState, CheckOutcome, CheckResult};
use serde_json::{Value, json};

use crate::fixture::{Answer, Api, TOKEN, send, source, status, task};
use crate::stand_in;

const PASSWORD: &str = "correct horse battery";

const ALL: &str = r#"{"shop":{"name":"shop","all":true}}"#;

/// A source as DTS describes it.
const ENDPOINT: [(&str, &str); 7] = [
    ("SourceEndpointEngineName", "PostgreSQL"),
    ("SourceEndpointInstanceType", "LocalInstance"),
    ("SourceEndpointIP", "db.example.com"),
    ("SourceEndpointPort", "5433"),
    ("SourceEndpointDatabaseName", "shop"),
    ("SourceEndpointUserName", "tracker"),
    ("SourceEndpointPassword", PASSWORD),
];

type Given<'a> = &'a [(&'a str, &'a str)];

/// With the parameters in the body, as most clients send them.
async fn calls(api: &Api, token: &str, action: &str, given: Given<'_>) -> Answer {
    let request = api.anonymous(Method::POST, "/dts").bearer_auth(token);
    let form = given.iter().copied();
    let form: Vec<(&str, &str)> = form.chain([("Action", action)]).collect();
    send(
        request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(encoded(&form)),
    )
    .await
}

fn encoded(pairs: Given<'_>) -> String {
    let plain = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => {
                    char::from(byte).to_string()
                }
                byte => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", plain(name), plain(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Asserts success, and answers the members.
async fn done(api: &Api, action: &str, given: Given<'_>) -> Value {
    let answer = calls(api, TOKEN, action, given).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.body["Success"], true, "{answer:?}");
    assert_eq!(answer.body["HttpStatusCode"], 200, "{answer:?}");
    assert!(answer.body["RequestId"].is_string(), "{answer:?}");
    answer.body
}

async fn configured(api: &Api, given: Given<'_>) -> TaskId {
    let given: Vec<_> = given.iter().chain(&ENDPOINT).copied().collect();
    let made = done(api, "ConfigureSubscription", &given).await;
    assert_eq!(made["DtsJobId"], made["DtsInstanceId"]);
    made["DtsJobId"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_task_lives_by_the_names_of_dts() {
    let api = Api::start().await;
    stand_in::billing(&api.bus).await;
    stand_in::precheck(&api.bus, || async {}).await;
    let id = configured(&api, &[("DtsJobName", "orders"), ("DbList", ALL)]).await;
    let job: Given<'_> = &[("DtsJobId", id.as_str())];
    let status_word = async || done(&api, "DescribeDtsJobDetail", job).await["Status"].clone();
    assert_eq!(status_word().await, "NotStarted");
    let precheck = done(&api, "DescribePreCheckStatus", job).await;
    assert_eq!(precheck["State"], "NotStarted");

    done(&api, "StartDtsJob", job).await;
    assert_eq!(status_word().await, "Starting");
    let precheck = done(&api, "DescribePreCheckStatus", job).await;
    assert_eq!(
        (&precheck["State"], &precheck["ErrorItem"]),
        (&json!("Finished"), &json!(0))
    );
    api.wish(&id, 1).await;
    api.report(status(&id, 1, CaptureState::Running)).await;
    api.reaches(&id, "running").await;
    assert_eq!(status_word().await, "Normal");

    let renamed = [("DtsJobId", id.as_str()), ("DtsJobName", "sales")];
    done(&api, "ModifyDtsJobName", &renamed).await;
    done(&api, "SuspendDtsJob", &[("DtsInstanceId", id.as_str())]).await;
    assert_eq!(status_word().await, "Suspending");
    let listed = done(&api, "DescribeDtsJobs", &[("JobType", "SUBSCRIBE")]).await;
    assert_eq!(listed["TotalRecordCount"], 1);
    let job_listed = &listed["DtsJobList"][0];
    assert_eq!(job_listed["DtsJobName"], "sales");
    assert_eq!(job_listed["DtsInstanceID"], id.as_str());
    assert_eq!(job_listed["DbObject"], ALL);
    assert_eq!(job_listed["SourceEndpoint"]["Ip"], "db.example.com");
    assert_eq!(job_listed["SourceEndpoint"]["Port"], "5433");

    done(&api, "DeleteDtsJob", job).await;
    assert_eq!(status_word().await, "Released");
    for (given, count) in [(&[][..], 0), (&[("Status", "Released")][..], 1)] {
        let listed = done(&api, "DescribeDtsJobs", given).await;
        assert_eq!(listed["TotalRecordCount"], count, "{listed}");
    }
    let events = api.get(&format!("/tasks/{id}/events")).await;
    assert!(events.text.contains("DeleteDtsJob asked for"), "{events:?}");
}

#[tokio::test]
async fn what_a_precheck_finds_is_told_and_alerts_can_be_skipped() {
    let api = Api::start().await;
    let item = |code: &str, outcome: CheckOutcome| CheckResult {
        code: code.to_owned(),
        outcome: outcome.into(),
        cause: "It matters.".to_owned(),
        repair: "Mend it.".to_owned(),
        ..CheckResult::default()
    };
    let items = vec![
        item("connectivity", CheckOutcome::Pass),
        item("wal_keep", CheckOutcome::Alert),
        item("wal_level", CheckOutcome::Fail),
    ];
    peers::precheck(&api.bus, items).await;
    let id = configured(&api, &[("DtsJobName", "orders"), ("DbList", ALL)]).await;
    let job = [("DtsJobId", id.as_str())];
    let refused = calls(&api, TOKEN, "StartDtsJob", &job).await;
    refused.is_problem(StatusCode::CONFLICT, "precheck_failed");
    assert!(refused.text.contains("wal_level"), "{refused:?}");
    assert_eq!(api.state(&id).await, "precheck_failed");

    let found = done(&api, "DescribePreCheckStatus", &job).await;
    assert_eq!(
        (&found["State"], &found["ErrorItem"]),
        (&json!("Failed"), &json!(1))
    );
    let expected = [
        ("connectivity", "Success", false),
        ("wal_keep", "Warning", true),
        ("wal_level", "Failed", false),
    ];
    for (index, (item, state, can_skip)) in expected.into_iter().enumerate() {
        let told = &found["JobProgress"][index];
        let told = json!([told["Item"], told["State"], told["CanSkip"]]);
        assert_eq!(told, json!([item, state, can_skip]));
    }
    let page = [job[0], ("PageNo", "2"), ("PageSize", "2")];
    let page = done(&api, "DescribePreCheckStatus", &page).await;
    assert_eq!(page["JobProgress"][0]["RepairMethod"], "Mend it.");

    let failed = [
        job[0],
        ("Skip", "true"),
        ("SkipPreCheckItems", r#"["wal_level"]"#),
    ];
    let failed = calls(&api, TOKEN, "SkipPreCheck", &failed).await;
    failed.is_problem(StatusCode::CONFLICT, "check_not_ignorable");
    assert_eq!(failed.body["field"], "SkipPreCheckItems");
    let names = r#"["wal_keep_DETAIL"]"#;
    let skipped = [job[0], ("Skip", "true"), ("SkipPreCheckNames", names)];
    let skipped = done(&api, "SkipPreCheck", &skipped).await;
    assert_eq!(skipped["SkipItems"], r#"["wal_keep"]"#);
    assert_eq!(skipped["SkipNames"], names);
    let found = done(&api, "DescribePreCheckStatus", &job).await;
    assert_eq!(found["JobProgress"][1]["IgnoreFlag"], "Y");
    let report = api.get(&format!("/tasks/{id}/precheck")).await;
    let ignored = &report.body["items"][1]["ignored"];
    assert_eq!(ignored["by"], "admin");
    assert!(ignored["reason"].as_str().unwrap().contains("SkipPreCheck"));
}

#[tokio::test]
async fn an_instance_is_bought_and_groups_come_and_go() {
    let api = Api::start().await;
    let sold = peers::billing(&api.bus).await;
    peers::groups(&api.bus).await;
    stand_in::precheck(&api.bus, || async {}).await;
    let id = configured(&api, &[("DtsJobName", "orders"), ("DbList", ALL)]).await;
    let order = [
        ("JobId", id.as_str()),
        ("PayType", "PostPaid"),
        ("AutoStart", "true"),
    ];
    let bought = done(&api, "CreateDtsInstance", &order).await;
    assert_eq!(
        (&bought["InstanceId"], &bought["JobId"]),
        (&json!(id), &json!(id))
    );
    assert_eq!(
        (sold.count(), api.state(&id).await),
        (1, "starting".to_owned())
    );

    let job = ("DtsJobId", id.as_str());
    let wanted = [
        job,
        ("ConsumerGroupName", "warehouse"),
        ("ConsumerGroupUserName", "reader"),
        ("ConsumerGroupPassword", "Blue-horse-7"),
    ];
    let made = done(&api, "CreateConsumerChannel", &wanted).await;
    let group = made["ConsumerGroupID"].as_str().unwrap();
    let channels = done(&api, "DescribeConsumerChannel", &[job]).await;
    assert_eq!(channels["TotalRecordCount"], 1);
    let channel = json!({
        "ConsumerGroupId": group, "ConsumerGroupName": "warehouse",
        "ConsumerGroupUserName": "reader", "UnconsumedData": 5,
        "ConsumptionCheckpoint": "", "MessageDelay": -1
    });
    assert_eq!(channels["ConsumerChannels"], json!([channel]));
    let renamed = [
        job,
        ("ConsumerGroupId", group),
        ("ConsumerGroupName", "stock"),
    ];
    done(&api, "ModifyConsumerChannel", &renamed).await;
    let channels = done(&api, "DescribeConsumerChannel", &[job]).await;
    assert_eq!(
        channels["ConsumerChannels"][0]["ConsumerGroupName"],
        "stock"
    );
    let moved = [
        ("SubscriptionInstanceId", id.as_str()),
        ("ConsumerGroupId", group),
        ("ConsumptionTimestamp", "2026-11-29T10:00:00Z"),
    ];
    done(&api, "ModifyConsumptionTimestamp", &moved).await;
    done(
        &api,
        "DeleteConsumerChannel",
        &[job, ("ConsumerGroupId", group)],
    )
    .await;
    let channels = done(&api, "DescribeConsumerChannel", &[job]).await;
    assert_eq!(channels["ConsumerChannels"], json!([]));
}

#[tokio::test]
async fn what_is_configured_is_what_was_given() {
    let api = Api::start().await;
    let list = r#"{"shop":{"name":"shop","all":false,"Schema":{"public":{"name":"public","all":false,"Table":{"orders":{"name":"orders","all":true}}}}}}"#;
    let given = [
        ("DtsJobName", "orders"),
        ("DbList", list),
        ("SubscriptionDataTypeDDL", "false"),
        ("SourceEndpointSslMode", "require"),
        ("Signature", "x"),
        ("SignatureNonce", "y"),
    ];
    let id = configured(&api, &given).await;
    let task = api.get(&format!("/tasks/{id}")).await.body;
    let objects =
        json!({"all": false, "schemas": [{"name": "public", "all": false, "tables": ["orders"]}]});
    assert_eq!(task["objects"], objects);
    assert_eq!(task["change_types"]["schema"], Value::Null);
    let source_id = task["source_id"].as_str().unwrap();
    let source = api.get(&format!("/sources/{source_id}")).await.body;
    assert_eq!(
        (&source["host"], &source["port"]),
        (&json!("db.example.com"), &json!(5433))
    );
    assert_eq!(
        (&source["account"], &source["sslmode"]),
        (&json!("tracker"), &json!("require"))
    );

    // A registered source is named by its id, and another selection takes the place of the first.
    let again = [
        ("DtsJobName", "again"),
        ("DbList", ALL),
        ("SourceEndpointInstanceID", source_id),
    ];
    let again = done(&api, "ConfigureSubscription", &again).await;
    let again = again["DtsJobId"].as_str().unwrap();
    assert_eq!(
        api.get("/sources").await.body["sources"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let modified = [
        ("DtsJobId", again),
        ("DbList", list),
        ("SubscriptionDataTypeDML", "false"),
    ];
    done(&api, "ModifySubscription", &modified).await;
    let task = api.get(&format!("/tasks/{again}")).await.body;
    assert_eq!(task["objects"], objects);
    assert_eq!(task["change_types"], json!({"data": [], "schema": true}));

    // What was refused has made nothing.
    let bad = [
        ("DtsJobName", "bad"),
        ("DbList", r#"{"shop":{"all":false}}"#),
    ];
    let bad: Vec<_> = bad.iter().chain(&ENDPOINT).copied().collect();
    let refused = calls(&api, TOKEN, "ConfigureSubscription", &bad).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(refused.body["field"], "DbList");
    assert_eq!(
        api.get("/sources").await.body["sources"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn the_audit_log_tells_operations_apart_and_no_password() {
    let api = Api::start().await;
    let id = configured(&api, &[("DtsJobName", "orders"), ("DbList", ALL)]).await;
    let query = format!("Action=SuspendDtsJob&DtsJobId={id}&SourceEndpointPassword=correct+horse");
    api.command(&format!("/dts?{query}")).await;
    let log = api.get(&format!("/audit?about={id}")).await;
    let entries = log.body["entries"].as_array().unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry["path"].as_str().unwrap(),
                entry["status"].as_u64().unwrap(),
            )
        })
        .collect();
    let path = |action: &str| format!("/api/v1/dts/{action}/{id}");
    let (suspend, configure) = (path("SuspendDtsJob"), path("ConfigureSubscription"));
    assert_eq!(told, [(suspend.as_str(), 409), (configure.as_str(), 200)]);
    assert_eq!(entries[0]["action"], "POST /api/v1/dts");
    let whole = api.get("/audit").await;
    assert!(!whole.text.contains("correct"), "{whole:?}");
}

#[tokio::test]
async fn a_page_has_a_number() {
    let api = Api::start().await;
    let source_id = {
        let answer = api.post("/sources", &source()).await;
        answer.body["id"].as_str().unwrap().to_owned()
    };
    for name in ["Alpha", "beta", "gamma"] {
        let mut body = task(&source_id);
        body["name"] = json!(name);
        api.post("/tasks", &body).await;
    }
    let names = async |given: Given<'_>| {
        let listed = done(&api, "DescribeDtsJobs", given).await;
        let jobs = listed["DtsJobList"].as_array().unwrap().iter();
        let names = jobs.map(|job| job["DtsJobName"].as_str().unwrap().to_owned());
        (
            names.collect::<Vec<_>>(),
            listed["TotalRecordCount"].as_u64().unwrap(),
        )
    };
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let second = names(&[("PageSize", "2"), ("PageNumber", "2")]).await;
    assert_eq!(second, (words(&["gamma"]), 3));
    let newest = names(&[("PageSize", "1"), ("OrderDirection", "DESC")]).await;
    assert_eq!(newest, (words(&["gamma"]), 3));
    let named = names(&[("Type", "name"), ("Params", "ALP")]).await;
    assert_eq!(named, (words(&["Alpha"]), 1));
    let of_source = names(&[("Type", "srcRds"), ("Params", "s000000000000")]).await;
    assert_eq!(of_source, (Vec::new(), 0));
    assert_eq!(names(&[("JobType", "MIGRATION")]).await.1, 0);
    let far = names(&[("PageNumber", "18446744073709551615")]).await;
    assert_eq!(far, (Vec::new(), 3));
}
