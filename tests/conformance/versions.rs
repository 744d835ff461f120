//! One platform, a source of every version, and crashes while they are written to.

use std::time::Duration;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_e2e::PATIENCE;
use rowcast_testkit::{Platform, Stored, eventually, read_stream};
use serde_json::json;

use crate::compare::assert_same;
use crate::replay::{assert_whole, mirrored, replay};
use crate::subject::{FETCHED, Plugin, Server, Subject};
use crate::workload::{
    EXTENSIONS, Means, SOURCE_ALONE, Step, Workload, added, edges, more, partitioned,
};

/// Those that are read by `test_decoding` as well.
const READ_AS_TEXT: [Option<u32>; 2] = [None, Some(10)];

const KINDS: &str = include_str!("../fixtures/kinds.sql");

/// Between two transactions, so that the crashes come while there is work.
const PACE: Duration = Duration::from_millis(120);

const TRANSACTIONS: u32 = 120;

/// One of so many is a change of a shape.
const SHAPE_CHANGES: u32 = 5;

/// First version that tells schema changes by logical messages, where capture reads them by `pgoutput`.
const MESSAGES_SINCE: u32 = 14;

const SCHEMA_COMMANDS: [&str; 4] = ["ALTER TABLE", "CREATE TABLE", "DROP TABLE", "ALTER TYPE"];

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

/// A source of one version, with what it has beyond the others.
struct Checked {
    subject: Subject,
    means: Means,
    /// SQL for what this version has beyond [`KINDS`].
    additions: String,
    tells_schema_changes: bool,
}

impl Checked {
    async fn start(fetched: Option<u32>, plugin: Plugin, platform: &Platform) -> Self {
        let prepared = ["max_prepared_transactions = 10"];
        let server = Box::pin(Server::start(fetched, &prepared)).await;
        let tells_schema_changes = plugin == Plugin::PgOutput || server.version < MESSAGES_SINCE;
        let wanted = json!({"change_types": {"schema": tells_schema_changes}});
        let subject = Box::pin(Subject::create(server, plugin, platform, KINDS, &wanted)).await;
        let (means, additions) = more_kinds(&subject).await;
        let alone = format!("{SOURCE_ALONE}{}", partitioned(subject.version));
        subject.shop.sql.batch_execute(&alone).await.unwrap();
        if tells_schema_changes {
            subject.tells_schema_changes().await;
        }
        subject.start().await;
        Self {
            subject,
            means,
            additions,
            tells_schema_changes,
        }
    }

    /// Writes; gives the tags of the commands that changed the schema.
    async fn write(&self, seed: u64) -> Vec<&'static str> {
        let mut commands = Vec::new();
        let mut workload = Workload::new(seed, self.means.clone());
        for n in 0..TRANSACTIONS {
            let steps = if n % SHAPE_CHANGES == SHAPE_CHANGES - 1 {
                workload.shape_change()
            } else {
                vec![Step::Sql(workload.transaction())]
            };
            for step in steps {
                if let Step::Sql(sql) = &step {
                    commands.extend(schema_changes(sql));
                }
                self.take(step, seed).await;
            }
            tokio::time::sleep(PACE).await;
        }
        commands
    }

    async fn take(&self, step: Step, seed: u64) {
        match step {
            Step::Sql(sql) => {
                if let Err(error) = self.subject.shop.sql.batch_execute(&sql).await {
                    panic!("{}, seed {seed}: {error:?}\n{sql}", self.subject.name);
                }
            }
            Step::Joined(table) => {
                let query = format!(
                    "SELECT count(*)::text FROM pg_publication_tables
                     WHERE schemaname = 'shop' AND tablename = '{table}'"
                );
                let what = format!("{}: {table} joins", self.subject.name);
                eventually(&what, PATIENCE, async || {
                    self.subject.one(&query).await == "1"
                })
                .await;
            }
        }
    }

    async fn compare(&self, data: &async_nats::Client, seed: u64, commands: &[&str]) {
        let mirror = self.subject.server.client("mirror").await.unwrap();
        let tables = mirrored(KINDS) + &self.additions;
        mirror.batch_execute(&tables).await.unwrap();
        let stored = read_stream(data, &self.subject.shop.task).await.unwrap();
        assert!(
            stored.len() > 300,
            "{}: only {} messages",
            self.subject.name,
            stored.len()
        );
        // `test_decoding` sends all tables, so that what is not told is counted: the log of schema changes.
        if self.subject.plugin == Plugin::PgOutput {
            assert_whole(&stored);
        }
        let name = format!("{}, seed {seed}", self.subject.name);
        if self.tells_schema_changes {
            assert_eq!(told_schema_changes(&stored), commands, "{name}");
        }
        replay(&stored, &mirror, &name).await;
        assert_same(&self.subject.shop.sql, &mirror, &name).await;
    }
}

/// Tags of the commands among these statements that change the schema.
fn schema_changes(sql: &str) -> Vec<&'static str> {
    let statements = sql.split(';').map(str::trim_start);
    statements
        .filter_map(|statement| {
            SCHEMA_COMMANDS
                .into_iter()
                .find(|tag| statement.starts_with(tag))
        })
        .collect()
}

/// The same of what is told; that a key has an index is told beside it.
fn told_schema_changes(stored: &[Stored]) -> Vec<&str> {
    let events = stored
        .iter()
        .filter_map(|message| message.change.ddl.as_ref());
    events
        .map(|ddl| ddl.command.as_str())
        .filter(|command| SCHEMA_COMMANDS.contains(command))
        .collect()
}

/// Adds the columns that this server can have; what it can do, and the SQL that added them.
async fn more_kinds(subject: &Subject) -> (Means, String) {
    let Subject {
        version,
        plugin,
        server,
        ..
    } = subject;
    let (version, plugin) = (*version, *plugin);
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
        join_all(ways.map(|(fetched, plugin)| Checked::start(fetched, plugin, &platform))).await;
    let writes = join_all(subjects.iter().map(|subject| subject.write(seed)));
    let crashes = crash(&mut platform, StdRng::seed_from_u64(seed));
    let (commands, ()) = tokio::join!(writes, crashes);
    join_all(
        subjects
            .iter()
            .map(|checked| checked.subject.is_confirmed()),
    )
    .await;
    let data = rowcast_e2e::data(&platform).await.unwrap();
    for (subject, commands) in subjects.iter().zip(&commands) {
        subject.compare(&data, seed, commands).await;
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
