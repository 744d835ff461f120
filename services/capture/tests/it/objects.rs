//! Other objects for a running task: at one LSN, without a restart, nothing lost and nothing too much.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rowcast_domain::Lsn;
use rowcast_proto::message::{CaptureState, DesiredState, ObjectSelection, SchemaSelection};
use rowcast_proto::stream::source_object;
use rowcast_testkit::{Postgres, connect, eventually, rows_in_order};
use tokio::task::JoinHandle;

use crate::world::{PATIENCE, World};

const SHOP: &str = "CREATE SCHEMA shop;
    CREATE TABLE shop.a (n int PRIMARY KEY);
    CREATE TABLE shop.b (n int PRIMARY KEY);
    CREATE TABLE shop.c (n int PRIMARY KEY);";

/// As `SHOP`, owned by a role that may replicate and nothing more.
const OWNED: &str = "CREATE ROLE tracker LOGIN REPLICATION;
    GRANT CREATE ON DATABASE postgres TO tracker;
    SET ROLE tracker;
    CREATE SCHEMA shop;
    CREATE TABLE shop.a (n int PRIMARY KEY);
    CREATE TABLE shop.b (n int PRIMARY KEY);
    CREATE TABLE shop.c (n int PRIMARY KEY);
    RESET ROLE;";

fn tables(names: &[&str]) -> ObjectSelection {
    let schema = SchemaSelection {
        name: "shop".to_owned(),
        tables: names.iter().map(|&name| name.to_owned()).collect(),
        ..SchemaSelection::default()
    };
    ObjectSelection {
        schemas: vec![schema],
        ..ObjectSelection::default()
    }
}

fn everything() -> ObjectSelection {
    ObjectSelection {
        all: true,
        ..ObjectSelection::default()
    }
}

impl World {
    /// Logs in as `tracker` from now on.
    async fn use_tracker(&mut self) {
        let password = self.postgres.password().to_owned();
        self.sql
            .batch_execute(&format!("ALTER ROLE tracker PASSWORD '{password}'"))
            .await
            .unwrap();
        let source = self.wish.source.as_mut().unwrap();
        source.account = "tracker".to_owned();
    }

    async fn track(&mut self, objects: ObjectSelection) {
        self.wish.objects = Some(objects);
        self.desire(DesiredState::Running).await;
    }

    /// Where the objects of the present wish begin to apply, once they do.
    async fn in_force(&self, before: Lsn) -> Lsn {
        let mut since = before;
        let limit = tokio::time::timeout(PATIENCE, async {
            while since == before || since == Lsn::INVALID {
                tokio::time::sleep(Duration::from_millis(50)).await;
                since = self.since().await;
            }
        });
        if limit.await.is_err() {
            panic!("{:?}\n{}", self.status().await, self.log());
        }
        since
    }

    async fn since(&self) -> Lsn {
        let status = self.status().await.unwrap();
        status.objects_since.parse().unwrap_or(Lsn::INVALID)
    }

    /// Tables by the commit LSN of the transaction that changed them.
    async fn transactions(&self) -> BTreeMap<Lsn, BTreeSet<String>> {
        let stored = self.stream(1).await;
        let mut transactions: BTreeMap<Lsn, BTreeSet<String>> = BTreeMap::new();
        for row in rows_in_order(&stored) {
            let tables = transactions.entry(row.lsn).or_default();
            assert!(
                tables.insert(row.table.clone().unwrap()),
                "{row:?} is told twice"
            );
        }
        transactions
    }
}

/// Writes a row into each of the three tables, transaction after transaction.
struct Writer {
    stop: Arc<AtomicBool>,
    work: JoinHandle<usize>,
}

