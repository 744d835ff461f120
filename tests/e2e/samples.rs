//! The programs of docs/consuming.md, killed and started again, with the broker away for a while and their positions moved:
//! what they have read is compared with all that happened.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng as _;
use rowcast_client::{Change, GroupDelivery, GroupMode, Position};
use rowcast_e2e::{Group, Language, Sample, Shop, is_count, read_until};
use rowcast_proto::rest;
use rowcast_testkit::eventually;
use serde_json::json;
use tokio::process::Child;

/// What was in flight comes again after 30 s; of two processes that were killed, one behind the other.
const COMES_AGAIN: Duration = Duration::from_secs(100);

/// Each round but the last ends with a kill.
const ROUNDS: usize = 3;

/// In this one readers lose their connection, and have to find back by themselves.
const AWAY: usize = 2;

/// For so long nobody is there who lets anybody in. An attempt takes two seconds, and there are two between attempts.
const REFUSED: Duration = Duration::from_secs(12);

/// Between two transactions while a reader is waited for.
const BREAK: Duration = Duration::from_millis(100);

/// A program, with a group of its own.
struct Reader {
    name: &'static str,
    language: Language,
    group: Group,
    samples: Vec<Sample>,
    running: Vec<Child>,
    /// What each process had written when it was started.
    before: Vec<u64>,
}

impl Reader {
    /// With so many processes.
    fn new(name: &'static str, language: Language, group: Group, processes: usize) -> Self {
        let sample = |_process| Sample::new(name, language, &group).unwrap();
        Self {
            name,
            language,
            samples: (0..processes).map(sample).collect(),
            group,
            running: Vec::new(),
            before: Vec::new(),
        }
    }

    /// Whether it stores what it reads, and knows by that what comes again.
    fn keeps_journal(&self) -> bool {
        self.name == "consume"
    }

    fn start(&mut self, arguments: impl Fn(usize) -> Vec<String>) {
        self.before = self.written();
        // Members of the SDK share a group by themselves.
        let shares = self.language == Language::Sdk;
        let arguments = |process| {
            if shares {
                Vec::new()
            } else {
                arguments(process)
            }
        };
        let samples = self.samples.iter().enumerate();
        self.running = samples
            .map(|(process, sample)| sample.start(&arguments(process)).unwrap())
            .collect();
    }

