//! One platform, a source of every version, and crashes while they are written to.

use std::time::Duration;

use futures::future::join_all;
use rowcast_e2e::{PATIENCE, Tracked};
use rowcast_testkit::{Platform, Postgres, eventually, read_stream};
use tokio_util::sync::CancellationToken;

use crate::replay::replay;
use crate::workload::Workload;

/// Major versions beside the one of this machine.
const VERSIONS: [u32; 6] = [10, 12, 14, 16, 17, 18];

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

const CRASHES: u32 = 3;

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

/// A source of one version, and a database beside it to replay into.
struct Subject {
    version: u32,
    server: Postgres,
    shop: Tracked,
}

impl Subject {
    async fn start(version: u32, platform: &Platform) -> Self {
        let server = Box::pin(Postgres::start_version(version)).await.unwrap();
        let admin = server.client("postgres").await.unwrap();
        admin.batch_execute("CREATE DATABASE mirror").await.unwrap();
        let shop = Tracked::create(platform, &admin, server.port(), KINDS)
            .await
            .unwrap();
        shop.run().await.unwrap();
        Self {
            version,
            server,
            shop,
        }
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
                panic!("PostgreSQL {}, seed {seed}: {error:?}\n{sql}", self.version);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    async fn is_confirmed(&self) {
        let end: String = self.one("SELECT pg_current_wal_lsn()::text").await;
        let query = format!(
            "SELECT bool_and(confirmed_flush_lsn >= '{end}')::text FROM pg_replication_slots"
        );
        let what = format!(
            "PostgreSQL {} is told that everything is safe",
            self.version
        );
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
            "PostgreSQL {}: only {} messages",
            self.version,
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
                "PostgreSQL {}, seed {seed}, {table}: {} rows, replayed {}; first difference {different:?}",
                self.version,
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
    let subjects = join_all(VERSIONS.map(|version| Subject::start(version, &platform))).await;
    let written = CancellationToken::new();
    let writes = async {
        join_all(subjects.iter().map(|subject| subject.write(seed))).await;
        written.cancel();
    };
    let crashes = async {
        for crash in 0..CRASHES {
            tokio::time::sleep(Duration::from_secs(3)).await;
            platform.kill("capture").await.unwrap();
            if crash == 1 {
                platform.nats.kill().await.unwrap();
                platform.nats.restart().await.unwrap();
            }
            platform.restart("capture").await.unwrap();
        }
    };
    tokio::join!(writes, crashes);
    join_all(subjects.iter().map(Subject::is_confirmed)).await;
    let data = rowcast_e2e::data(&platform).await.unwrap();
    for subject in &subjects {
        subject.compare(&data, seed).await;
    }
}
