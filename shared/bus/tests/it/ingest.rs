//! Messages into a stream one by one: each once, in order, fenced.

use std::time::Duration;

use async_nats::jetstream::stream;
use rowcast_bus::Bus;
use rowcast_bus::batch::{BatchError, IngestPublisher, More, WireError};
use rowcast_testkit::Nats;

use crate::batches::{self, batch, bus, numbers, stored};

const RACERS: usize = 4;

/// Messages of each racer in one try.
const RACE: usize = 300;

const RACES: usize = 50;

async fn make_stream(bus: &Bus) {
    let allowing = stream::Config {
        allow_batch_publish: true,
        ..batches::config()
    };
    bus.jetstream().create_stream(allowing).await.unwrap();
}

/// Waits until nothing is in flight; gives the stream's last sequence.
async fn settle(publisher: &mut IngestPublisher) -> Result<u64, BatchError> {
    let mut last = 0;
    while publisher.in_flight() > 0 {
        let before = publisher.in_flight();
        let acked = publisher.acked().await?;
        assert_eq!(before - publisher.in_flight(), acked.messages);
        assert!(acked.last_sequence > last);
        last = acked.last_sequence;
    }
    Ok(last)
}

#[tokio::test]
async fn messages_are_stored_and_acknowledged_in_order() {
    let nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    make_stream(&bus).await;
    let mut publisher = IngestPublisher::new(&bus, 0);
    let mut start = 0;
    // Ends with a message of its own, with the only one, with nothing behind the last.
    for (end, more) in [
        (1, More::Nothing),
        (3, More::Nothing),
        (4, More::Follows),
        (2000, More::Follows),
        (2003, More::Nothing),
        (2010, More::Follows),
        (2010, More::Nothing),
        (2011, More::Follows),
        (2011, More::Follows),
        (2012, More::Nothing),
    ] {
        publisher.send(batch(start..end), more).await.unwrap();
        assert_eq!(publisher.is_ready(), more == More::Follows, "{end}");
        if more == More::Nothing {
            assert_eq!(settle(&mut publisher).await.unwrap(), end as u64);
            assert!(publisher.is_ready());
        }
        start = end;
    }
    assert_eq!(stored(&bus).await, numbers(2012));
}

#[tokio::test]
async fn while_a_batch_is_open_most_of_it_is_acknowledged() {
    let nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    make_stream(&bus).await;
    let mut publisher = IngestPublisher::new(&bus, 0);
    publisher.send(batch(0..1000), More::Follows).await.unwrap();
    while publisher.in_flight() > 64 {
        publisher.acked().await.unwrap();
    }
    assert!(publisher.is_open());
    // Nothing more is owed: it is not an error that nothing comes.
    let waited = tokio::time::timeout(Duration::from_secs(1), publisher.acked());
    assert!(waited.await.is_err());
    publisher.send(batch(0..0), More::Nothing).await.unwrap();
    assert_eq!(settle(&mut publisher).await.unwrap(), 1000);
    assert_eq!(stored(&bus).await, numbers(1000));
}

#[tokio::test]
async fn behind_a_foreign_message_nothing_is_stored() {
    let nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    make_stream(&bus).await;
    let (mut first, mut second) = (IngestPublisher::new(&bus, 0), IngestPublisher::new(&bus, 0));
    first.send(batch(0..5), More::Follows).await.unwrap();
    second.send(batch(100..103), More::Nothing).await.unwrap();
    let refused = second.acked().await.unwrap_err();
    assert!(matches!(refused, BatchError::Fenced { .. }), "{refused}");
    first.send(batch(5..6), More::Nothing).await.unwrap();
    assert_eq!(settle(&mut first).await.unwrap(), 6);

    first.send(batch(6..8), More::Follows).await.unwrap();
    // Another takes the stream: it knows where it ends.
    let mut third = IngestPublisher::new(&bus, 8);
    loop {
        match third.send(batch(8..9), More::Nothing).await {
            Ok(()) if settle(&mut third).await.is_ok() => break,
            Ok(()) | Err(_) => third = IngestPublisher::new(&bus, 8),
        }
    }
    // It brings the stream to just the end that the second of these expects.
    first.send(batch(100..110), More::Nothing).await.unwrap();
    let refused = settle(&mut first).await.unwrap_err();
    assert!(
        matches!(refused, BatchError::Fenced { expected: 8, .. }),
        "{refused}"
    );
    third.send(batch(9..10), More::Nothing).await.unwrap();
    settle(&mut third).await.unwrap();
    assert_eq!(stored(&bus).await, numbers(10));
}

