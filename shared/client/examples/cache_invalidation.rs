//! A cache of a table's rows in a process, which the table's changes keep right.
//!
//! ```sh
//! cargo run -p rowcast-client --example cache_invalidation -- connection.json password.txt \
//!     'host=127.0.0.1 dbname=shop user=reader password=…' public.orders id
//! ```
//!
//! The first file is the answer of `GET /tasks/{id}/groups/{gid}/connection` of an ordered group. Each process needs a group
//! of its own, for each must see every change. Then come the database, the table, and its key's one column. A key on a line
//! of standard input is answered with a line on standard output: `hit` or `miss`, and the row as JSON.
//!
//! Whoever changes a row need not know of the cache. What makes it right:
//!
//! - A row is read from the database where it is missed, and leaves the cache when a change of it comes; a change never puts
//!   anything in, so that changes that come again, or late, do no harm.
//! - A read that was under way when a change of its row came may have seen the row before it: what it found is answered and
//!   not kept.
//! - Whatever is not about one row (TRUNCATE, changes that are missing, another schema) empties the cache.
//! - A row is as old as the change is late, some milliseconds. Where no changes come, because the way to them is interrupted,
//!   [`MAX_AGE`] bounds it.
//! - A message that cannot be read may be about any row, and empties the cache. A change whose acknowledgement is lost comes again.
//!
//! It keeps [`MAX_ROWS`] rows at most, those that were read last: however many are asked for, it grows no further.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use rowcast_client::{Change, GroupCredentials, Operation, Secret, Subscription};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls};

/// How long a row is kept, whatever comes.
const MAX_AGE: Duration = Duration::from_secs(300);

/// Rows that are kept at most. A row that is in the table and one that is not count alike.
const MAX_ROWS: usize = 100_000;

/// Keys answered at a time.
const CONCURRENT: usize = 16;

/// Rows by key, as text: what a key looks like does not depend on where it was seen.
#[derive(Default)]
struct Cache {
    /// `None` for a row that is not in the table.
    rows: HashMap<String, (Option<String>, Instant)>,
    /// When which key was kept, oldest first. It may have been let go, or kept anew, since.
    kept: VecDeque<(String, Instant)>,
    /// The last read under way of each key; gone once a change of the row has come.
    reads: HashMap<String, u64>,
    /// Reads that were begun.
    begun: u64,
}

impl Cache {
    fn get(&self, key: &str) -> Option<&Option<String>> {
        let (row, kept) = self.rows.get(key)?;
        (kept.elapsed() < MAX_AGE).then_some(row)
    }

    fn begin(&mut self, key: &str) -> u64 {
        self.begun += 1;
        self.reads.insert(key.to_owned(), self.begun);
        self.begun
    }

    /// Keeps what a read has found, unless a change of it came meanwhile.
    fn end(&mut self, key: &str, read: u64, row: Option<String>) {
        if self.reads.get(key) == Some(&read) {
            self.reads.remove(key);
            let now = Instant::now();
            self.rows.insert(key.to_owned(), (row, now));
            self.kept.push_back((key.to_owned(), now));
            self.let_go();
        }
    }

    /// Lets go of what is too old, and of the oldest where there is too much.
    fn let_go(&mut self) {
        let rows = &mut self.rows;
        while let Some((key, kept)) = self.kept.pop_front() {
            if !is_kept(rows, &key, kept) {
                continue;
            }
            if rows.len() <= MAX_ROWS && kept.elapsed() < MAX_AGE {
                self.kept.push_front((key, kept));
                break;
            }
            rows.remove(&key);
        }
        // A row that is changed and read by turns takes no room from others.
        if self.kept.len() > 2 * rows.len() {
            self.kept.retain(|(key, kept)| is_kept(rows, key, *kept));
        }
    }

    fn invalidate(&mut self, key: &str) {
        self.rows.remove(key);
        self.reads.remove(key);
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.kept.clear();
        self.reads.clear();
    }
}

/// Whether the row is the one that was kept then.
fn is_kept(rows: &HashMap<String, (Option<String>, Instant)>, key: &str, kept: Instant) -> bool {
    rows.get(key).is_some_and(|(_row, at)| *at == kept)
}

/// A table behind its cache.
struct Table {
    /// As the task tells it, `public.orders`.
    name: String,
    key: String,
    cache: Mutex<Cache>,
    database: Client,
}

