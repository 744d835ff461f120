//! A broker that acknowledges before it syncs, and loses what it had not synced.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use futures::StreamExt as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::message::CaptureState;
use rowcast_proto::stream::task_stream;
use rowcast_testkit::eventually;

use crate::broker::load::{LOAD, Writer};
use crate::load::seed;
use crate::world::{PATIENCE, World};

/// Twice as long nothing may reach the checkpoint, and four times as long nothing PostgreSQL.
const SYNCS_EVERY: Duration = Duration::from_secs(10);

/// Written and acknowledged, and then lost.
const LOST: Duration = Duration::from_secs(3);

const AT_ONCE: usize = 1000;

const KILLS: usize = 20;

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// Reads and acknowledges everything that is there; gives the transactions and rows of it.
async fn read(consumer: &PullConsumer) -> Vec<(i64, i64)> {
    let mut rows = Vec::new();
    loop {
        let batch = consumer.fetch().max_messages(AT_ONCE).messages().await;
        let mut batch = batch.unwrap();
        let (mut last, mut read) = (None, 0);
        while let Some(message) = batch.next().await {
            let message = message.unwrap();
            read += 1;
            let change: Change = serde_json::from_slice(&message.payload).unwrap();
            if change.op == Operation::Insert {
                let row = change.after.unwrap();
                rows.push((row["tx"].as_i64().unwrap(), row["i"].as_i64().unwrap()));
            }
            // What the killed server had not written of the reader's progress it delivers again, after newer ones.
            let sequence = message.info().unwrap().stream_sequence;
            if last.as_ref().is_none_or(|(newest, _)| *newest < sequence) {
                last = Some((sequence, message));
            }
        }
        match last {
            Some((_, last)) => last.double_ack().await.unwrap(),
            None => return rows,
        }
        // Rows go on being written.
        if read < AT_ONCE {
            return rows;
        }
    }
}

#[tokio::test]
async fn what_the_broker_loses_with_its_machine_is_read_again() {
    let mut world = Box::pin(World::lazy(LOAD, SYNCS_EVERY)).await;
    world.begin().await;
    let writer = Writer::start(&world.postgres, seed()).await;
    let begun = world.confirmed().await;
    world.grows_by(500).await;
    let context = jetstream::new(world.data.clone());
    let stream = context.get_stream(task_stream(&world.task)).await.unwrap();
    let durable = pull::Config {
        durable_name: Some("reader".to_owned()),
        ack_policy: AckPolicy::All,
        max_ack_pending: 100_000,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(durable).await.unwrap();
    let mut seen = read(&consumer).await;

    // What is on the disk of the stream; a copy, for a test cannot cut the power.
    world.nats.kill().await.unwrap();
    let messages = world.nats.store().join("jetstream/DATA/streams");
    let messages = messages.join(task_stream(&world.task)).join("msgs");
    let synced = messages.with_file_name("synced");
    copy(&messages, &synced);
    world.nats.restart().await.unwrap();
    let before = world.last_sequence().await.unwrap();
    world.grows_beyond(before).await;
    tokio::time::sleep(LOST).await;
    seen.extend(read(&consumer).await);
    let acknowledged = world.last_sequence().await.unwrap();
    assert!(acknowledged > before + 100, "{before} to {acknowledged}");
    // Not even the time of one sync has passed.
    assert_eq!(world.confirmed().await, begun, "{}", world.log());

    world.nats.kill().await.unwrap();
    std::fs::remove_dir_all(&messages).unwrap();
    std::fs::rename(&synced, &messages).unwrap();
    world.nats.restart().await.unwrap();
    world.grows_beyond(acknowledged).await;
    let status = world.reaches(CaptureState::Running).await;
    assert!(!status.durable, "{status:?}");
    eventually("the task says that it waits", PATIENCE, async || {
        let warnings = world.status().await.unwrap().warnings;
        warnings
            .iter()
            .any(|warning| warning.contains("sync_interval"))
    })
    .await;

    let transactions = writer.stop().await;
    let rows = world.holds_all(transactions).await;
    // Whoever had read beyond what was left reads on, and perhaps some again, but misses nothing.
    seen.extend(read(&consumer).await);
    seen.sort_unstable();
    seen.dedup();
    let told = rows.iter().map(|row| {
        let row = row.after.as_ref().unwrap();
        (row["tx"].as_i64().unwrap(), row["i"].as_i64().unwrap())
    });
    let missed: Vec<_> = told
        .filter(|row| seen.binary_search(row).is_err())
        .collect();
    assert!(
        missed.is_empty(),
        "{} rows: {:?}",
        missed.len(),
        missed.first()
    );
}

#[tokio::test]
async fn kills_of_both_sides_lose_nothing_where_messages_are_stored_one_by_one() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = Box::pin(World::lazy(LOAD, Duration::from_secs(5))).await;
    world.begin().await;
    let writer = Writer::start(&world.postgres, seed).await;
    let mut sequence = 0;
    for _ in 0..KILLS {
        sequence = world.grows_beyond(sequence).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..150))).await;
        if random.random_bool(0.5) {
            world.nats.kill().await.unwrap();
            world.nats.restart().await.unwrap();
        } else {
            world.kill_capture().await;
            world.start_capture();
        }
    }
    let transactions = writer.stop().await;
    world.holds_all(transactions).await;
    let unknown = world.unknown_outcomes();
    eprintln!("{KILLS} kills, {unknown} unknown outcomes, {transactions} transactions");
    assert!(unknown > 0, "no kill has hit a batch in flight");
}