#[tokio::test]
async fn of_writers_that_race_one_writes_and_what_it_writes_is_whole() {
    let nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    make_stream(&bus).await;
    let mut end = 0;
    let mut winners = 0;
    for _ in 0..RACES {
        let racers = (0..RACERS).map(async |racer| {
            let mut publisher = IngestPublisher::new(&bus, end as u64);
            // Of each message it can be told who wrote it, and where it belongs.
            let own = |nth: usize| racer * 1_000_000 + end + nth;
            for nth in (0..RACE).step_by(100) {
                publisher
                    .send(batch(own(nth)..own(nth + 100)), More::Follows)
                    .await?;
                tokio::task::yield_now().await;
            }
            publisher.send(batch(0..0), More::Nothing).await?;
            settle(&mut publisher).await
        });
        let ended = futures::future::join_all(racers).await;
        winners += ended.iter().filter(|ended| ended.is_ok()).count();
        end = stored_sequence(&bus).await;
    }
    let bodies = stored(&bus).await;
    assert_eq!(bodies.len(), end);
    let mut runs = bodies.iter().enumerate().map(|(index, body)| {
        let number: usize = body.parse().unwrap();
        (index, number % 1_000_000, number / 1_000_000)
    });
    assert!(
        runs.all(|(index, place, _racer)| index == place),
        "{bodies:?}"
    );
    assert!(winners >= RACES / 2, "{winners}");
}

async fn stored_sequence(bus: &Bus) -> usize {
    let stream = bus.jetstream().get_stream(batches::STREAM).await.unwrap();
    usize::try_from(stream.cached_info().state.last_sequence).unwrap()
}

#[tokio::test]
async fn a_stream_that_takes_no_such_batches_refuses() {
    let nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    let mut publisher = IngestPublisher::new(&bus, 0);
    publisher.send(batch(0..1), More::Nothing).await.unwrap();
    let refused = publisher.acked().await.unwrap_err();
    assert!(matches!(refused, BatchError::NoStream), "{refused}");
    batches::make_stream(&bus).await;
    let mut publisher = IngestPublisher::new(&bus, 0);
    publisher.send(batch(0..2), More::Nothing).await.unwrap();
    let refused = publisher.acked().await.unwrap_err();
    assert!(matches!(refused, BatchError::Refused { .. }), "{refused}");
    assert!(stored(&bus).await.is_empty());
}

#[tokio::test]
async fn a_lost_connection_is_an_error_in_a_batch_and_made_anew_between() {
    let mut nats = Nats::start().await.unwrap();
    let bus = bus(&nats).await;
    make_stream(&bus).await;
    let mut publisher = IngestPublisher::new(&bus, 0);
    publisher.send(batch(0..2), More::Nothing).await.unwrap();
    settle(&mut publisher).await.unwrap();
    nats.kill().await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(500), publisher.acked());
    assert!(waited.await.is_err());
    nats.restart().await.unwrap();
    publisher.send(batch(2..4), More::Nothing).await.unwrap();
    assert_eq!(settle(&mut publisher).await.unwrap(), 4);
    publisher.send(batch(4..6), More::Follows).await.unwrap();
    nats.kill().await.unwrap();
    let error = publisher.acked().await.unwrap_err();
    assert!(
        matches!(error, BatchError::Connection(WireError::Lost(_))),
        "{error}"
    );
}
