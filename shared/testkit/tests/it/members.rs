//! A member of a consumer group, in its own account, reads through the imports.

use std::time::Duration;

use async_nats::jetstream::{self, consumer};
use async_nats::{Client, ConnectOptions};
use futures::StreamExt as _;
use rowcast_testkit::Nats;

use crate::callout::{self, Permissions};
use crate::data;

/// A stream with two changes, the consumer `g_g1`, and a callout that lets members read it.
async fn group(nats: &Nats) -> jetstream::Context {
    let capture = nats.client("capture-data").await.unwrap();
    let jetstream = data::create_stream(&capture).await;
    for body in ["1", "2"] {
        let ack = jetstream.publish("rowcast.change.t1.a", body.into()).await;
        ack.unwrap().await.unwrap();
    }
    let service = jetstream::new(nats.client("consumer-group-data").await.unwrap());
    let stream = service.get_stream("RC_t1").await.unwrap();
    stream
        .create_consumer(consumer::pull::Config {
            durable_name: Some("g_g1".to_owned()),
            ..consumer::pull::Config::default()
        })
        .await
        .unwrap();
    let permissions = Permissions {
        publish: rowcast_proto::subject::group_publish("RC_t1", "g_g1"),
        subscribe: vec!["_INBOX_g1.>".to_owned(), "rowcast.deliver.g1.>".to_owned()],
    };
    callout::answer(nats, permissions).await;
    jetstream
}

async fn member(nats: &Nats) -> Client {
    ConnectOptions::with_user_and_password("shop-g1".to_owned(), "any".to_owned())
        .custom_inbox_prefix("_INBOX_g1")
        .connect(nats.url())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_member_pulls_and_acknowledges() {
    let nats = Nats::start().await.unwrap();
    let owner = group(&nats).await;
    let member = jetstream::new(member(&nats).await);
    let consumer: consumer::PullConsumer = member
        .get_consumer_from_stream("g_g1", "RC_t1")
        .await
        .unwrap();
    let mut changes = consumer.messages().await.unwrap();
    for body in ["1", "2"] {
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!(change.payload, body);
        assert_eq!(change.subject.as_str(), "rowcast.change.t1.a");
        change.double_ack().await.unwrap();
    }
    let stream = owner.get_stream("RC_t1").await.unwrap();
    let info = stream.consumer_info("g_g1").await.unwrap();
    assert_eq!(info.ack_floor.stream_sequence, 2);
    assert_eq!(info.num_ack_pending, 0);
}

#[tokio::test]
async fn a_member_receives_what_is_pushed_to_its_group() {
    let nats = Nats::start().await.unwrap();
    let owner = group(&nats).await;
    let member = member(&nats).await;
    let mut delivered = member.subscribe("rowcast.deliver.g1.1").await.unwrap();
    member.flush().await.unwrap();
    let service = nats.client("consumer-group-data").await.unwrap();
    let stream = jetstream::new(service.clone()).get_stream("RC_t1").await;
    let pushed = consumer::push::Config {
        durable_name: Some("g_g1_push".to_owned()),
        deliver_subject: "rowcast.deliver.g1.1".to_owned(),
        ..consumer::push::Config::default()
    };
    stream.unwrap().create_consumer(pushed).await.unwrap();
    let first = delivered.next().await.unwrap();
    assert_eq!(
        (first.payload.as_ref(), first.subject.as_str()),
        (&b"1"[..], "rowcast.change.t1.a")
    );

    // The server alone delivers: nothing else may say that it is a change.
    service
        .publish("rowcast.deliver.g1.1", "not a change".into())
        .await
        .unwrap();
    service.flush().await.unwrap();
    let ack = owner.publish("rowcast.change.t1.a", "3".into()).await;
    ack.unwrap().await.unwrap();
    for body in ["2", "3"] {
        assert_eq!(delivered.next().await.unwrap().payload, body);
    }
}

/// The server answers a pull to any subject that the asker names; from another account that subject
/// is the asker's own.
#[tokio::test]
async fn a_member_cannot_aim_a_reply_at_the_stream() {
    let nats = Nats::start().await.unwrap();
    let owner = group(&nats).await;
    let member = member(&nats).await;
    member
        .publish_with_reply(
            "$JS.API.CONSUMER.MSG.NEXT.RC_t1.g_g1",
            "rowcast.change.t1.injected",
            "".into(),
        )
        .await
        .unwrap();
    member.flush().await.unwrap();
    // Served after the pull above.
    let consumer: consumer::PullConsumer = jetstream::new(member)
        .get_consumer_from_stream("g_g1", "RC_t1")
        .await
        .unwrap();
    consumer
        .messages()
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    let stream = owner.get_stream("RC_t1").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 2);
}

#[tokio::test]
async fn a_member_cannot_ask_for_anything_else() {
    let nats = Nats::start().await.unwrap();
    group(&nats).await;
    let member = member(&nats).await;
    let mut jetstream = jetstream::new(member);
    jetstream.set_timeout(Duration::from_millis(300));
    jetstream.get_stream("RC_t1").await.unwrap_err();
    assert!(jetstream.delete_stream("RC_t1").await.is_err());
    jetstream
        .get_consumer_from_stream::<consumer::pull::Config, _, _>("g_g2", "RC_t1")
        .await
        .unwrap_err();
}
