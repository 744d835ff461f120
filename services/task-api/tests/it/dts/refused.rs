//! What aliases do not do, and for whom not.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ALL, ENDPOINT, Given, calls};
use crate::fixture::{Api, TOKEN, send};

/// Parameters, `ID` standing for a task's id; then the problem's code, and the parameter at fault.
const REFUSED: [(&str, &str, &str); 22] = [
    ("Action=", "malformed_query", "Action"),
    ("Action=Frobnicate", "dts_action_unknown", "Action"),
    (
        "Action=StopDtsJob&DtsJobId=ID",
        "dts_action_unsupported",
        "Action",
    ),
    (
        "Action=CreateDtsInstance&Type=SUBSCRIBE&AutoStart=true",
        "dts_action_unsupported",
        "AutoStart",
    ),
    (
        "Action=CreateDtsInstance&JobId=ID&PayType=PrePaid&UsedTime=11",
        "malformed_query",
        "UsedTime",
    ),
    (
        "Action=TagResources&ResourceId.1=ID",
        "malformed_query",
        "Tag.1.Key",
    ),
    (
        "Action=TagResources&ResourceId.1=ID&ResourceId.2=ID",
        "dts_action_unsupported",
        "ResourceId.2",
    ),
    (
        "Action=ModifyConsumptionTimestamp&DtsJobId=ID&ConsumerGroupId=g000000000000&ConsumptionTimestamp=now",
        "malformed_query",
        "ConsumptionTimestamp",
    ),
    (
        "Action=CreateDtsInstance&JobId=ID&PayType=Card",
        "dts_action_unsupported",
        "PayType",
    ),
    (
        "Action=CreateDtsInstance&JobId=ID&PayType=PrePaid",
        "malformed_query",
        "UsedTime",
    ),
    (
        "Action=CreateDtsInstance&JobId=ID&PayType=PrePaid&UsedTime=1&Period=Week",
        "malformed_query",
        "Period",
    ),
    (
        "Action=RenewInstance&DtsJobId=ID&Period=Year",
        "malformed_query",
        "BuyCount",
    ),
    (
        "Action=ConfigureSubscription&DtsJobId=ID",
        "dts_action_unsupported",
        "DtsJobId",
    ),
    (
        "Action=ConfigureSubscription&Checkpoint=1",
        "dts_action_unsupported",
        "Checkpoint",
    ),
    (
        "Action=ConfigureSubscription&SourceEndpointEngineName=MySQL",
        "dts_action_unsupported",
        "SourceEndpointEngineName",
    ),
    (
        "Action=ConfigureSubscription&DbList=x",
        "malformed_query",
        "DbList",
    ),
    (
        "Action=ConfigureSubscription&DbList=%7B%22a%22:%7B%22all%22:true%7D%7D",
        "malformed_query",
        "DtsJobName",
    ),
    ("Action=StartDtsJob", "malformed_query", "DtsJobId"),
    (
        "Action=DescribeDtsJobs&Status=Upgrade",
        "malformed_query",
        "Status",
    ),
    (
        "Action=DescribeDtsJobs&PageSize=0",
        "malformed_query",
        "PageSize",
    ),
    (
        "Action=ModifyDtsJobName&DtsJobId=ID&DtsJobName=+x",
        "invalid_body",
        "DtsJobName",
    ),
    (
        "Action=SkipPreCheck&DtsJobId=ID&SkipPreCheckItems=x",
        "malformed_query",
        "SkipPreCheckItems",
    ),
];

#[tokio::test]
async fn what_cannot_be_done_names_its_parameter() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let id = task.as_str();
    for (query, code, field) in REFUSED {
        let answer = api
            .command(&format!("/dts?{}", query.replace("ID", id)))
            .await;
        let status = match code {
            "malformed_query" | "dts_action_unknown" => StatusCode::BAD_REQUEST,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        answer.is_problem(status, code);
        assert_eq!(answer.body["field"], field, "{answer:?}");
    }
    let weak = [
        ("DtsJobId", id),
        ("ConsumerGroupName", "g"),
        ("ConsumerGroupUserName", "reader"),
        ("ConsumerGroupPassword", "weak"),
    ];
    let weak = calls(&api, TOKEN, "CreateConsumerChannel", &weak).await;
    weak.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(weak.body["field"], "ConsumerGroupPassword");
    let early = calls(&api, TOKEN, "SuspendDtsJob", &[("DtsJobId", id)]).await;
    early.is_problem(StatusCode::CONFLICT, "state_forbids");
    let unknown = calls(&api, TOKEN, "StartDtsJob", &[("DtsJobId", "ta7w132u12h")]).await;
    unknown.is_problem(StatusCode::NOT_FOUND, "task_not_found");
    let absent = calls(&api, TOKEN, "DescribeConsumerChannel", &[("DtsJobId", id)]).await;
    absent.is_problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "consumer_group_unavailable",
    );
}

