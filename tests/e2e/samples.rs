//! The programs of docs/consuming.md, killed and started again: what they have read is compared with all that happened.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng as _;
use rowcast_client::{Change, GroupDelivery, GroupMode, Position};
use rowcast_e2e::{Group, Language, Sample, Shop, is_count, read_until};
use rowcast_testkit::eventually;
use tokio::process::Child;

/// What was in flight comes again after 30 s; of two processes that were killed, one behind the other.
const COMES_AGAIN: Duration = Duration::from_secs(100);

/// Each round but the last ends with a kill.
const ROUNDS: usize = 3;

/// Between two transactions while a reader is waited for.
const BREAK: Duration = Duration::from_millis(100);

/// A reader in each language, with a group of its own.
struct Reader {
    language: Language,
    samples: Vec<Sample>,
    running: Vec<Child>,
    /// What each process had written when it was started.
    before: Vec<u64>,
}

impl Reader {
    /// With so many processes, started with these arguments.
    fn new(name: &'static str, language: Language, group: &Group, processes: usize) -> Self {
        let sample = |_process| Sample::new(name, language, group).unwrap();
        Self {
            language,
            samples: (0..processes).map(sample).collect(),
            running: Vec::new(),
            before: Vec::new(),
        }
    }

    fn start(&mut self, arguments: impl Fn(usize) -> Vec<String>) {
        self.before = self.written();
        let samples = self.samples.iter().enumerate();
        self.running = samples
            .map(|(process, sample)| sample.start(&arguments(process)).unwrap())
            .collect();
    }

    fn written(&self) -> Vec<u64> {
        let written = self.samples.iter().map(Sample::written);
        written.map(Result::unwrap).collect()
    }

    /// Whether each process has written something since it was started.
    fn has_begun(&self) -> bool {
        let mut processes = self.before.iter().zip(self.written());
        processes.all(|(before, now)| *before < now)
    }

    async fn kill(&mut self) {
        for mut child in self.running.drain(..) {
            child.kill().await.unwrap();
        }
    }

    /// As [`Sample::told`], of all processes.
    fn files(&self, ending: &str) -> Vec<Vec<Change>> {
        let told = self.samples.iter().map(|sample| sample.told(ending));
        told.flat_map(Result::unwrap).collect()
    }
}

fn ids(changes: &[Change]) -> Vec<Position> {
    changes.iter().map(|change| change.id).collect()
}

/// The same changes by id, whatever their order and however often.
fn by_id(changes: impl IntoIterator<Item = Change>) -> BTreeMap<Position, String> {
    let text = |change: &Change| serde_json::to_string(change).unwrap();
    changes
        .into_iter()
        .map(|change| (change.id, text(&change)))
        .collect()
}

/// The ids of what happened to each row, as they come. What has no key is one row of its table.
fn by_key(changes: &[Change]) -> BTreeMap<(Option<String>, String), Vec<Position>> {
    let mut ids = BTreeMap::<_, Vec<Position>>::new();
    for change in changes {
        let key = serde_json::to_string(&change.key).unwrap();
        let row = (change.table.clone(), key);
        ids.entry(row).or_default().push(change.id);
    }
    ids
}

/// A running task, and readers in all languages of a group of this mode.
async fn begin(
    name: &'static str,
    (mode, delivery): (GroupMode, GroupDelivery),
    processes: usize,
) -> (Shop, Vec<Reader>) {
    for language in Language::ALL {
        language.look(name).unwrap();
    }
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let mut readers = Vec::new();
    for language in Language::ALL {
        let called = format!("{language:?}");
        let group = shop.group_with(&called, mode, delivery);
        readers.push(Reader::new(
            name,
            language,
            &group.await.unwrap(),
            processes,
        ));
    }
    (shop, readers)
}

/// Rows come, rows change and rows go, in the next transaction.
async fn change(shop: &Shop, transactions: &Cell<i64>) {
    let number = transactions.get() + 1;
    transactions.set(number);
    let statements = format!(
        "BEGIN;
         INSERT INTO shop.customers (name, tags) SELECT 'n' || i, '{{a,b}}' FROM generate_series(1, 5) AS i;
         UPDATE shop.customers SET name = 'two
             lines, {number}' WHERE id % 7 = {number} % 7 AND id > (SELECT max(id) - 20 FROM shop.customers);
         DELETE FROM shop.customers WHERE id = {number} % 100;
         INSERT INTO shop.counter VALUES ({number});
         COMMIT"
    );
    shop.sql.batch_execute(&statements).await.unwrap();
}

