//! Transactions of every kind, and a checker that knows each of them: nothing is lost, nothing comes
//! twice or out of order, and no transaction is torn.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::SinkExt as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_proto::change::{Change, Operation, Row};
use rowcast_testkit::{Postgres, Proxy, Stored, read_stream, rows_in_order};
use tokio_postgres::{Client, Error};
use tokio_util::sync::CancellationToken;

use crate::world::{PATIENCE, World};

/// Each transaction has a number, writes it into its rows, and says beside them, in a table that is not
/// tracked, how many changes it has made.
pub(crate) const TABLES: &str = "CREATE SCHEMA shop; CREATE SCHEMA journal;
    CREATE TABLE shop.entries (tx bigint, n int, word text, PRIMARY KEY (tx, n));
    CREATE TABLE journal.committed (tx bigint PRIMARY KEY, changes bigint);";

const WRITERS: i64 = 2;

/// Numbers of one writer.
const RANGE: i64 = 1_000_000;

/// The last transaction, after all others.
const BARRIER: i64 = -1;

/// Time between two transactions of a writer.
const PACE: Duration = Duration::from_millis(10);

/// Writers that go on over crashes of the server, until it is enough.
pub(crate) struct Load {
    url: String,
    seed: u64,
    enough: CancellationToken,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a failed run is repeated by its seed"
)]
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("ROWCAST_TEST_SEED")
        .ok()
        .map(|text| {
            let seed = text.parse::<u64>();
            seed.unwrap_or_else(|error| panic!("ROWCAST_TEST_SEED='{text}': {error}"))
        })
        .unwrap_or_else(rand::random);
    eprintln!("ROWCAST_TEST_SEED={seed}");
    seed
}

impl Load {
    pub(crate) fn new(source: &Postgres) -> Self {
        Self {
            url: source.dsn("postgres"),
            seed: seed(),
            enough: CancellationToken::new(),
        }
    }

    /// As [`Load::new`], over a link to the source.
    pub(crate) fn over(link: &Proxy, source: &Postgres) -> Self {
        let direct = format!(":{}/", source.port());
        let url = source.dsn("postgres");
        Self {
            url: url.replace(&direct, &format!(":{}/", link.port())),
            ..Self::new(source)
        }
    }

    /// Writes while `story` goes on.
    pub(crate) async fn during<T>(&self, story: impl Future<Output = T>) -> T {
        let story = async {
            let told = story.await;
            self.enough.cancel();
            told
        };
        let writers = futures::future::join_all((0..WRITERS).map(|writer| self.write(writer)));
        let (told, _) = tokio::join!(story, writers);
        told
    }

    async fn write(&self, writer: i64) {
        let mut random = StdRng::seed_from_u64(self.seed ^ writer.unsigned_abs());
        let mut tx = writer * RANGE;
        while !self.enough.is_cancelled() {
            let Ok(sql) = rowcast_testkit::connect(&self.url).await else {
                tokio::time::sleep(PACE).await;
                continue;
            };
            while !self.enough.is_cancelled() {
                tx += 1;
                if let Err(error) = transaction(&sql, tx, &mut random).await {
                    let code = error.code().map(|code| code.code().to_owned());
                    let down = code.as_ref().is_none_or(|code| code.starts_with("57P"));
                    assert!(down, "{error:?}");
                    break;
                }
                tokio::time::sleep(PACE).await;
            }
        }
    }

    /// Waits until the stream holds everything, and looks at every message.
    pub(crate) async fn is_told(&self, world: &World) {
        let sql = rowcast_testkit::connect(&self.url).await.unwrap();
        sql.batch_execute(&commit(BARRIER, &insert(BARRIER, 1), 1))
            .await
            .unwrap();
        let stored = up_to_barrier(world).await;
        let rows = rows_in_order(&stored);
        let mut told = BTreeMap::new();
        for run in rows.chunk_by(|a, b| number(a) == number(b)) {
            let tx = number(run[0]);
            let torn = told.insert(tx, run.len()).is_some();
            assert!(!torn, "{tx} comes in two pieces");
            for (index, change) in run.iter().enumerate() {
                assert_eq!(change.ordinal, index as u64 + 1, "{change:?}");
                assert_eq!((change.lsn, change.xid), (run[0].lsn, run[0].xid), "{tx}");
            }
        }
        let committed: BTreeMap<i64, usize> = sql
            .query("SELECT tx, changes FROM journal.committed", &[])
            .await
            .unwrap()
            .iter()
            .map(|row| (row.get(0), usize::try_from(row.get::<_, i64>(1)).unwrap()))
            .collect();
        assert!(committed.len() > 50, "{} transactions", committed.len());
        assert_eq!(told, committed);
        assert_eq!(replayed(&rows), present(&sql).await);
    }
}

