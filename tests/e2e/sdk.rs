//! What the Rust SDK promises, where the services or another member fail it.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use futures::{Stream, StreamExt as _};
use rowcast_client::{Changes as _, Error, GroupMode, Position, Subscription};
use rowcast_domain::TaskId;
use rowcast_e2e::{Group, PATIENCE, Shop, data, is_count, read_until};
use rowcast_proto::stream::{task_stream, task_stream_subjects};
use rowcast_testkit::eventually;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The next item; a stream that is silent fails the test.
async fn next<T>(stream: &mut (impl Stream<Item = Result<T, Error>> + Unpin)) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, stream.next()).await {
        Ok(Some(item)) => item,
        Ok(None) => panic!("the stream has ended"),
        Err(_elapsed) => panic!("nothing within {PATIENCE:?}"),
    }
}

/// A member whose logins may be refused for so long.
async fn join(group: &Group, patience: Duration) -> Subscription {
    let credentials = group.credentials().with_login_patience(patience);
    Subscription::connect(credentials).await.unwrap()
}

async fn count(shop: &Shop, number: i64) {
    let insert = format!("INSERT INTO shop.counter VALUES ({number})");
    shop.sql.batch_execute(&insert).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_outlives_the_absence_of_who_checks_logins_as_long_as_it_is_told_to() {
    let mut shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let (group, other) = (
        shop.group("patient").await.unwrap(),
        shop.group("impatient").await.unwrap(),
    );
    count(&shop, 1).await;
    let mut patient = join(&group, Duration::from_secs(60)).await;
    let mut impatient = join(&other, Duration::from_secs(3)).await;
    for member in [&mut patient, &mut impatient] {
        read_until(member, |change| is_count(change, 1))
            .await
            .unwrap();
    }

    shop.platform.kill("consumer-group").await.unwrap();
    shop.platform.nats.kill().await.unwrap();
    shop.platform.nats.restart().await.unwrap();
    let away = Instant::now();
    let refused = group.subscribe().await.unwrap_err();
    let told = refused.to_string();
    assert!(
        told.contains("the service that checks logins is away"),
        "{told}"
    );
    assert!(away.elapsed() < Duration::from_secs(15), "{away:?}");
    let ended = loop {
        if let Err(error) = next(&mut impatient).await {
            break error;
        }
    };
    assert!(matches!(ended, Error::LoginRefused { .. }), "{ended}");
    assert!(impatient.next().await.is_none());
    count(&shop, 2).await;
    count(&shop, 3).await;
    tokio::time::sleep_until(away + Duration::from_secs(8)).await;
    shop.platform.restart("consumer-group").await.unwrap();

    let changes = read_until(&mut patient, |change| is_count(change, 3))
        .await
        .unwrap();
    let second = changes.iter().position(|change| is_count(change, 2));
    assert_eq!(second, Some(changes.len() - 2), "{changes:?}");
}

/// The stream of a task that was never started: nobody but the test writes it.
struct Written {
    jetstream: jetstream::Context,
    task: TaskId,
}

impl Written {
    async fn of(shop: &Shop) -> Self {
        let jetstream = jetstream::new(data(&shop.platform).await.unwrap());
        let config = stream::Config {
            name: task_stream(&shop.task),
            subjects: task_stream_subjects(&shop.task),
            ..stream::Config::default()
        };
        jetstream.create_stream(config).await.unwrap();
        let task = shop.task.clone();
        Self { jetstream, task }
    }

    /// Writes a message of the one transaction, as capture does.
    async fn say(&self, partition: &str, ordinal: u64, op: &str) {
        let body = format!(
            r#"{{"id":"0/10.{ordinal}","op":"{op}","database":"shop","schema":"public","table":"orders",
                "lsn":"0/10","ordinal":{ordinal},"xid":7,
                "committed_at":"2026-11-23T05:33:10.123456Z"}}"#
        );
        let subject = format!(
            "rowcast.change.{}.{partition}.public.orders.{op}",
            self.task
        );
        let stored = self.jetstream.publish(subject, body.into()).await.unwrap();
        stored.await.unwrap();
    }

    async fn rows(&self, ordinals: std::ops::RangeInclusive<u64>) {
        for ordinal in ordinals {
            self.say("000", ordinal, "insert").await;
        }
    }

    async fn info(&self, consumer: &str) -> Option<consumer::Info> {
        let stream = self.jetstream.get_stream_no_info(task_stream(&self.task));
        stream.await.ok()?.consumer_info(consumer).await.ok()
    }

    /// Makes a group, and waits until it can be read.
    async fn group(&self, shop: &Shop, mode: GroupMode) -> Group {
        let group = shop.group_of("readers", mode).await.unwrap();
        let of_partitions = group.connection.consumers.iter().map(|of| &of.consumer);
        let one = Some(&group.connection.consumer).filter(|one| !one.is_empty());
        let consumers: Vec<&String> = one.into_iter().chain(of_partitions).collect();
        assert!(!consumers.is_empty(), "{group:?}");
        eventually("the consumers are there", PATIENCE, async || {
            for consumer in &consumers {
                if self.info(consumer).await.is_none() {
                    return false;
                }
            }
            true
        })
        .await;
        group
    }
}