    /// Whether each process runs that was started.
    fn runs(&mut self) -> bool {
        let mut running = self.running.iter_mut();
        running.all(|child| child.try_wait().unwrap().is_none())
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

    /// The changes in the files of each process: in its journals, or in all that it printed.
    fn processes(&self) -> Vec<Vec<Vec<Change>>> {
        let ending = if self.keeps_journal() {
            ".jsonl"
        } else {
            "stdout.txt"
        };
        let told = self.samples.iter().map(|sample| sample.told(ending));
        told.map(Result::unwrap).collect()
    }

    /// As [`Self::processes`], of all of them.
    fn files(&self) -> Vec<Vec<Change>> {
        self.processes().concat()
    }
}

fn ids(changes: &[Change]) -> Vec<Position> {
    changes.iter().map(|change| change.id).collect()
}

/// Each id where it came first.
fn first_told(ids: &mut Vec<Position>) {
    let mut told = BTreeSet::new();
    ids.retain(|id| told.insert(*id));
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

/// The programs that read a group which is delivered like this.
fn programs(delivery: GroupDelivery) -> Vec<(&'static str, Language)> {
    let plain = |name| Language::PLAIN.map(|language| (name, language));
    match delivery {
        GroupDelivery::Pull => {
            let mut programs = plain("consume").to_vec();
            programs.push(("tail", Language::Sdk));
            programs
        }
        GroupDelivery::Push => plain("subscribe").to_vec(),
    }
}

/// A running task, and for each program a group of this mode.
async fn begin(
    (mode, delivery): (GroupMode, GroupDelivery),
    processes: usize,
) -> (Shop, Vec<Reader>) {
    let programs = programs(delivery);
    for (name, language) in &programs {
        language.look(name).unwrap();
    }
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let mut readers = Vec::new();
    for (name, language) in programs {
        let called = format!("{language:?}");
        let group = shop.group_with(&called, mode, delivery).await.unwrap();
        readers.push(Reader::new(name, language, group, processes));
    }
    (shop, readers)
}

/// Where a share has nothing to read, a program says so and ends.
async fn are_refused(shares: &[&str], readers: &[Reader]) {
    let divided = readers.iter().filter(|one| one.language != Language::Sdk);
    for (reader, share) in divided.flat_map(|one| shares.iter().map(move |share| (one, share))) {
        let journal = reader.keeps_journal().then(|| "journal".to_owned());
        let arguments: Vec<String> = journal.into_iter().chain([(*share).to_owned()]).collect();
        let (status, said) = reader.samples[0].ends(&arguments).await.unwrap();
        let sentence = format!("the share {share} has nothing to read: its first number is one of");
        let refused = status.code() == Some(1) && said.contains(&sentence);
        assert!(refused, "{:?} {share}: {status}, {said}", reader.language);
    }
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

/// Changes come until each process has written something.
async fn all_begin(shop: &Shop, readers: &[Reader], transactions: &Cell<i64>) {
    // One that was killed in an ordered group holds up the next, until what it had comes again.
    eventually("all readers have begun", COMES_AGAIN, async || {
        change(shop, transactions).await;
        tokio::time::sleep(BREAK).await;
        readers.iter().all(Reader::has_begun)
    })
    .await;
}

/// The broker is gone for a moment, and then refuses every login, for who checks them is not there.
async fn broker_is_away(shop: &mut Shop) {
    shop.platform.kill("consumer-group").await.unwrap();
    shop.platform.nats.restart().await.unwrap();
    tokio::time::sleep(REFUSED).await;
    shop.platform.restart("consumer-group").await.unwrap();
}

/// Waits until a group has acknowledged everything up to the transaction with this number, the last.
async fn is_abreast(shop: &Shop, reader: &Reader, number: i64) {
    let what = format!("{:?} has the last change", reader.language);
    eventually(&what, COMES_AGAIN, async || {
        let files = reader.files();
        files
            .iter()
            .flatten()
            .any(|change| is_count(change, number))
    })
    .await;
    // Only now everything is in the stream, and what is not acknowledged is counted here.
    let what = format!("{:?} is abreast", reader.language);
    let path = shop.path(&format!("groups/{}", reader.group.connection.group_id));
    eventually(&what, COMES_AGAIN, async || {
        let group = shop.api.get::<rest::Group>(&path).await;
        group.is_ok_and(|group| (group.pending, group.in_flight) == (0, 0))
    })
    .await;
}

/// Moves the position of a group, which closes its connections: to the beginning where what comes again is known, else to
/// where it is.
async fn is_moved(shop: &Shop, reader: &Reader) {
    let target = if reader.keeps_journal() {
        "earliest"
    } else {
        "latest"
    };
    let path = shop.path(&format!(
        "groups/{}/position",
        reader.group.connection.group_id
    ));
    let body = json!({ (target): true, "force": true });
    let _moved: rest::Group = shop.api.post(&path, &body).await.unwrap();
}

/// Readers are cut off in each way, and find back.
async fn lose_connections(shop: &mut Shop, readers: &mut [Reader], transactions: &Cell<i64>) {
    Box::pin(broker_is_away(shop)).await;
    change(shop, transactions).await;
    for reader in &*readers {
        is_abreast(shop, reader, transactions.get()).await;
    }
    for reader in &mut *readers {
        is_moved(shop, reader).await;
        reader.before = reader.written();
    }
    all_begin(shop, readers, transactions).await;
}

/// Changes flow, while readers are killed and started again, and in one round lose their connections.
async fn happen(
    shop: &mut Shop,
    readers: &mut [Reader],
    arguments: impl Fn(usize) -> Vec<String> + Copy,
) -> Vec<Change> {
    let transactions = Cell::new(0);
    for round in 1..=ROUNDS {
        readers
            .iter_mut()
            .for_each(|reader| reader.start(arguments));
        if round < ROUNDS {
            all_begin(shop, readers, &transactions).await;
        }
        if round == AWAY {
            Box::pin(lose_connections(shop, readers, &transactions)).await;
        }
        for _transaction in 0..40 {
            change(shop, &transactions).await;
        }
        let moment = rand::rng().random_range(0..600);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        for reader in &mut *readers {
            assert!(reader.runs(), "{:?} has ended", reader.language);
            if round < ROUNDS {
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

async fn has_all(reader: &Reader, told: &[Change]) {
    let what = format!("{:?} has everything", reader.language);
    let wanted = by_id(told.to_vec());
    eventually(&what, COMES_AGAIN, async || {
        by_id(reader.files().into_iter().flatten()).len() >= wanted.len()
    })
    .await;
    assert_eq!(by_id(reader.files().into_iter().flatten()), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_an_ordered_group_has_every_change_in_order_and_in_a_journal_once() {
    let pull = (GroupMode::Ordered, GroupDelivery::Pull);
    let (mut shop, mut readers) = Box::pin(begin(pull, 1)).await;
    are_refused(&["2/2", "3/2", "0/2"], &readers).await;
    let large = "INSERT INTO shop.customers (name) VALUES (repeat('0123456789', 300000))";
    shop.sql.batch_execute(large).await.unwrap();
    let told = Box::pin(happen(&mut shop, &mut readers, journal)).await;
    for reader in &readers {
        has_all(reader, &told).await;
        let mut ids = ids(&reader.files().concat());
        if !reader.keeps_journal() {
            // What was printed and not acknowledged comes again.
            first_told(&mut ids);
        }
        assert_eq!(ids, self::ids(&told), "{:?}", reader.language);
    }
}

/// Partitions go from one member to another, so that only what each of them has told can be compared.
fn has_each_key_in_order(reader: &Reader) {
    for files in reader.processes() {
        for (key, mut ids) in by_key(&files.concat()) {
            // What was printed and not acknowledged comes again.
            first_told(&mut ids);
            assert!(ids.is_sorted(), "{:?} {key:?}: {ids:?}", reader.language);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_keyed_group_have_each_partition_in_order_and_in_their_journals_once() {
    let pull = (GroupMode::Keyed, GroupDelivery::Pull);
    let (mut shop, mut readers) = Box::pin(begin(pull, 2)).await;
    are_refused(&["3/2", "0/2"], &readers).await;
    let share = |process| vec!["journal".to_owned(), format!("{}/2", process + 1)];
    let told = Box::pin(happen(&mut shop, &mut readers, share)).await;
    for reader in &readers {
        has_all(reader, &told).await;
        if !reader.keeps_journal() {
            has_each_key_in_order(reader);
            continue;
        }
        let files = reader.files();
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
async fn readers_of_a_shared_group_have_every_change_between_them() {
    let pull = (GroupMode::Shared, GroupDelivery::Pull);
    let (mut shop, mut readers) = Box::pin(begin(pull, 2)).await;
    let told = Box::pin(happen(&mut shop, &mut readers, journal)).await;
    for reader in &readers {
        has_all(reader, &told).await;
        each_has_some(reader);
    }
}

fn each_has_some(reader: &Reader) {
    for files in reader.processes() {
        assert!(!files.concat().is_empty(), "{:?}", reader.language);
    }
}

fn nothing(_process: usize) -> Vec<String> {
    Vec::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_of_an_ordered_push_group_is_sent_every_change_in_order() {
    let push = (GroupMode::Ordered, GroupDelivery::Push);
    let (mut shop, mut readers) = Box::pin(begin(push, 1)).await;
    are_refused(&["2/2", "3/2", "0/2"], &readers).await;
    let told = Box::pin(happen(&mut shop, &mut readers, nothing)).await;
    for reader in &readers {
        has_all(reader, &told).await;
        let mut ids = ids(&reader.files().concat());
        // What was printed and not acknowledged comes again, next.
        ids.dedup();
        assert_eq!(ids, self::ids(&told), "{:?}", reader.language);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_a_keyed_push_group_share_every_change_and_each_key_is_in_order() {
    let push = (GroupMode::Keyed, GroupDelivery::Push);
    let (mut shop, mut readers) = Box::pin(begin(push, 2)).await;
    are_refused(&["3/2", "0/2"], &readers).await;
    let share = |process| vec![format!("{}/2", process + 1)];
    let told = Box::pin(happen(&mut shop, &mut readers, share)).await;
    for reader in &readers {
        has_all(reader, &told).await;
        let mut keys = by_key(&reader.files().concat());
        // What was printed and not acknowledged comes again, next in its partition.
        keys.values_mut().for_each(Vec::dedup);
        assert_eq!(keys, by_key(&told), "{:?}", reader.language);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_a_shared_push_group_are_sent_every_change_between_them() {
    let push = (GroupMode::Shared, GroupDelivery::Push);
    let (mut shop, mut readers) = Box::pin(begin(push, 2)).await;
    let told = Box::pin(happen(&mut shop, &mut readers, nothing)).await;
    for reader in &readers {
        has_all(reader, &told).await;
        each_has_some(reader);
    }
}