impl Table {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A row, and whether it was in the cache.
    async fn row(&self, key: &str) -> anyhow::Result<(bool, Option<String>)> {
        let read = {
            let mut cache = self.cache();
            if let Some(row) = cache.get(key) {
                return Ok((true, row.clone()));
            }
            cache.begin(key)
        };
        let (table, column) = (quoted(&self.name), quoted(&self.key));
        let query =
            format!("SELECT row_to_json(t)::text FROM {table} AS t WHERE {column}::text = $1");
        let row = self.database.query_opt(&query, &[&key]).await?;
        let row: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
        self.cache().end(key, read, row.clone());
        Ok((false, row))
    }

    /// What a change makes wrong.
    fn apply(&self, change: &Change) {
        let table = change.schema.as_deref().zip(change.table.as_deref());
        if table.is_some_and(|(schema, table)| format!("{schema}.{table}") != self.name) {
            return;
        }
        match change.op {
            Operation::Insert | Operation::Update | Operation::Delete => {
                // An update of the key is told of the new one; the old one is in the row before.
                for row in [&change.key, &change.before, &change.after] {
                    let value = row.as_ref().and_then(|row| row.get(&self.key));
                    match value {
                        Some(serde_json::Value::String(key)) => self.cache().invalidate(key),
                        Some(key) => self.cache().invalidate(&key.to_string()),
                        None => {}
                    }
                }
            }
            Operation::Truncate | Operation::Schema | Operation::Ddl | Operation::Gap => {
                self.cache().clear();
            }
            Operation::Begin
            | Operation::Commit
            | Operation::Heartbeat
            | Operation::Message
            | Operation::Part
            | Operation::Pack
            | Operation::Unknown => {}
        }
    }

    async fn follow(&self, credentials: GroupCredentials) -> anyhow::Result<()> {
        let mut changes = Subscription::connect(credentials).await?;
        while let Some(delivery) = changes.next().await {
            let delivery = match delivery {
                Ok(delivery) => delivery,
                Err(error) if error.is_final() => return Err(error.into()),
                Err(error) => {
                    // It may be about any row; the next acknowledgement covers it.
                    self.cache().clear();
                    eprintln!("{error}");
                    continue;
                }
            };
            self.apply(&delivery.change);
            match delivery.ack().await {
                Err(error) if error.is_final() => return Err(error.into()),
                // What is not acknowledged comes again, and does no harm.
                Ok(()) | Err(_) => {}
            }
        }
        anyhow::bail!("no more changes come")
    }

    async fn answer(&self, keys: mpsc::Receiver<String>) -> anyhow::Result<()> {
        let keys = futures::stream::unfold(keys, async |mut keys| Some((keys.recv().await?, keys)));
        let answers = keys.map(async |key| self.row(&key).await);
        let mut answers = Box::pin(answers.buffered(CONCURRENT));
        while let Some(answer) = answers.next().await {
            let (is_hit, row) = answer?;
            let found = if is_hit { "hit" } else { "miss" };
            let row = row.as_deref().unwrap_or("null");
            writeln!(std::io::stdout(), "{found} {row}")?;
        }
        Ok(())
    }
}

/// The lines of standard input, which a thread reads.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(CONCURRENT);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let connection = arguments.next().context("first the connection's file")?;
    let password = arguments.next().context("then the password's file")?;
    let database = arguments.next().context("then the database")?;
    let name = arguments
        .next()
        .context("then the table, as public.orders")?;
    let key = arguments.next().context("then the column of its key")?;
    let connection = serde_json::from_slice(&std::fs::read(connection)?)?;
    let password = Secret::new(std::fs::read_to_string(password)?.trim_end());
    let credentials = GroupCredentials::new(connection, password);

    let (database, driver) = tokio_postgres::connect(&database, NoTls).await?;
    let table = Table {
        name,
        key,
        cache: Mutex::default(),
        database,
    };
    tokio::select! {
        ended = async { Ok(driver.await?) } => ended,
        ended = table.follow(credentials) => ended,
        ended = table.answer(lines()) => ended,
    }
}

/// A name with its schema, each part quoted.
fn quoted(name: &str) -> String {
    let parts = name
        .split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")));
    parts.collect::<Vec<_>>().join(".")
}