/// A part of a transaction: whether it begins, whether it ends, and the ordinals of its rows.
type Told = (bool, bool, Vec<u64>);

/// A member in a thread that stands still from when it has read for a while until it is told to go on, as a paused
/// process does: neither its connection nor its questions run on. Gives what it is handed out then.
fn stands_still(
    group: &Group,
    has_read: oneshot::Sender<()>,
    goes_on: std::sync::mpsc::Receiver<()>,
) -> std::thread::JoinHandle<Told> {
    let credentials = group.credentials();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let member = Subscription::connect(credentials).await.unwrap();
            let mut transactions = member.transactions();
            let early = tokio::time::timeout(Duration::from_secs(5), transactions.next()).await;
            assert!(early.is_err(), "{early:?}");
            has_read.send(()).unwrap();
            goes_on.recv().unwrap();
            let part = next(&mut transactions).await.unwrap();
            part.ack().await.unwrap();
            let rows = part.changes().iter().map(|row| row.position.ordinal);
            (part.begins, part.ends, rows.collect())
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lost_the_group_in_a_transaction_joins_nothing_of_before() {
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    let written = Written::of(&shop).await;
    let group = written.group(&shop, GroupMode::Ordered).await;
    written.say("tx", 0, "begin").await;
    written.rows(1..=40).await;
    let (has_read, is_read) = oneshot::channel();
    let (go_on, goes_on) = std::sync::mpsc::channel();
    let slow = stands_still(&group, has_read, goes_on);
    is_read.await.unwrap();
    let info = written.info(&group.connection.consumer).await.unwrap();
    assert_eq!(info.num_ack_pending, 41, "{info:?}");

    // Another member takes over, goes beyond that, and leaves.
    written.rows(41..=100).await;
    let mut other = group.subscribe().await.unwrap();
    loop {
        let delivery = next(&mut other).await.unwrap();
        if delivery.position.ordinal == 100 {
            delivery.ack().await.unwrap();
            break;
        }
    }
    other.close().await;
    written.rows(101..=102).await;
    written.say("tx", 103, "commit").await;
    go_on.send(()).unwrap();
    let told = tokio::task::spawn_blocking(move || slow.join().unwrap());
    assert_eq!(told.await.unwrap(), (false, true, vec![101, 102]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_partition_of_a_keyed_group_goes_on_behind_its_own_position() {
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    let written = Written::of(&shop).await;
    let group = written.group(&shop, GroupMode::Keyed).await;
    for ordinal in 1..=10 {
        let partition = if ordinal % 2 == 0 { "000" } else { "001" };
        written.say(partition, ordinal, "insert").await;
    }
    let stored: Position = "0/10.4".parse().unwrap();
    // One position for all would leave out what the other partition has not applied.
    let mut refused = group.subscribe().await.unwrap().behind(Some(stored));
    let error = next(&mut refused).await.unwrap_err();
    assert!(matches!(error, Error::NotOrdered { .. }), "{error}");
    assert!(refused.next().await.is_none());

    let positions = HashMap::from([("000".to_owned(), stored)]);
    let mut has_failed = false;
    let position = move |partition: String| {
        let fails = partition == "001" && !std::mem::replace(&mut has_failed, true);
        let known = positions.get(&partition).copied();
        std::future::ready(if fails { Err("it is away") } else { Ok(known) })
    };
    let mut changes = group.subscribe().await.unwrap().behind_in(position);
    let (mut handed_out, mut failures) = (HashMap::<String, Vec<u64>>::new(), 0);
    while handed_out.values().map(Vec::len).sum::<usize>() < 8 {
        match next(&mut changes).await {
            Ok(delivery) => {
                let partition = delivery.partition().unwrap().to_owned();
                let ordinal = delivery.position.ordinal;
                handed_out.entry(partition).or_default().push(ordinal);
            }
            Err(Error::PositionNotRead { partition, .. }) => {
                assert_eq!(partition, "001");
                failures += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(failures, 1);
    assert_eq!(handed_out["000"], [6, 8, 10]);
    assert_eq!(handed_out["001"], [1, 3, 5, 7, 9]);
    // What is left out is acknowledged.
    let of = |partition: &str| {
        let mut consumers = group.connection.consumers.iter();
        consumers.find(|of| of.partition == partition).unwrap()
    };
    let info = written.info(&of("000").consumer).await.unwrap();
    assert_eq!(info.ack_floor.stream_sequence, 4, "{info:?}");
    let info = written.info(&of("001").consumer).await.unwrap();
    assert_eq!(info.ack_floor.stream_sequence, 0, "{info:?}");
}
