//! Groups that take changes and acknowledge none, beside capture and a group that reads.

use std::ops::RangeInclusive;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use futures::StreamExt as _;
use rowcast_client::{GroupMode, Subscription};
use rowcast_e2e::{PATIENCE, Shop, data};
use rowcast_proto::rest::{GroupList, Task};
use rowcast_proto::stream::source_object;
use rowcast_testkit::{eventually, stream_length};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Changes that a shared group may have in flight.
const SHARED_FULL: usize = 20_000;

/// The same of an ordered group.
const ORDERED_FULL: usize = 2000;

/// Rows written before capture is watched: more than any group may have in flight.
const BEFORE: i64 = 22_000;

/// Rows of a transaction then.
const AT_ONCE: i64 = 1000;

/// How often capture is looked at while rows are written.
const LOOKS: u32 = 15;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Between two transactions.
const PACE: Duration = Duration::from_millis(20);

/// Rows of a transaction while capture is looked at.
const ROWS: i64 = 10;

/// Within this PostgreSQL is told that the stream has what was committed: capture says so each second.
const KEEPS_UP: Duration = Duration::from_secs(5);

/// A row that is not counted, behind all others.
const LAST: i64 = 0;

/// The reader acknowledges one in so many changes, which stands for those before it.
const ACKNOWLEDGED: usize = 100;

async fn insert(shop: &Shop, numbers: RangeInclusive<i64>) {
    let (first, last) = numbers.into_inner();
    let rows = format!("INSERT INTO shop.counter SELECT generate_series({first}, {last})");
    shop.sql.batch_execute(&rows).await.unwrap();
}

/// Takes so many changes, acknowledges none, and stays.
async fn take(consumer: PullConsumer, most: usize) -> anyhow::Result<()> {
    let mut held = Vec::new();
    while held.len() < most {
        let more = (most - held.len()).min(500);
        let batch = consumer
            .batch()
            .max_messages(more)
            .expires(Duration::from_secs(1));
        let mut batch = batch.messages().await?;
        while let Some(message) = batch.next().await {
            held.push(message.map_err(anyhow::Error::from_boxed)?);
        }
    }
    std::future::pending().await
}

/// Changes in flight of the group with this name.
async fn in_flight(shop: &Shop, name: &str) -> u64 {
    let list: GroupList = shop.api.get(&shop.path("groups")).await.unwrap();
    let group = list.groups.into_iter().find(|group| group.name == name);
    group.unwrap().in_flight
}

async fn is_full(shop: &Shop, name: &str, full: usize) {
    eventually(&format!("{name} is sent no more"), PATIENCE, async || {
        in_flight(shop, name).await >= full as u64
    })
    .await;
}

/// The numbers of the rows up to this one, in the order told.
async fn read(member: &mut Subscription, last: i64) -> Vec<i64> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let next = tokio::time::timeout(PATIENCE, member.next()).await;
        let delivery = next.unwrap().unwrap().unwrap();
        let row = delivery.change.after.as_ref();
        numbers.extend(row.and_then(|row| row.get("n")?.as_i64()));
        if numbers.len().is_multiple_of(ACKNOWLEDGED) || numbers.last() == Some(&last) {
            delivery.ack().await.unwrap();
        }
    }
    numbers
}

/// Writes rows from this one on until it is enough, and then the last one. Gives the number of the next.
async fn write(shop: &Shop, mut next: i64, enough: &CancellationToken) -> i64 {
    while !enough.is_cancelled() {
        insert(shop, next..=next + ROWS - 1).await;
        next += ROWS;
        tokio::time::sleep(PACE).await;
    }
    insert(shop, LAST..=LAST).await;
    next
}

/// The longest time until PostgreSQL knew that what was in its log has been stored, and the longest delay that the task has
/// told.
async fn watch(shop: &Shop) -> (Duration, Option<u32>) {
    let (mut confirmed, mut delay) = (Duration::ZERO, None);
    let slot = source_object(&shop.task);
    for _look in 0..LOOKS {
        let end = "SELECT pg_current_wal_lsn()::text";
        let end: String = shop.sql.query_one(end, &[]).await.unwrap().get(0);
        let begun = Instant::now();
        let is_confirmed = format!(
            "SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots WHERE slot_name = $1"
        );
        eventually("the source is told", PATIENCE, async || {
            let told = shop.sql.query_one(&is_confirmed, &[&slot]).await;
            told.unwrap().get(0)
        })
        .await;
        confirmed = confirmed.max(begun.elapsed());
        let task: Task = shop.task().await.unwrap();
        delay = delay.max(task.position.and_then(|position| position.delay_seconds));
        tokio::time::sleep(LOOK).await;
    }
    (confirmed, delay)
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_acknowledge_nothing_hold_up_neither_capture_nor_who_reads() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let hoards = shop.group_of("hoards", GroupMode::Shared).await.unwrap();
    let stands = shop.group("stands").await.unwrap();
    let reads = shop.group("reads").await.unwrap();
    let mut member = reads.subscribe().await.unwrap();
    let mut clients = JoinSet::new();
    // One asks for more without end; the other has what it may have, and asks no more.
    clients.spawn(take(hoards.stock_consumer().await.unwrap(), usize::MAX));
    clients.spawn(take(stands.stock_consumer().await.unwrap(), ORDERED_FULL));
    let fill = async {
        for first in (1..=BEFORE).step_by(usize::try_from(AT_ONCE).unwrap()) {
            insert(&shop, first..=first + AT_ONCE - 1).await;
        }
    };
    let (read_before, ()) = tokio::join!(read(&mut member, BEFORE), fill);
    assert!(read_before.into_iter().eq(1..=BEFORE));
    is_full(&shop, "hoards", SHARED_FULL).await;
    is_full(&shop, "stands", ORDERED_FULL).await;

    let enough = CancellationToken::new();
    let watching = async {
        let watched = watch(&shop).await;
        enough.cancel();
        watched
    };
    let writing = write(&shop, BEFORE + 1, &enough);
    let ((confirmed, delay), next, mut told) =
        tokio::join!(watching, writing, read(&mut member, LAST));
    eprintln!("confirmed within {confirmed:?}, delay {delay:?}, {next} rows");
    assert!(confirmed < KEEPS_UP, "{confirmed:?}");
    let is_late = |seconds: u32| Duration::from_secs(seconds.into()) >= KEEPS_UP;
    assert!(delay.is_some_and(|seconds| !is_late(seconds)), "{delay:?}");
    assert_eq!(told.pop(), Some(LAST));
    assert!(told.into_iter().eq(BEFORE + 1..next));

    // Nobody has been relieved meanwhile.
    is_full(&shop, "hoards", SHARED_FULL).await;
    is_full(&shop, "stands", ORDERED_FULL).await;
    let ended = clients.try_join_next();
    assert!(ended.is_none(), "a client has given up: {ended:?}");
    let data = data(&shop.platform).await.unwrap();
    let stored = stream_length(&data, &shop.task).await.unwrap();
    assert!(stored >= u64::try_from(next).unwrap(), "{stored}");
}
