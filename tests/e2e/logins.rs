//! A login is over after a while, and whoever reads goes on: the SDK, and the programs of docs/consuming.md.

use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use rowcast_client::{Change, GroupDelivery, GroupMode, Operation, Position, Subscription};
use rowcast_e2e::{Group, Language, PATIENCE, Sample, Shop, is_count};
use rowcast_proto::rest::AuditLog;
use rowcast_testkit::{PlatformOptions, Service, eventually};
use tokio::time::Instant;

/// Seconds after which a login is over, or up to a tenth less: a reader without the SDK needs one that is longer than what was in
/// flight takes to come again.
const LIFETIME: &str = "40";

/// Logins of each reader: there are two ends between three.
const LOGINS: u32 = 3;

/// What was in flight at the end of a login comes again after 30 s.
const COMES_AGAIN: Duration = Duration::from_secs(100);

/// For all of those logins.
const LOG_IN: Duration = Duration::from_secs(240);

fn short_logins() -> PlatformOptions {
    let lifetime = (
        "ROWCAST_LOGIN_LIFETIME_SECONDS".to_owned(),
        LIFETIME.to_owned(),
    );
    PlatformOptions {
        service_environment: [(Service::ConsumerGroup, [lifetime].into())].into(),
        ..PlatformOptions::default()
    }
}

/// How often the group's clients were let in, as the audit log tells.
async fn logins(shop: &Shop, group: &Group) -> u32 {
    let path = format!("/audit?limit=200&actor=login:{}", group.connection.login);
    let log: AuditLog = shop.api.get(&path).await.unwrap();
    let let_in = log.entries.iter().filter(|entry| entry.status == Some(200));
    let_in.filter_map(|entry| entry.times).sum()
}

/// Reads up to the change that `is_last`, each change once. What comes again must be what was not known to be acknowledged.
async fn read_on(
    subscription: &mut Subscription,
    is_last: impl Fn(&Change) -> bool,
) -> anyhow::Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::new();
    let mut unconfirmed = false;
    loop {
        let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
        let delivery = next
            .context("no further change")?
            .context("the subscription ended")??;
        let acknowledged = match delivery.ack().await {
            Ok(()) => true,
            Err(error) => {
                anyhow::ensure!(!error.is_final(), "{error}");
                false
            }
        };
        let change = delivery.change;
        if matches!(change.op, Operation::Schema | Operation::Heartbeat) {
            continue;
        }
        let comes_again = changes.last().is_some_and(|last| change.id <= last.id);
        if comes_again {
            anyhow::ensure!(unconfirmed, "{} comes again, or too late", change.id);
        } else {
            changes.push(change);
        }
        unconfirmed = !acknowledged || (unconfirmed && comes_again);
        if acknowledged && changes.last().is_some_and(&is_last) {
            return Ok(changes);
        }
    }
}

/// Writes row after row until each group has logged in so often, and then the last one.
async fn write(shop: &Shop, groups: &[Group]) -> i64 {
    let mut number = 0;
    let until = Instant::now() + LOG_IN;
    let mut left: Vec<&Group> = groups.iter().collect();
    while !left.is_empty() {
        assert!(Instant::now() < until, "{left:?} do not log in anew");
        for _ in 0..10 {
            number += 1;
            let row = format!("INSERT INTO shop.counter VALUES ({number})");
            shop.sql.batch_execute(&row).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let mut still = Vec::new();
        for group in left {
            if logins(shop, group).await < LOGINS {
                still.push(group);
            }
        }
        left = still;
    }
    let last = "INSERT INTO shop.counter VALUES (0)";
    shop.sql.batch_execute(last).await.unwrap();
    number + 1
}

fn ids(changes: &[Change]) -> Vec<Position> {
    changes.iter().map(|change| change.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_and_the_samples_read_on_when_their_logins_end() {
    let shop = Box::pin(Shop::running(short_logins())).await.unwrap();
    let mut groups = vec![shop.group("sdk").await.unwrap()];
    let mut journals = Vec::new();
    let mut printed = Vec::new();
    let mut running = Vec::new();
    for language in Language::PLAIN {
        for (name, delivery) in [
            ("consume", GroupDelivery::Pull),
            ("subscribe", GroupDelivery::Push),
        ] {
            language.look(name).unwrap();
            let called = format!("{name} {language:?}");
            let group = shop.group_with(&called, GroupMode::Ordered, delivery);
            let group = group.await.unwrap();
            let sample = Sample::new(name, language, &group).unwrap();
            let (arguments, samples) = match delivery {
                GroupDelivery::Pull => (vec!["journal".to_owned()], &mut journals),
                GroupDelivery::Push => (Vec::new(), &mut printed),
            };
            running.push(sample.start(&arguments).unwrap());
            samples.push((called, sample));
            groups.push(group);
        }
    }
    let mut subscription = groups[0].subscribe().await.unwrap();
    let reading = read_on(&mut subscription, |change| is_count(change, 0));
    let (told, written) = tokio::join!(reading, write(&shop, &groups));
    let told = told.unwrap();
    let counted = told
        .iter()
        .filter(|change| change.table.as_deref() == Some("counter"));
    assert_eq!(i64::try_from(counted.count()).unwrap(), written);

    let all = ids(&told);
    for (called, sample) in &journals {
        eventually(
            &format!("{called} has everything"),
            COMES_AGAIN,
            async || sample.told(".jsonl").unwrap().concat().len() >= all.len(),
        )
        .await;
        assert_eq!(
            ids(&sample.told(".jsonl").unwrap().concat()),
            all,
            "{called}"
        );
    }
    for (called, sample) in &printed {
        let has = || {
            let mut has = ids(&sample.told("stdout.txt").unwrap().concat());
            // What was printed and not acknowledged comes again, next.
            has.dedup();
            has
        };
        eventually(
            &format!("{called} has everything"),
            COMES_AGAIN,
            async || has().len() >= all.len(),
        )
        .await;
        assert_eq!(has(), all, "{called}");
    }
}
