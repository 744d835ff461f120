//! Who gets in.

use async_nats::ConnectOptions;
use rowcast_testkit::Nats;

#[tokio::test]
async fn every_platform_user_gets_in_without_the_callout() {
    let nats = Nats::start().await.unwrap();
    for user in rowcast_local::credentials::NATS_USERS {
        let client = nats.client(user).await.unwrap();
        client.flush().await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let nats = Nats::start().await.unwrap();
    let wrong = ConnectOptions::with_user_and_password("billing".to_owned(), "p0".to_owned());
    wrong.connect(nats.url()).await.unwrap_err();
}

#[tokio::test]
async fn nobody_gets_in_without_a_name() {
    let nats = Nats::start().await.unwrap();
    async_nats::connect(nats.url()).await.unwrap_err();
}

#[tokio::test]
async fn a_member_is_refused_while_nobody_answers_the_callout() {
    let nats = Nats::start().await.unwrap();
    let member = ConnectOptions::with_user_and_password("shop-g1".to_owned(), "p0".to_owned());
    member.connect(nats.url()).await.unwrap_err();
}
