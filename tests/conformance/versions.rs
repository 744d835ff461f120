//! One platform, a source of every version, and crashes while they are written to.

use std::time::Duration;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_testkit::{Platform, read_stream};
use serde_json::json;

use crate::replay::replay;
use crate::subject::{FETCHED, Plugin, Server, Subject};
use crate::workload::Workload;

/// Those that are read by `test_decoding` as well.
const READ_AS_TEXT: [Option<u32>; 2] = [None, Some(10)];

const TABLES: [&str; 6] = [
    "kinds",
    "keyless",
    "pages",
    "coded",
    "\"Odd Näme.x>*\"",
    "moving",
];

const KINDS: &str = include_str!("../fixtures/kinds.sql");

/// Between two transactions, so that the crashes come while there is work.
const PACE: Duration = Duration::from_millis(120);

const TRANSACTIONS: u32 = 120;

/// Of capture; every other one takes the broker with it.
const CRASHES: u32 = 4;

/// Milliseconds between two crashes.
const BETWEEN_CRASHES: std::ops::Range<u64> = 500..5_000;

#[expect(
    clippy::disallowed_methods,
    reason = "a failed run is repeated by its seed"
)]
fn seed() -> u64 {
    std::env::var("ROWCAST_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random)
}

async fn start(fetched: Option<u32>, plugin: Plugin, platform: &Platform) -> Subject {
    let server = Box::pin(Server::start(fetched, &[])).await;
    Box::pin(Subject::track(server, plugin, platform, KINDS, &json!({}))).await
}

async fn write(subject: &Subject, seed: u64) {
    let mut workload = Workload::new(seed, subject.version > 10);
    for n in 0..TRANSACTIONS {
        let sql = if n % 20 == 19 {
            workload.shape_change()
        } else {
            workload.transaction()
        };
        if let Err(error) = subject.shop.sql.batch_execute(&sql).await {
            panic!("{}, seed {seed}: {error:?}\n{sql}", subject.name);
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn compare(subject: &Subject, data: &async_nats::Client, seed: u64) {
    let mirror = subject.server.client("mirror").await.unwrap();
    mirror.batch_execute(KINDS).await.unwrap();
    let stored = read_stream(data, &subject.shop.task).await.unwrap();
    assert!(
        stored.len() > 300,
        "{}: only {} messages",
        subject.name,
        stored.len()
    );
    replay(&stored, &mirror).await;
    let run = format!("seed {seed}");
    for table in TABLES {
        let query = format!("SELECT t::text FROM shop.{table} t ORDER BY 1");
        subject.is_mirrored(&mirror, table, &query, &run).await;
    }
}

#[tokio::test]
async fn every_version_replays_to_the_rows_that_it_holds() {
    let seed = seed();
    // Nothing else tells which run failed.
    eprintln!("ROWCAST_TEST_SEED={seed}");
    rowcast_testkit::init_tracing();
    let mut platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let by = |plugin| move |fetched| (fetched, plugin);
    let ways = FETCHED.map(by(Plugin::PgOutput)).into_iter();
    let ways = ways.chain(READ_AS_TEXT.map(by(Plugin::TestDecoding)));
    let subjects = join_all(ways.map(|(fetched, plugin)| start(fetched, plugin, &platform))).await;
    let writes = join_all(subjects.iter().map(|subject| write(subject, seed)));
    let crashes = crash(&mut platform, StdRng::seed_from_u64(seed));
    tokio::join!(writes, crashes);
    join_all(subjects.iter().map(Subject::is_confirmed)).await;
    let data = rowcast_e2e::data(&platform).await.unwrap();
    for subject in &subjects {
        compare(subject, &data, seed).await;
    }
}

/// Ends capture, and the broker with it every second time, while the sources are written to.
async fn crash(platform: &mut Platform, mut random: StdRng) {
    for crash in 0..CRASHES {
        let wait = Duration::from_millis(random.random_range(BETWEEN_CRASHES));
        tokio::time::sleep(wait).await;
        platform.kill("capture").await.unwrap();
        if crash % 2 == 1 {
            platform.nats.kill().await.unwrap();
            platform.nats.restart().await.unwrap();
        }
        platform.restart("capture").await.unwrap();
    }
}
