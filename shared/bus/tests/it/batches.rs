//! Batches into a stream: whole, in order, fenced.

use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use rowcast_bus::batch::{BatchError, BatchMessage, BatchPublisher, WireError};
use rowcast_bus::{Bus, BusConfig, Replicas};
use rowcast_domain::Secret;
use rowcast_testkit::Nats;

pub(crate) const STREAM: &str = "RC_t1";

pub(crate) async fn bus(nats: &Nats) -> Bus {
    let config = BusConfig {
        url: nats.url().to_owned(),
        user: "capture-data".to_owned(),
        password: Secret::new(nats.password("capture-data")),
        name: "test".to_owned(),
        replicas: Replicas::default(),
    };
    Bus::connect(&config).await.unwrap()
}

pub(crate) fn config() -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["rowcast.change.t1.>".to_owned()],
        allow_atomic_publish: true,
        ..stream::Config::default()
    }
}

pub(crate) async fn make_stream(bus: &Bus) {
    bus.jetstream().create_stream(config()).await.unwrap();
}

/// Messages whose bodies are these numbers.
pub(crate) fn batch(
    numbers: std::ops::Range<usize>,
) -> impl ExactSizeIterator<Item = BatchMessage> {
    numbers.map(|number| BatchMessage {
        subject: format!("rowcast.change.t1.{}", number % 3).into(),
        payload: Bytes::from(number.to_string()),
        headers: Bytes::from(format!("\r\nNumber:{number}")),
    })
}

pub(crate) async fn stored(bus: &Bus) -> Vec<String> {
    let stream = jetstream::new(bus.client().clone())
        .get_stream(STREAM)
        .await
        .unwrap();
    let mut bodies = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let body = String::from_utf8(message.payload.to_vec()).unwrap();
        let number = message.headers.get("Number").map(ToString::to_string);
        assert_eq!(number.as_ref(), Some(&body));
        bodies.push(body);
    }
    bodies
}

pub(crate) fn numbers(end: usize) -> Vec<String> {
    (0..end).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn batches_of_every_size_are_stored_in_order_and_acknowledged_in_order() {
    let nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    make_stream(&bus).await;
    let mut publisher = BatchPublisher::new(&bus, 0);
    let ends = [1, 3, 4, 1004, 1005];
    let mut start = 0;
    for end in ends {
        publisher.send(batch(start..end)).await.unwrap();
        start = end;
    }
    assert_eq!(publisher.in_flight(), ends.len());
    for end in ends {
        assert_eq!(publisher.acked().await.unwrap().last_sequence, end as u64);
    }
    assert_eq!(stored(&bus).await, numbers(1005));
}

#[tokio::test]
async fn a_second_writer_is_refused_and_nothing_of_its_batches_is_stored() {
    let nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    make_stream(&bus).await;
    let (mut first, mut second) = (BatchPublisher::new(&bus, 0), BatchPublisher::new(&bus, 0));
    first.send(batch(0..5)).await.unwrap();
    first.acked().await.unwrap();
    for size in [1, 7] {
        let mut second = BatchPublisher::new(&bus, 0);
        second.send(batch(100..100 + size)).await.unwrap();
        let refused = second.acked().await.unwrap_err();
        assert!(
            matches!(refused, BatchError::Fenced { expected: 0, .. }),
            "{refused}"
        );
    }
    // The stream ends where the second of these would have it, and takes neither.
    second.send(batch(100..105)).await.unwrap();
    second.send(batch(105..107)).await.unwrap();
    second.acked().await.unwrap_err();
    drop(second);
    first.send(batch(5..6)).await.unwrap();
    first.acked().await.unwrap();
    assert_eq!(stored(&bus).await, numbers(6));
}

#[tokio::test]
async fn without_a_stream_the_batch_is_taken_by_nobody() {
    let nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    let mut publisher = BatchPublisher::new(&bus, 0);
    publisher.send(batch(0..1)).await.unwrap();
    let refused = publisher.acked().await.unwrap_err();
    assert!(matches!(refused, BatchError::NoStream), "{refused}");
}

#[tokio::test]
async fn a_lost_connection_is_an_error_in_flight_and_made_anew_when_idle() {
    let mut nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    make_stream(&bus).await;
    let mut publisher = BatchPublisher::new(&bus, 0);
    publisher.send(batch(0..2)).await.unwrap();
    publisher.acked().await.unwrap();
    nats.kill().await.unwrap();
    // Nothing is in flight: it waits for ever, and notices the end meanwhile.
    let waited = tokio::time::timeout(std::time::Duration::from_millis(500), publisher.acked());
    assert!(waited.await.is_err());
    nats.restart().await.unwrap();
    publisher.send(batch(2..4)).await.unwrap();
    assert_eq!(publisher.acked().await.unwrap().last_sequence, 4);
    publisher.send(batch(4..6)).await.unwrap();
    nats.kill().await.unwrap();
    // It may have been stored before the end: the acknowledgement tells then.
    match publisher.acked().await {
        Ok(acked) => assert_eq!(acked.last_sequence, 6),
        Err(error) => assert!(
            matches!(error, BatchError::Connection(WireError::Lost(_))),
            "{error}"
        ),
    }
}

#[tokio::test]
async fn the_next_server_of_the_list_is_taken_where_the_first_does_not_answer() {
    let nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    let config = BusConfig {
        url: format!("nats://127.0.0.1:1,{}", nats.url()),
        user: "capture-data".to_owned(),
        password: Secret::new(nats.password("capture-data")),
        name: "test".to_owned(),
        replicas: Replicas::default(),
    };
    let both = Bus::connect(&config).await.unwrap();
    make_stream(&bus).await;
    let mut publisher = BatchPublisher::new(&both, 0);
    publisher.send(batch(0..3)).await.unwrap();
    assert_eq!(publisher.acked().await.unwrap().last_sequence, 3);
}