#[tokio::test]
async fn parameters_stand_in_the_query_or_in_a_form() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let by_query = api.command("/dts?Action=DescribeDtsJobs&PageSize=30").await;
    assert_eq!(by_query.body["DtsJobList"][0]["DtsJobId"], task.as_str());
    let twice = api.request(Method::POST, "/dts?Action=DescribeDtsJobs");
    let twice = twice.header("Content-Type", "application/x-www-form-urlencoded");
    let twice = send(twice.body("Action=DeleteDtsJob")).await;
    twice.is_problem(StatusCode::BAD_REQUEST, "malformed_query");
    let json = api
        .post("/dts", &json!({"Action": "DescribeDtsJobs"}))
        .await;
    json.is_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_form");
    let got = api.get("/dts?Action=DescribeDtsJobs").await;
    got.is_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");

    // One key is for one query.
    let with_key = async |query: &str| {
        let request = api.request(Method::POST, &format!("/dts?{query}"));
        send(request.header("Idempotency-Key", "same")).await
    };
    let list = "Action=DescribeDtsJobs";
    assert_eq!(with_key(list).await.status, StatusCode::OK);
    assert!(with_key(list).await.replayed);
    let other = with_key("Action=DescribeDtsJobs&PageSize=30").await;
    other.is_problem(StatusCode::CONFLICT, "idempotency_key_reused");
}

async fn token(api: &Api, body: &Value) -> String {
    let answer = api.post("/tokens", body).await;
    answer.body["secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_role_holds_for_aliases_too() {
    let api = Api::start().await;
    let other = api.created_task().await;
    let viewer = token(&api, &json!({"name": "eve", "role": "viewer"})).await;
    let job: Given<'_> = &[("DtsJobId", other.as_str())];
    for action in [
        "DescribeDtsJobs",
        "DescribeDtsJobDetail",
        "DescribePreCheckStatus",
    ] {
        let answer = calls(&api, &viewer, action, job).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    for action in [
        "StartDtsJob",
        "DeleteDtsJob",
        "ConfigureSubscription",
        "SkipPreCheck",
    ] {
        let answer = calls(&api, &viewer, action, job).await;
        answer.is_problem(StatusCode::FORBIDDEN, "role_forbids");
    }
}

#[tokio::test]
async fn a_scope_holds_for_aliases_too() {
    let api = Api::start().await;
    let other = api.created_task().await;
    let other_source = api.get(&format!("/tasks/{other}")).await.body["source_id"].clone();
    let other_source = other_source.as_str().unwrap();
    let job: Given<'_> = &[("DtsJobId", other.as_str())];
    let bound = json!({"name": "bot", "role": "operator", "resource_groups": ["sales"]});
    let bot = token(&api, &bound).await;
    for action in [
        "DescribeDtsJobDetail",
        "DescribePreCheckStatus",
        "DescribeConsumerChannel",
        "StartDtsJob",
        "SuspendDtsJob",
        "DeleteDtsJob",
        "ModifyDtsJobName",
        "ModifySubscription",
        "SkipPreCheck",
        "CreateConsumerChannel",
        "DeleteConsumerChannel",
        "ConfigureSubscription",
    ] {
        let answer = calls(&api, &bot, action, job).await;
        answer.is_problem(StatusCode::NOT_FOUND, "task_not_found");
    }
    let bought = calls(
        &api,
        &bot,
        "CreateDtsInstance",
        &[("JobId", other.as_str())],
    )
    .await;
    bought.is_problem(StatusCode::NOT_FOUND, "task_not_found");
    let by_source = [
        ("DtsJobName", "mine"),
        ("DbList", ALL),
        ("ResourceGroupId", "sales"),
        ("SourceEndpointInstanceID", other_source),
    ];
    let by_source = calls(&api, &bot, "ConfigureSubscription", &by_source).await;
    by_source.is_problem(StatusCode::NOT_FOUND, "source_not_found");

    let mine: Vec<_> = [("DtsJobName", "mine"), ("DbList", ALL)]
        .iter()
        .chain(&ENDPOINT)
        .copied()
        .collect();
    let nobodys = calls(&api, &bot, "ConfigureSubscription", &mine).await;
    nobodys.is_problem(StatusCode::FORBIDDEN, "outside_scope");
    assert_eq!(nobodys.body["field"], "ResourceGroupId");
    let mine: Vec<_> = mine
        .into_iter()
        .chain([("ResourceGroupId", "sales")])
        .collect();
    let made = calls(&api, &bot, "ConfigureSubscription", &mine).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let listed = calls(&api, &bot, "DescribeDtsJobs", &[]).await;
    assert_eq!(listed.body["TotalRecordCount"], 1, "{listed:?}");
    assert_eq!(
        listed.body["DtsJobList"][0]["DtsJobId"],
        made.body["DtsJobId"]
    );
}
