//! The account of the changes: who may do what in it, and what survives.

use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use async_nats::{Client, HeaderMap};
use rowcast_testkit::{Nats, eventually};
use serde_json::Value;

/// A task's stream, as capture makes it.
pub(crate) async fn create_stream(client: &Client) -> jetstream::Context {
    let jetstream = jetstream::new(client.clone());
    jetstream
        .create_stream(stream::Config {
            name: "RC_t1".to_owned(),
            subjects: vec!["rowcast.change.t1.>".to_owned()],
            allow_atomic_publish: true,
            ..stream::Config::default()
        })
        .await
        .unwrap();
    jetstream
}

#[tokio::test]
async fn capture_publishes_an_atomic_batch() {
    let nats = Nats::start().await.unwrap();
    let capture = nats.client("capture-data").await.unwrap();
    create_stream(&capture).await;
    let headers = |sequence: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", "b1");
        headers.insert("Nats-Batch-Sequence", sequence);
        headers
    };
    capture
        .publish_with_headers("rowcast.change.t1.a", headers("1"), "1".into())
        .await
        .unwrap();
    let mut last = headers("2");
    last.insert("Nats-Batch-Commit", "1");
    let ack = capture
        .request_with_headers("rowcast.change.t1.a", last, "2".into())
        .await
        .unwrap();
    let ack: Value = serde_json::from_slice(&ack.payload).unwrap();
    assert_eq!(ack["count"], 2, "{ack}");
    assert_eq!(ack["seq"], 2, "{ack}");
}

#[tokio::test]
async fn consumer_group_makes_consumers_but_cannot_change_what_a_stream_holds() {
    let nats = Nats::start().await.unwrap();
    let capture = nats.client("capture-data").await.unwrap();
    let owner = create_stream(&capture).await;

    let client = nats.client("consumer-group-data").await.unwrap();
    let mut jetstream = jetstream::new(client);
    jetstream.set_timeout(Duration::from_millis(500));
    let stream = jetstream.get_stream("RC_t1").await.unwrap();
    stream
        .create_consumer(consumer::pull::Config {
            durable_name: Some("g_g1".to_owned()),
            ..consumer::pull::Config::default()
        })
        .await
        .unwrap();
    stream.purge().await.unwrap_err();
    let published = jetstream.publish("rowcast.change.t1.x", "x".into()).await;
    published.unwrap().await.unwrap_err();
    owner.get_stream("RC_t1").await.unwrap();
}

#[tokio::test]
async fn control_does_not_see_the_changes() {
    let nats = Nats::start().await.unwrap();
    create_stream(&nats.client("capture-data").await.unwrap()).await;
    let control = jetstream::new(nats.client("capture").await.unwrap());
    control.get_stream("RC_t1").await.unwrap_err();
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut nats = Nats::start().await.unwrap();
    let client = nats.client("capture-data").await.unwrap();
    let jetstream = create_stream(&client).await;
    let ack = jetstream.publish("rowcast.change.t1.a", "1".into()).await;
    assert_eq!(ack.unwrap().await.unwrap().sequence, 1);
    nats.kill().await.unwrap();
    nats.restart().await.unwrap();
    eventually("the client is back", Duration::from_secs(10), async || {
        jetstream.get_stream("RC_t1").await.is_ok()
    })
    .await;
    let stream = jetstream.get_stream("RC_t1").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1);
}