async fn up_to_barrier(world: &World) -> Vec<Stored> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let stored = read_stream(&world.data, &world.task).await.unwrap();
        let mut from_end = stored.iter().rev();
        let is_row = |stored: &&Stored| stored.change.op == Operation::Insert;
        if from_end
            .find(is_row)
            .is_some_and(|last| number(&last.change) == BARRIER)
        {
            return stored;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the end does not come; {:?}\n{}",
            world.status().await,
            world.log()
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn key(row: &Row) -> (i64, i64) {
    (row["tx"].as_i64().unwrap(), row["n"].as_i64().unwrap())
}

/// The transaction that a change belongs to.
fn number(change: &Change) -> i64 {
    key(change.key.as_ref().unwrap()).0
}

/// The table that the stream gives.
fn replayed(rows: &[&Change]) -> BTreeMap<(i64, i64), String> {
    let mut table = BTreeMap::new();
    for change in rows {
        let old = change.before.as_ref().or(change.key.as_ref());
        if change.op != Operation::Insert {
            assert!(table.remove(&key(old.unwrap())).is_some(), "{change:?}");
        }
        if let Some(after) = &change.after {
            let word = after["word"].as_str().unwrap().to_owned();
            assert!(table.insert(key(after), word).is_none(), "{change:?}");
        }
    }
    table
}

async fn present(sql: &Client) -> BTreeMap<(i64, i64), String> {
    let rows = sql
        .query("SELECT tx, n::bigint, word FROM shop.entries", &[])
        .await
        .unwrap();
    rows.iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect()
}

fn insert(tx: i64, rows: i64) -> String {
    format!(
        "INSERT INTO shop.entries SELECT {tx}, n, 'word ' || n FROM generate_series(1, {rows}) n"
    )
}

fn commit(tx: i64, statements: &str, changes: i64) -> String {
    format!("BEGIN; {statements}; INSERT INTO journal.committed VALUES ({tx}, {changes}); COMMIT")
}

async fn transaction(sql: &Client, tx: i64, random: &mut StdRng) -> Result<(), Error> {
    let rows: i64 = random.random_range(2..=20);
    let inserted = insert(tx, rows);
    let statements = match random.random_range(0..7) {
        0 => commit(tx, &insert(tx, 1), 1),
        1 => commit(tx, &inserted, rows),
        2 => commit(
            tx,
            &format!(
                "{inserted}; SAVEPOINT a; INSERT INTO shop.entries VALUES ({tx}, 100, 'undone');
                 ROLLBACK TO a; SAVEPOINT b; INSERT INTO shop.entries VALUES ({tx}, 101, 'kept'); RELEASE b"
            ),
            rows + 1,
        ),
        3 => commit(
            tx,
            &format!("{inserted}; UPDATE shop.entries SET n = n + 1000 WHERE tx = {tx} AND n <= 2"),
            rows + 2,
        ),
        4 => commit(
            tx,
            &format!(
                "{inserted}; UPDATE shop.entries SET word = 'other' WHERE tx = {tx} AND n = 1;
                 DELETE FROM shop.entries WHERE tx = {tx} AND n = 2"
            ),
            rows + 2,
        ),
        5 => commit(tx, &inserted, rows).replace("COMMIT", "ROLLBACK"),
        _ => return copy(sql, tx, rows).await,
    };
    sql.batch_execute(&statements).await
}

async fn copy(sql: &Client, tx: i64, rows: i64) -> Result<(), Error> {
    sql.batch_execute("BEGIN").await?;
    let sink = sql.copy_in("COPY shop.entries FROM STDIN").await?;
    tokio::pin!(sink);
    let text: String = (1..=rows).map(|n| format!("{tx}\t{n}\tcopied\n")).collect();
    sink.send(bytes::Bytes::from(text)).await?;
    sink.close().await?;
    let journal = format!("INSERT INTO journal.committed VALUES ({tx}, {rows}); COMMIT");
    sql.batch_execute(&journal).await
}
