//! Instances by the names of DTS, where they are ordered before there is anything to check.

use reqwest::StatusCode;
use rowcast_proto::message::{CheckOutcome, CheckResult};
use serde_json::Value;

use super::{ALL, ENDPOINT, calls, configured, done, peers};
use crate::fixture::{Api, TOKEN};
use crate::stand_in;

#[tokio::test]
async fn what_is_ordered_first_is_bought_once_the_precheck_has_passed() {
    let api = Api::start().await;
    let sold = peers::billing(&api.bus).await;
    stand_in::precheck(&api.bus, || async {}).await;
    // As scripts for DTS do it: order, configure, start.
    let order = [("Type", "SUBSCRIBE"), ("PayType", "PostPaid")];
    let ordered = done(&api, "CreateDtsInstance", &order).await;
    let id = ordered["InstanceId"].as_str().unwrap();
    assert_eq!(ordered["JobId"], id);
    let given = [
        ("DtsInstanceId", id),
        ("DtsJobName", "orders"),
        ("DbList", ALL),
    ];
    let made = configured(&api, &given).await;
    assert_eq!(made.as_str(), id);
    assert_eq!(sold.count(), 0, "nothing was checked yet");
    // Told once more, it is one order all the same.
    let again = [("JobId", id), ("PayType", "PostPaid")];
    done(&api, "CreateDtsInstance", &again).await;
    assert_eq!(sold.count(), 0);
    done(&api, "StartDtsJob", &[("DtsJobId", id)]).await;
    assert_eq!(
        (sold.count(), api.state(&made).await),
        (1, "starting".to_owned())
    );
    // Once bought, a start buys no more.
    done(&api, "SuspendDtsJob", &[("DtsJobId", id)]).await;
    done(&api, "StartDtsJob", &[("DtsJobId", id)]).await;
    assert_eq!(sold.count(), 1);

    let given_up = done(&api, "CreateDtsInstance", &order).await;
    let given_up = given_up["JobId"].as_str().unwrap();
    done(&api, "DeleteDtsJob", &[("DtsJobId", given_up)]).await;
    let late = [("DtsJobId", given_up), ("DtsJobName", "x"), ("DbList", ALL)];
    let late = calls(&api, TOKEN, "ConfigureSubscription", &late).await;
    late.is_problem(StatusCode::NOT_FOUND, "task_not_found");
}

#[tokio::test]
async fn of_two_that_configure_one_order_at_once_the_second_leaves_nothing() {
    let api = Api::start().await;
    for round in 1..=5 {
        let ordered = done(&api, "CreateDtsInstance", &[("Type", "SUBSCRIBE")]).await;
        let id = ordered["InstanceId"].as_str().unwrap();
        let job = [("DtsJobId", id), ("DtsJobName", "orders"), ("DbList", ALL)];
        let given: Vec<_> = job.iter().chain(&ENDPOINT).copied().collect();
        let configure = || calls(&api, TOKEN, "ConfigureSubscription", &given);
        let (one, other) = tokio::join!(configure(), configure());
        let (made, refused) = match one.status {
            StatusCode::OK => (one, other),
            _refused => (other, one),
        };
        assert_eq!(made.status, StatusCode::OK, "{made:?} {refused:?}");
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        refused.is_problem(status, "dts_action_unsupported");
        let sources = api.get("/sources").await.body;
        assert_eq!(sources["sources"].as_array().unwrap().len(), round);
    }
}

#[tokio::test]
async fn an_order_whose_precheck_fails_is_not_bought() {
    let api = Api::start().await;
    let sold = peers::billing(&api.bus).await;
    let failing = CheckResult {
        code: "wal_level".to_owned(),
        outcome: CheckOutcome::Fail.into(),
        ..CheckResult::default()
    };
    peers::precheck(&api.bus, vec![failing]).await;
    let id = configured(&api, &[("DtsJobName", "orders"), ("DbList", ALL)]).await;
    let order = [("JobId", id.as_str()), ("AutoStart", "true")];
    let refused = calls(&api, TOKEN, "CreateDtsInstance", &order).await;
    refused.is_problem(StatusCode::CONFLICT, "precheck_failed");
    assert_eq!(
        (sold.count(), api.state(&id).await),
        (0, "precheck_failed".to_owned())
    );
}

#[tokio::test]
async fn months_are_bought_and_renewed_by_the_names_of_dts() {
    let api = Api::start().await;
    let expires_at = "2027-11-29T10:00:00Z";
    peers::subscriptions(&api.bus, expires_at.parse().unwrap()).await;
    stand_in::precheck(&api.bus, || async {}).await;
    let id = configured(&api, &[("DtsJobName", "orders"), ("DbList", ALL)]).await;
    let job = ("DtsJobId", id.as_str());
    let listed = async || done(&api, "DescribeDtsJobs", &[]).await["DtsJobList"][0].clone();
    assert_eq!(listed().await["PayType"], Value::Null);

    let order = [
        ("JobId", id.as_str()),
        ("PayType", "PrePaid"),
        ("Period", "Year"),
        ("UsedTime", "2"),
    ];
    done(&api, "CreateDtsInstance", &order).await;
    assert_eq!(
        listed().await["PayType"],
        Value::Null,
        "it is kept until the precheck passes"
    );
    done(&api, "StartDtsJob", &[job]).await;
    for told in [
        listed().await,
        done(&api, "DescribeDtsJobDetail", &[job]).await,
    ] {
        assert_eq!(told["PayType"], "PrePaid", "{told}");
        assert_eq!(told["ExpireTime"], expires_at, "{told}");
        assert_eq!(told["PrecheckStatus"]["Status"], "Finished", "{told}");
    }
    let renewal = [job, ("Period", "Month"), ("BuyCount", "7")];
    let renewed = done(&api, "RenewInstance", &renewal).await;
    assert_eq!(renewed["EndTime"], expires_at);
    assert_eq!(renewed["InstanceId"], id.as_str());
}
