//! A writer of transactions, and what the stream must hold of them: nothing lost, nothing twice, positions
//! that rise, and no transaction in part.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_domain::{Lsn, Position};
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::stream::{source_object, task_stream};
use rowcast_testkit::{Postgres, Stored, connect, read_stream, rows_in_order};
use tokio::task::JoinSet;

use crate::world::{Broker, PATIENCE, World};

/// `n` is the size of the transaction.
pub(crate) const LOAD: &str = "CREATE SCHEMA shop;
    CREATE TABLE shop.load (tx int, i int, n int, pad text, PRIMARY KEY (tx, i));";

/// Time between two transactions: a load that a test on two cores can also read again.
const PACE: Duration = Duration::from_millis(10);

/// Commits transactions until told to stop.
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicI32>,
    tasks: JoinSet<()>,
}

impl Writer {
    pub(crate) async fn start(postgres: &Postgres, seed: u64) -> Self {
        let sql = connect(&postgres.dsn("postgres")).await.unwrap();
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (told, count): (_, Arc<AtomicI32>) = (Arc::clone(&stop), Arc::clone(&written));
        let mut random = StdRng::seed_from_u64(seed);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while !told.load(Ordering::Relaxed) {
                let transaction = count.load(Ordering::Relaxed);
                // Mostly small ones, a batch of many, and now and then one that nearly fills a batch.
                let size = match random.random_range(0..100) {
                    0 => random.random_range(500..=900),
                    1..10 => random.random_range(20..=100),
                    _ => random.random_range(1..=8),
                };
                sql.batch_execute(&transaction_of(transaction, size))
                    .await
                    .unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PACE).await;
            }
        });
        Self {
            stop,
            written,
            tasks,
        }
    }

    /// Ends, and tells how many transactions there are.
    pub(crate) async fn stop(mut self) -> i32 {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_next().await.unwrap().unwrap();
        self.written.load(Ordering::Relaxed)
    }
}

/// A transaction of so many rows.
pub(crate) fn transaction_of(number: i32, size: i32) -> String {
    format!(
        "INSERT INTO shop.load
         SELECT {number}, i, {size}, repeat('x', 100) FROM generate_series(1, {size}) i"
    )
}

/// The end of a task's stream.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) sequence: u64,
    pub(crate) position: Position,
}

impl<B: Broker> World<B> {
    /// Waits until the stream has grown beyond `sequence`.
    pub(crate) async fn grows_beyond(&self, sequence: u64) -> u64 {
        let limit = tokio::time::timeout(PATIENCE, async {
            while self
                .last_sequence()
                .await
                .is_none_or(|last| last <= sequence)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        if limit.await.is_err() {
            panic!("the stream does not grow beyond {sequence}\n{}", self.log());
        }
        self.last_sequence().await.unwrap_or(sequence)
    }

    pub(crate) async fn last_sequence(&self) -> Option<u64> {
        let context = async_nats::jetstream::new(self.data.clone());
        let stream = context.get_stream(task_stream(&self.task)).await.ok()?;
        Some(stream.cached_info().state.last_sequence)
    }

    /// The end of the stream, which must be that of a transaction.
    pub(crate) async fn ends_whole(&self) -> End {
        let context = async_nats::jetstream::new(self.data.clone());
        let stream = context.get_stream(task_stream(&self.task)).await.unwrap();
        let sequence = stream.cached_info().state.last_sequence;
        let message = stream.get_raw_message(sequence).await.unwrap();
        let change: Change = serde_json::from_slice(&message.payload).unwrap();
        // A heartbeat stands between transactions.
        if change.op != Operation::Heartbeat {
            assert_eq!(change.op, Operation::Insert, "at {}", change.id);
            let row = change.after.as_ref().unwrap();
            assert_eq!(row["i"], row["n"], "a torn batch ends with {row:?}");
        }
        End {
            sequence,
            position: change.id,
        }
    }

    /// What was confirmed to PostgreSQL.
    pub(crate) async fn confirmed(&self) -> Lsn {
        let slot = source_object(&self.task);
        let query = format!(
            "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{slot}'"
        );
        self.one(&query).await.parse().unwrap()
    }

    /// Watches for so long that nothing is confirmed to PostgreSQL.
    pub(crate) async fn confirms_nothing_for(&self, time: Duration) {
        let before = self.confirmed().await;
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            assert_eq!(self.confirmed().await, before, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Once everything is confirmed: the stream holds every row of so many transactions, each once, in
    /// order. Gives the changes of rows.
    pub(crate) async fn holds_all(&self, transactions: i32) -> Vec<Change> {
        self.everything_is_confirmed().await;
        let stored = self.read_whole().await;
        let rows = rows_in_order(&stored);
        let mut expected = (0, 0);
        for row in &rows {
            let after = row.after.as_ref().unwrap();
            let (transaction, i, n) = (&after["tx"], &after["i"], &after["n"]);
            assert_eq!(
                (transaction, i),
                (&expected.0.into(), &(expected.1 + 1).into())
            );
            expected = if i == n {
                (expected.0 + 1, 0)
            } else {
                (expected.0, expected.1 + 1)
            };
        }
        assert_eq!(expected, (transactions, 0), "{} rows", rows.len());
        rows.into_iter().cloned().collect()
    }

    /// Reads the stream. In a cluster whose servers have just come back, a consumer that was made may have
    /// nobody who answers for it yet.
    async fn read_whole(&self) -> Vec<Stored> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            match read_stream(&self.data, &self.task).await {
                Err(error)
                    if error.to_string() == "no responders"
                        && tokio::time::Instant::now() < end =>
                {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                read => return read.unwrap(),
            }
        }
    }

    /// Every unknown outcome was followed by a look at the stream's tail before the task ran again. Gives how
    /// many there were.
    pub(crate) fn unknown_outcomes(&self) -> usize {
        let (mut unknown, mut in_doubt) = (0, false);
        let mut runs = 0;
        for line in without_colours(&self.log()).lines() {
            if line.contains("outcome unknown") {
                unknown += 1;
                in_doubt = true;
            } else if line.contains("tail read") {
                in_doubt = false;
            } else if line.contains(" running task=") {
                runs += 1;
                assert!(!in_doubt, "a blind retry: {line}\n{}", self.log());
            }
        }
        assert!(runs > 0, "the log has changed:\n{}", self.log());
        unknown
    }
}

/// A log without what makes it coloured (ECMA-48, "SGR").
fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_code, rest)| rest));
    }
    plain
}