/// Changes flow, while readers are killed and started again.
async fn happen(
    shop: &Shop,
    readers: &mut [Reader],
    arguments: impl Fn(usize) -> Vec<String> + Copy,
) -> Vec<Change> {
    let transactions = Cell::new(0);
    for round in 1..=ROUNDS {
        readers
            .iter_mut()
            .for_each(|reader| reader.start(arguments));
        if round < ROUNDS {
            // One that was killed in an ordered group holds up the next, until what it had comes again.
            eventually("all readers have begun", COMES_AGAIN, async || {
                change(shop, &transactions).await;
                tokio::time::sleep(BREAK).await;
                readers.iter().all(Reader::has_begun)
            })
            .await;
        }
        for _transaction in 0..40 {
            change(shop, &transactions).await;
        }
        let moment = rand::rng().random_range(0..600);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        if round < ROUNDS {
            for reader in &mut *readers {
                reader.kill().await;
            }
        }
    }
    let last = "INSERT INTO shop.counter VALUES (0)";
    shop.sql.batch_execute(last).await.unwrap();
    let mut all = shop.group("all").await.unwrap().subscribe().await.unwrap();
    let told = read_until(&mut all, |change| is_count(change, 0))
        .await
        .unwrap();
    assert!(told.len() > 1000, "{}", told.len());
    told
}

fn journal(_process: usize) -> Vec<String> {
    vec!["journal".to_owned()]
}

async fn has_all(reader: &Reader, ending: &str, told: &[Change]) {
    let what = format!("{:?} has everything", reader.language);
    let wanted = by_id(told.to_vec());
    eventually(&what, COMES_AGAIN, async || {
        by_id(reader.files(ending).into_iter().flatten()).len() >= wanted.len()
    })
    .await;
    assert_eq!(by_id(reader.files(ending).into_iter().flatten()), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_an_ordered_group_has_every_change_once_and_in_order() {
    let pull = (GroupMode::Ordered, GroupDelivery::Pull);
    let (shop, mut readers) = Box::pin(begin("consume", pull, 1)).await;
    let large = "INSERT INTO shop.customers (name) VALUES (repeat('0123456789', 300000))";
    shop.sql.batch_execute(large).await.unwrap();
    let told = Box::pin(happen(&shop, &mut readers, journal)).await;
    for reader in &readers {
        has_all(reader, ".jsonl", &told).await;
        let files = reader.files(".jsonl");
        assert_eq!(ids(&files.concat()), ids(&told), "{:?}", reader.language);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn journals_of_a_keyed_group_have_every_change_once_and_each_partition_in_order() {
    let pull = (GroupMode::Keyed, GroupDelivery::Pull);
    let (shop, mut readers) = Box::pin(begin("consume", pull, 2)).await;
    let share = |process| vec!["journal".to_owned(), format!("{}/2", process + 1)];
    let told = Box::pin(happen(&shop, &mut readers, share)).await;
    for reader in &readers {
        has_all(reader, ".jsonl", &told).await;
        let files = reader.files(".jsonl");
        assert!(
            files
                .iter()
                .all(|file| ids(file).is_sorted_by(|a, b| a < b))
        );
        assert_eq!(files.concat().len(), told.len(), "{:?}", reader.language);
        assert!(files.len() > 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn journals_of_a_shared_group_have_every_change() {
    let pull = (GroupMode::Shared, GroupDelivery::Pull);
    let (shop, mut readers) = Box::pin(begin("consume", pull, 2)).await;
    let told = Box::pin(happen(&shop, &mut readers, journal)).await;
    for reader in &readers {
        has_all(reader, ".jsonl", &told).await;
        assert!(reader.files(".jsonl").iter().all(|file| !file.is_empty()));
    }
}

fn nothing(_process: usize) -> Vec<String> {
    Vec::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_of_an_ordered_push_group_is_sent_every_change_in_order() {
    let push = (GroupMode::Ordered, GroupDelivery::Push);
    let (shop, mut readers) = Box::pin(begin("subscribe", push, 1)).await;
    let told = Box::pin(happen(&shop, &mut readers, nothing)).await;
    for reader in &readers {
        has_all(reader, "stdout.txt", &told).await;
        let mut ids = ids(&reader.files("stdout.txt").concat());
        // What was printed and not acknowledged comes again, next.
        ids.dedup();
        assert_eq!(ids, self::ids(&told), "{:?}", reader.language);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_a_keyed_push_group_share_every_change_and_each_key_is_in_order() {
    let push = (GroupMode::Keyed, GroupDelivery::Push);
    let (shop, mut readers) = Box::pin(begin("subscribe", push, 2)).await;
    let share = |process| vec![format!("{}/2", process + 1)];
    let told = Box::pin(happen(&shop, &mut readers, share)).await;
    for reader in &readers {
        has_all(reader, "stdout.txt", &told).await;
        let mut keys = by_key(&reader.files("stdout.txt").concat());
        // What was printed and not acknowledged comes again, next in its partition.
        keys.values_mut().for_each(Vec::dedup);
        assert_eq!(keys, by_key(&told), "{:?}", reader.language);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_a_shared_push_group_are_sent_every_change_between_them() {
    let push = (GroupMode::Shared, GroupDelivery::Push);
    let (shop, mut readers) = Box::pin(begin("subscribe", push, 2)).await;
    let told = Box::pin(happen(&shop, &mut readers, nothing)).await;
    for reader in &readers {
        has_all(reader, "stdout.txt", &told).await;
        for sample in &reader.samples {
            let printed = sample.told("stdout.txt").unwrap().concat();
            assert!(!printed.is_empty(), "{:?}", reader.language);
        }
    }
}
