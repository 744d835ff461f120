//! Who has no business here gets nowhere.

use async_nats::ConnectOptions;
use rowcast_client::{Error, GroupCredentials, Secret};
use rowcast_e2e::Shop;
use serde_json::json;

#[tokio::test]
async fn wrong_group_credentials_are_refused() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let group = shop.group("first").await.unwrap();
    let other = shop.group("second").await.unwrap();
    let right = group.credentials();
    assert!(
        rowcast_client::Subscription::connect(right.clone())
            .await
            .is_ok()
    );

    let wrong_password = GroupCredentials {
        password: Secret::new("Red-horse-77"),
        ..right.clone()
    };
    let wrong_account = GroupCredentials {
        login: format!("writer-{}", right.group_id),
        ..right.clone()
    };
    let unknown = GroupCredentials {
        login: "reader-g00000000000z".to_owned(),
        ..right.clone()
    };
    for credentials in [wrong_password, wrong_account, unknown] {
        let refused = rowcast_client::Subscription::connect(credentials).await;
        assert!(
            matches!(refused, Err(Error::LoginRefused { .. })),
            "{refused:?}"
        );
    }
    let anonymous = async_nats::connect(shop.platform.nats_url.as_str()).await;
    assert!(anonymous.is_err(), "NATS lets anybody in");

    // A member of one group is nobody to another group, to the stream, and to the platform.
    let member = ConnectOptions::with_user_and_password(right.login.clone(), group.password.into())
        .custom_inbox_prefix(&right.inbox_prefix)
        .connect(&shop.platform.nats_url)
        .await
        .unwrap();
    let stream = &right.stream;
    for subject in [
        format!(
            "$JS.API.CONSUMER.INFO.{stream}.{}",
            other.connection.consumer
        ),
        format!(
            "$JS.API.CONSUMER.MSG.NEXT.{stream}.{}",
            other.connection.consumer
        ),
        format!("$JS.API.STREAM.INFO.{stream}"),
        format!("$JS.API.STREAM.DELETE.{stream}"),
        "rowcast.rpc.billing.quote".to_owned(),
        "$SRV.PING".to_owned(),
    ] {
        let asked = member.request(subject.clone(), "".into());
        let answer = tokio::time::timeout(std::time::Duration::from_millis(500), asked).await;
        assert!(
            !matches!(answer, Ok(Ok(_))),
            "{subject} was answered: {answer:?}"
        );
    }
    let data = rowcast_e2e::data(&shop.platform).await.unwrap();
    let stored = rowcast_testkit::read_stream(&data, &shop.task).await;
    assert!(stored.is_ok(), "the stream is gone: {stored:?}");
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    let problem = shop
        .api
        .refused(&shop.path("start"), &json!({}))
        .await
        .unwrap();
    assert_eq!(
        (problem.status, problem.code.is_empty()),
        (409, false),
        "{problem:?}"
    );
    assert!(problem.repair.is_some(), "{problem:?}");
    let body = json!({"name": "", "host": "h", "database": "d", "account": "a", "password": "p"});
    let problem = shop.api.refused("/sources", &body).await.unwrap();
    assert_eq!(
        (problem.status, problem.field.as_deref()),
        (422, Some("name")),
        "{problem:?}"
    );
    let body = json!({"name": "g", "account": "reader", "password": "short"});
    let problem = shop.api.refused(&shop.path("groups"), &body).await.unwrap();
    assert_eq!(
        (problem.status, problem.field.as_deref()),
        (422, Some("password")),
        "{problem:?}"
    );
}
