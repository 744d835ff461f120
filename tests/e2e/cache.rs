//! The example that keeps a cache right by the changes of its table.

use std::process::Stdio;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_e2e::{Group, PATIENCE, Shop, program};
use rowcast_testkit::eventually;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

const TABLE: &str = "CREATE TABLE shop.price (article int PRIMARY KEY, cents int NOT NULL)";

const ARTICLES: i32 = 10;

/// The example, asked over its standard input.
struct Cache {
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
    _folder: TempDir,
}

impl Cache {
    fn start(shop: &Shop, group: &Group) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = group.write_to(folder.path()).unwrap();
        let mut process = Command::new(program("examples/cache_invalidation").unwrap())
            .args(files)
            .arg(shop.platform.postgres.url("shop").expose())
            .args(["shop.price", "article"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            questions: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
            _folder: folder,
        }
    }

    async fn answer(&mut self) -> (String, Option<i64>) {
        let line = tokio::time::timeout(PATIENCE, self.answers.next_line());
        let line = line.await.unwrap().unwrap().unwrap();
        let (found, row) = line.split_once(' ').unwrap();
        let row: Value = serde_json::from_str(row).unwrap();
        (found.to_owned(), row["cents"].as_i64())
    }

    async fn ask(&mut self, article: i32) -> (String, Option<i64>) {
        self.ask_only(article).await;
        self.answer().await
    }

    async fn ask_only(&mut self, article: i32) {
        let line = format!("{article}\n");
        self.questions.write_all(line.as_bytes()).await.unwrap();
    }

    async fn price(&mut self, article: i32) -> Option<i64> {
        self.ask(article).await.1
    }
}

async fn price(shop: &Shop, article: i32) -> Option<i64> {
    let query = "SELECT cents::bigint FROM shop.price WHERE article = $1";
    let row = shop.sql.query_opt(query, &[&article]).await.unwrap();
    row.map(|row| row.get(0))
}

/// Writes that the cache is not told of.
async fn change(shop: &Shop, random: &mut StdRng) {
    let (article, cents) = (
        random.random_range(0..ARTICLES),
        random.random_range(0..9999),
    );
    let statement = match random.random_range(0..20) {
        0 => "TRUNCATE shop.price".to_owned(),
        1 => format!("DELETE FROM shop.price WHERE article = {article}"),
        2 => format!(
            "UPDATE shop.price SET article = {ARTICLES} - article
             WHERE article = {article} AND NOT EXISTS (SELECT FROM shop.price WHERE article = {ARTICLES} - {article})"
        ),
        _ => format!(
            "INSERT INTO shop.price VALUES ({article}, {cents})
             ON CONFLICT (article) DO UPDATE SET cents = excluded.cents"
        ),
    };
    shop.sql.batch_execute(&statement).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_is_right_soon_after_any_change() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    shop.sql.batch_execute(TABLE).await.unwrap();
    Box::pin(shop.run()).await.unwrap();
    let group = shop.group("cache").await.unwrap();
    let cache = Mutex::new(Cache::start(&shop, &group));

    shop.sql
        .batch_execute("INSERT INTO shop.price VALUES (1, 100)")
        .await
        .unwrap();
    eventually("the row is in the cache", PATIENCE, async || {
        cache.lock().await.ask(1).await == ("hit".to_owned(), Some(100))
    })
    .await;
    shop.sql
        .batch_execute("UPDATE shop.price SET cents = 200")
        .await
        .unwrap();
    eventually("the change is seen", PATIENCE, async || {
        cache.lock().await.price(1).await == Some(200)
    })
    .await;

    for _round in 0..10 {
        for _change in 0..60 {
            let asked = random.random_range(1..CONCURRENT_ASKED);
            for _asked in 0..asked {
                cache
                    .lock()
                    .await
                    .ask_only(random.random_range(0..=ARTICLES))
                    .await;
            }
            change(&shop, &mut random).await;
            for _asked in 0..asked {
                cache.lock().await.answer().await;
            }
        }
        // Nothing changes now: a row that was kept wrongly would stay.
        eventually("the cache is as the table", PATIENCE, async || {
            for article in 0..=ARTICLES {
                if cache.lock().await.price(article).await != price(&shop, article).await {
                    return false;
                }
            }
            true
        })
        .await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..50))).await;
    }
    eventually("rows are kept", PATIENCE, async || {
        cache.lock().await.ask(ARTICLES).await.0 == "hit"
    })
    .await;
}

/// Questions that are under way while a row changes.
const CONCURRENT_ASKED: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_outlives_a_broker_that_is_killed_among_its_acknowledgements() {
    let mut shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    shop.sql.batch_execute(TABLE).await.unwrap();
    Box::pin(shop.run()).await.unwrap();
    let group = shop.group("cache").await.unwrap();
    let cache = Mutex::new(Cache::start(&shop, &group));
    is_followed(&shop, &cache, 100).await;
    // Each is acknowledged by itself: there is always one that is not confirmed.
    let many = "INSERT INTO shop.price SELECT article, 0 FROM generate_series(1, 5000) AS article";
    shop.sql.batch_execute(many).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    shop.platform.nats.kill().await.unwrap();
    shop.platform.nats.restart().await.unwrap();
    is_followed(&shop, &cache, 200).await;
}

/// What was under way to a broker's death comes again after its ack wait.
const COMES_AGAIN: Duration = Duration::from_secs(120);

/// Waits until a row is in the cache, changes it, and waits until the cache knows.
async fn is_followed(shop: &Shop, cache: &Mutex<Cache>, cents: i32) {
    let put = "INSERT INTO shop.price VALUES (0, 1) ON CONFLICT (article) DO UPDATE SET cents = 1";
    shop.sql.batch_execute(put).await.unwrap();
    eventually("the row is in the cache", COMES_AGAIN, async || {
        cache.lock().await.ask(0).await == ("hit".to_owned(), Some(1))
    })
    .await;
    let change = format!("UPDATE shop.price SET cents = {cents} WHERE article = 0");
    shop.sql.batch_execute(&change).await.unwrap();
    eventually("the change is seen", COMES_AGAIN, async || {
        cache.lock().await.price(0).await == Some(i64::from(cents))
    })
    .await;
}