impl Writer {
    fn start(postgres: &Postgres) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let dsn = postgres.dsn("postgres");
        #[expect(clippy::disallowed_methods, reason = "a test has no supervised tasks")]
        let work = tokio::spawn(async move {
            let sql = connect(&dsn).await.unwrap();
            let mut written = 0;
            while !stopped.load(Ordering::Relaxed) {
                written += 1;
                let statements = format!(
                    "INSERT INTO shop.a VALUES ({written}); INSERT INTO shop.b VALUES ({written});
                     INSERT INTO shop.c VALUES ({written})"
                );
                sql.batch_execute(&statements).await.unwrap();
                // A change takes effect where the stream is: a backlog would only delay it.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            written
        });
        Self { stop, work }
    }

    /// How many transactions it has written.
    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.work.await.unwrap()
    }
}

/// Every transaction has exactly the tables that were tracked when it committed.
fn follows(
    transactions: &BTreeMap<Lsn, BTreeSet<String>>,
    since: Lsn,
    before: &[&str],
    after: &[&str],
) {
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let (before, after): (BTreeSet<String>, BTreeSet<String>) = (set(before), set(after));
    for (lsn, tables) in transactions {
        let expected = if *lsn < since { &before } else { &after };
        assert_eq!(tables, expected, "at {lsn}, the objects changed at {since}");
    }
    assert!(
        transactions.keys().any(|lsn| *lsn < since),
        "nothing before {since}"
    );
    assert!(
        transactions.keys().any(|lsn| *lsn >= since),
        "nothing after {since}"
    );
}

