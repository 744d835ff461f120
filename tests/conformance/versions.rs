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

use crate::compare::assert_same;
use crate::replay::{assert_whole, mirrored, replay};
use crate::workload::{EXTENSIONS, Means, SOURCE_ALONE, Step, Workload, added, edges, more};

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

const KINDS: &str = include_str!("../fixtures/kinds.sql");

/// Between two transactions, so that the crashes come while there is work.
const PACE: Duration = Duration::from_millis(120);

const TRANSACTIONS: u32 = 120;

/// One of so many is a change of a shape.
const SHAPE_CHANGES: u32 = 5;

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
    plugin: Plugin,
    server: Postgres,
    shop: Tracked,
    means: Means,
    /// SQL for what this version has beyond [`KINDS`].
    additions: String,
}

impl Subject {
    async fn start(fetched: Option<u32>, plugin: Plugin, platform: &Platform) -> Self {
        let mut server = match fetched {
            Some(major) => Box::pin(Postgres::start_version(major)).await.unwrap(),
            None => Box::pin(Postgres::start()).await.unwrap(),
        };
        let admin = server.client("postgres").await.unwrap();
        let prepared = "ALTER SYSTEM SET max_prepared_transactions = 10";
        admin.batch_execute(prepared).await.unwrap();
        server.restart().await.unwrap();
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
        let (means, additions) = more_kinds(&server, version, plugin).await;
        shop.sql.batch_execute(SOURCE_ALONE).await.unwrap();
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
            plugin,
            server,
            shop,
            means,
            additions,
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
        let mut workload = Workload::new(seed, self.means.clone());
        for n in 0..TRANSACTIONS {
            let steps = if n % SHAPE_CHANGES == SHAPE_CHANGES - 1 {
                workload.shape_change()
            } else {
                vec![Step::Sql(workload.transaction())]
            };
            for step in steps {
                self.take(step, seed).await;
            }
            tokio::time::sleep(PACE).await;
        }
    }

    async fn take(&self, step: Step, seed: u64) {
        match step {
            Step::Sql(sql) => {
                if let Err(error) = self.shop.sql.batch_execute(&sql).await {
                    panic!("{}, seed {seed}: {error:?}\n{sql}", self.name);
                }
            }
            Step::Joined(table) => {
                let query = format!(
                    "SELECT count(*)::text FROM pg_publication_tables
                     WHERE schemaname = 'shop' AND tablename = '{table}'"
                );
                let what = format!("{}: {table} joins", self.name);
                eventually(&what, PATIENCE, async || self.one(&query).await == "1").await;
            }
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
        let tables = mirrored(KINDS) + &self.additions;
        mirror.batch_execute(&tables).await.unwrap();
        let stored = read_stream(data, &self.shop.task).await.unwrap();
        assert!(
            stored.len() > 300,
            "{}: only {} messages",
            self.name,
            stored.len()
        );
        assert_whole(&stored);
        let name = format!("{}, seed {seed}", self.name);
        replay(&stored, &mirror, &name).await;
        assert_same(&self.shop.sql, &mirror, &name).await;
    }
}

/// Adds the columns that this server can have; what it can do, and the SQL that added them.
async fn more_kinds(server: &Postgres, version: u32, plugin: Plugin) -> (Means, String) {
    let admin = server.client("shop").await.unwrap();
    let mut extensions = Vec::new();
    for extension in EXTENSIONS {
        let create = format!("CREATE EXTENSION {extension};");
        if admin.batch_execute(&create).await.is_ok() {
            extensions.push(extension);
        }
    }
    let xml = admin.batch_execute("SELECT '<a/>'::xml").await.is_ok();
    let more = more(version, &extensions, xml);
    let added = added(&more);
    admin.batch_execute(&added).await.unwrap();
    let created = extensions
        .iter()
        .map(|extension| format!("CREATE EXTENSION {extension};"));
    let additions = created.collect::<String>() + &added;
    let means = Means {
        version,
        shapes_of_then: plugin == Plugin::PgOutput,
        columns: edges(&more),
    };
    (means, additions)
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
