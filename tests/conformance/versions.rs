//! One platform, a source of every version, and crashes while they are written to.

use std::time::Duration;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Tracked};
use rowcast_proto::rest::Task;
use rowcast_proto::stream::source_object;
use rowcast_testkit::{Platform, Postgres, eventually, read_stream};

use crate::replay::replay;
use crate::workload::Workload;

/// Servers: a fetched major version, or that of this machine, which has 15 on Debian 12.
const FETCHED: [Option<u32>; 7] = [
    None,
    Some(10),
    Some(12),
    Some(14),
    Some(16),
    Some(17),
    Some(18),
];

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

/// The output plugin by which capture reads: that of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plugin {
    PgOutput,
    TestDecoding,
}

/// A source of one version, and a database beside it to replay into.
struct Subject {
    name: String,
    version: u32,
    plugin: Plugin,
    server: Postgres,
    shop: Tracked,
}

impl Subject {
    async fn start(fetched: Option<u32>, plugin: Plugin, platform: &Platform) -> Self {
        let server = match fetched {
            Some(major) => Box::pin(Postgres::start_version(major)).await.unwrap(),
            None => Box::pin(Postgres::start()).await.unwrap(),
        };
        let admin = server.client("postgres").await.unwrap();
        admin.batch_execute("CREATE DATABASE mirror").await.unwrap();
        let version: i32 = admin
            .query_one("SELECT current_setting('server_version_num')::int", &[])
            .await
            .unwrap()
            .get(0);
        let version = u32::try_from(version).unwrap() / 10_000;
        let shop = Tracked::create(platform, &admin, server.port(), KINDS)
            .await
            .unwrap();
        shop.precheck().await.unwrap();
        shop.purchase().await.unwrap();
        if plugin == Plugin::TestDecoding {
            // The precheck refuses such a slot on a server with pgoutput; the start takes it.
            let slot = source_object(&shop.task);
            let create =
                format!("SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')");
            shop.sql.query(&create, &[]).await.unwrap();
        }
        let _task: Task = shop.command("start").await.unwrap();
        shop.reaches(TaskState::Running).await;
        let subject = Self {
            name: format!("PostgreSQL {version} by {plugin:?}"),
            version,
            plugin,
            server,
            shop,
        };
        subject.is_read_by_its_plugin().await;
        subject
    }

    async fn is_read_by_its_plugin(&self) {
        let plugin = match self.plugin {
            Plugin::PgOutput => "pgoutput",
            Plugin::TestDecoding => "test_decoding",
        };
        let read_by = self
            .one(
                "SELECT string_agg(plugin, ', ') FROM pg_replication_slots WHERE database = 'shop'",
            )
            .await;
        assert_eq!(read_by, plugin, "{}", self.name);
    }

    async fn write(&self, seed: u64) {
        let mut workload = Workload::new(seed, self.version > 10);
        for n in 0..TRANSACTIONS {
            let sql = if n % 20 == 19 {
                workload.shape_change()
            } else {
                workload.transaction()
            };
            if let Err(error) = self.shop.sql.batch_execute(&sql).await {
                panic!("{}, seed {seed}: {error:?}\n{sql}", self.name);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    async fn is_confirmed(&self) {
        let end: String = self.one("SELECT pg_current_wal_lsn()::text").await;
        let query = format!(
            "SELECT bool_and(confirmed_flush_lsn >= '{end}')::text FROM pg_replication_slots"
        );
        let what = format!("{} is told that everything is safe", self.name);
        eventually(&what, PATIENCE, async || self.one(&query).await == "true").await;
    }

    async fn one(&self, query: &str) -> String {
        self.shop.sql.query_one(query, &[]).await.unwrap().get(0)
    }

    async fn compare(&self, data: &async_nats::Client, seed: u64) {
        let mirror = self.server.client("mirror").await.unwrap();
        mirror.batch_execute(KINDS).await.unwrap();
        let stored = read_stream(data, &self.shop.task).await.unwrap();
        assert!(
            stored.len() > 300,
            "{}: only {} messages",
            self.name,
            stored.len()
        );
        replay(&stored, &mirror).await;
        for table in TABLES {
            let query = format!("SELECT t::text FROM shop.{table} t ORDER BY 1");
            let rows = async |client: &tokio_postgres::Client| -> Vec<String> {
                client
                    .query(&query, &[])
                    .await
                    .unwrap()
                    .iter()
                    .map(|row| row.get(0))
                    .collect()
            };
            let (source, replayed) = (rows(&self.shop.sql).await, rows(&mirror).await);
            let different = source
                .iter()
                .zip(&replayed)
                .find(|(source, replayed)| source != replayed);
            assert!(
                source == replayed,
                "{}, seed {seed}, {table}: {} rows, replayed {}; first difference {different:?}",
                self.name,
                source.len(),
                replayed.len()
            );
        }
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
    let subjects =
        join_all(ways.map(|(fetched, plugin)| Subject::start(fetched, plugin, &platform))).await;
    let writes = join_all(subjects.iter().map(|subject| subject.write(seed)));
    let crashes = crash(&mut platform, StdRng::seed_from_u64(seed));
    tokio::join!(writes, crashes);
    join_all(subjects.iter().map(Subject::is_confirmed)).await;
    let data = rowcast_e2e::data(&platform).await.unwrap();
    for subject in &subjects {
        subject.compare(&data, seed).await;
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