#[tokio::test]
async fn other_tables_are_told_from_one_transaction_to_the_next() {
    let mut world = World::new(OWNED).await;
    world.use_tracker().await;
    world.start_capture();
    world.track(tables(&["a", "b"])).await;
    world.reaches(CaptureState::Running).await;
    let writer = Writer::start(&world.postgres);
    // Open across the change: the source decodes it by the old publication and by the new one.
    let open = world.postgres.client("postgres").await.unwrap();
    open.batch_execute("BEGIN; INSERT INTO shop.a VALUES (-1); INSERT INTO shop.b VALUES (-1); INSERT INTO shop.c VALUES (-1)")
        .await
        .unwrap();
    world.stream(20).await;
    world.track(tables(&["b", "c"])).await;
    let publication = source_object(&world.task);
    eventually("the publication is widened", PATIENCE, async || {
        let query = format!(
            "SELECT count(*)::text FROM pg_publication_tables WHERE pubname = '{publication}'"
        );
        world.one(&query).await == "3"
    })
    .await;
    eventually("the task says what it waits for", PATIENCE, async || {
        !world.status().await.unwrap().warnings.is_empty()
    })
    .await;
    assert_eq!(world.since().await, Lsn::INVALID);
    open.batch_execute("COMMIT").await.unwrap();
    let since = world.in_force(Lsn::INVALID).await;
    let length = world.stream(1).await.len() as u64;
    world.stream(length + 20).await;
    let written = writer.stop().await + 1;
    eventually("every transaction is told", PATIENCE, async || {
        world.transactions().await.len() == written
    })
    .await;
    follows(&world.transactions().await, since, &["a", "b"], &["b", "c"]);
    let query = format!(
        "SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_publication_tables WHERE pubname = '{publication}'"
    );
    eventually("the publication is narrowed", PATIENCE, async || {
        world.one(&query).await == "b,c"
    })
    .await;
    assert!(!world.log().contains("interrupted"), "{}", world.log());
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_change_changes_nothing_of_it() {
    let mut world = World::streaming(SHOP).await;
    let sets: [(&[&str], ObjectSelection); 4] = [
        (&["a", "b"], tables(&["a", "b"])),
        (&["a", "b", "c"], everything()),
        (&["c"], tables(&["c"])),
        (&["b"], tables(&["b"])),
    ];
    let writer = Writer::start(&world.postgres);
    let mut switches = vec![(Lsn::INVALID, ["a", "b", "c"].map(str::to_owned).to_vec())];
    for (round, (names, objects)) in sets.into_iter().enumerate() {
        world.track(objects).await;
        // Each time a little later: in every step of the change once.
        tokio::time::sleep(Duration::from_millis(150 * round as u64)).await;
        world.kill_capture().await;
        world.start_capture();
        let (last, _) = switches.last().unwrap();
        let since = world.in_force(*last).await;
        world.everything_is_confirmed().await;
        switches.push((since, names.iter().map(|&name| name.to_owned()).collect()));
    }
    let written = writer.stop().await;
    eventually("every transaction is told", PATIENCE, async || {
        world.transactions().await.len() == written
    })
    .await;
    for (lsn, told) in world.transactions().await {
        let (_, expected) = switches.iter().rfind(|(since, _)| *since <= lsn).unwrap();
        let told: Vec<String> = told.into_iter().collect();
        assert_eq!(&told, expected, "at {lsn}: {switches:?}");
    }
}

#[tokio::test]
async fn a_new_table_joins_a_schema_without_a_superuser() {
    let mut world = World::new(OWNED).await;
    world.use_tracker().await;
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    let publication = source_object(&world.task);
    world
        .sql
        .batch_execute(
            "SET ROLE tracker; CREATE TABLE shop.d (n int PRIMARY KEY); CREATE TABLE shop.keyless (n int); RESET ROLE",
        )
        .await
        .unwrap();
    let listed = |table: &str| {
        format!(
            "SELECT count(*)::text FROM pg_publication_tables WHERE pubname = '{publication}' AND tablename = '{table}'"
        )
    };
    eventually("the table joins", PATIENCE, async || {
        world.one(&listed("d")).await == "1"
    })
    .await;
    // PostgreSQL would refuse the application's own UPDATE if this one had joined.
    world
        .sql
        .batch_execute("INSERT INTO shop.keyless VALUES (1); UPDATE shop.keyless SET n = 2; INSERT INTO shop.d VALUES (7)")
        .await
        .unwrap();
    let stored = world.stream(2).await;
    let rows = rows_in_order(&stored);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].table.as_deref(), Some("d"));
    eventually("the other is named", PATIENCE, async || {
        let warnings = world.status().await.unwrap().warnings;
        warnings
            .iter()
            .any(|warning| warning.contains("shop.keyless"))
    })
    .await;
    world
        .sql
        .batch_execute("ALTER TABLE shop.keyless REPLICA IDENTITY FULL")
        .await
        .unwrap();
    eventually("it joins with an identity", PATIENCE, async || {
        world.one(&listed("keyless")).await == "1"
    })
    .await;
    eventually("the warning is gone", PATIENCE, async || {
        world.status().await.unwrap().warnings.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_table_that_is_renamed_stays_and_patterns_take_new_ones() {
    let mut world = World::new(SHOP).await;
    world.start_capture();
    let mut objects = tables(&["a"]);
    objects.schemas[0].patterns = vec!["log_*".to_owned()];
    world.track(objects).await;
    world.reaches(CaptureState::Running).await;
    world
        .sql
        .batch_execute(
            "ALTER TABLE shop.a RENAME TO z; CREATE TABLE shop.log_1 (n int PRIMARY KEY); INSERT INTO shop.z VALUES (1)",
        )
        .await
        .unwrap();
    world.stream(2).await;
    let publication = source_object(&world.task);
    let query = format!(
        "SELECT count(*)::text FROM pg_publication_tables WHERE pubname = '{publication}' AND tablename = 'log_1'"
    );
    eventually("the new table joins", PATIENCE, async || {
        world.one(&query).await == "1"
    })
    .await;
    world
        .sql
        .batch_execute("INSERT INTO shop.log_1 VALUES (1); INSERT INTO shop.b VALUES (1); INSERT INTO shop.z VALUES (2)")
        .await
        .unwrap();
    let stored = world.stream(5).await;
    let told: Vec<&str> = rows_in_order(&stored)
        .iter()
        .map(|row| row.table.as_deref().unwrap())
        .collect();
    assert_eq!(told, ["z", "log_1", "z"]);
}
