//! Tags by the names of DTS.

use reqwest::StatusCode;
use serde_json::json;

use super::{ALL, calls, configured, done};
use crate::fixture::{Api, TOKEN};

#[tokio::test]
async fn tags_come_and_go_by_the_names_of_dts() {
    let api = Api::start().await;
    let id = configured(&api, &[("DtsJobName", "orders"), ("DbList", ALL)]).await;
    let resource = ("ResourceId.1", id.as_str());
    let tags = [
        resource,
        ("Tag.1.Key", "env"),
        ("Tag.1.Value", "prod"),
        ("Tag.2.Key", "team"),
        ("Tag.2.Value", "crm"),
    ];
    done(&api, "TagResources", &tags).await;
    let told =
        async || done(&api, "DescribeDtsJobs", &[]).await["DtsJobList"][0]["TagList"].clone();
    let env = json!({"TagKey": "env", "TagValue": "prod"});
    let team = json!({"TagKey": "team", "TagValue": "crm"});
    assert_eq!(told().await, json!([env, team]));
    done(&api, "UntagResources", &[resource, ("TagKey.1", "env")]).await;
    assert_eq!(told().await, json!([team]));
    done(&api, "UntagResources", &[resource, ("All", "true")]).await;
    assert_eq!(told().await, json!([]));
    let bad = [resource, ("Tag.1.Key", "a,b")];
    let bad = calls(&api, TOKEN, "TagResources", &bad).await;
    bad.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body");
    assert_eq!(bad.body["field"], "Tag");
}
