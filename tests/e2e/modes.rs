//! Members of groups in each mode come, go and are killed.

use std::cell::Cell;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_client::GroupMode;
use rowcast_e2e::{Group, Log, Member, PATIENCE, Shop, Unit, check, variable};
use rowcast_testkit::eventually;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Keys that are written.
const KEYS: u64 = 60;

/// Partitions of a task whose members come and go: one that joins three or four others is given some fifteen.
const MANY_PARTITIONS: u32 = 64;

/// Keys that are written there, for no partition to be without.
const MANY_KEYS: u64 = 240;

/// How many members there are at a time.
const MEMBERS: std::ops::RangeInclusive<usize> = 3..=5;

/// How often a member comes or goes, where `ROWCAST_TEST_STEPS` does not say it: with 300 there are thousands of hand-overs.
const STEPS: usize = 12;

/// Partitions that go from one member to another in a step, at least: several times as many where each settles before the next.
const HAND_OVERS: usize = 4;

/// Within this a dead member is replaced: a lease of 6 s, and what it was sent comes again.
const TAKEN_OVER: Duration = Duration::from_secs(15);

/// A running task with a table of keys and versions, and a group.
async fn begin(mode: GroupMode) -> (Shop, Group) {
    Box::pin(begin_with(mode, &json!({}))).await
}

/// As [`begin`], with these members of the task's definition.
async fn begin_with(mode: GroupMode, definition: &Value) -> (Shop, Group) {
    let shop = Box::pin(Shop::open_with(Default::default(), definition)).await;
    let shop = shop.unwrap();
    let table = "CREATE TABLE shop.version (key bigint PRIMARY KEY, version bigint NOT NULL)";
    shop.sql.batch_execute(table).await.unwrap();
    Box::pin(shop.run()).await.unwrap();
    let group = shop.group_of("readers", mode).await.unwrap();
    (shop, group)
}

/// Gives every key its next version, in one transaction.
async fn write(shop: &Shop, version: u64) {
    write_keys(shop, KEYS, version).await;
}

/// As [`write`], the keys up to this one.
async fn write_keys(shop: &Shop, keys: u64, version: u64) {
    let rows = format!(
        "INSERT INTO shop.version SELECT key, {version} FROM generate_series(1, {keys}) AS key
         ON CONFLICT (key) DO UPDATE SET version = excluded.version"
    );
    shop.sql.batch_execute(&rows).await.unwrap();
}

async fn all_leave(members: Vec<Member>) {
    for member in members {
        member.leave().await.unwrap();
    }
}

async fn all_are_dealt_with(log: &Log, versions: u64) {
    keys_are_dealt_with(log, KEYS, versions).await;
}

async fn keys_are_dealt_with(log: &Log, keys: u64, versions: u64) {
    let what = format!("{versions} versions of all keys are dealt with");
    eventually(&what, PATIENCE, async || log.is_complete(keys, versions)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_stay_in_order_while_members_come_go_and_are_killed() {
    let seed: u64 = variable("ROWCAST_TEST_SEED").unwrap_or_else(rand::random);
    let steps: usize = variable("ROWCAST_TEST_STEPS").unwrap_or(STEPS);
    eprintln!("ROWCAST_TEST_SEED={seed} ROWCAST_TEST_STEPS={steps}");
    let mut random = StdRng::seed_from_u64(seed);
    let definition = json!({ "partitions": MANY_PARTITIONS });
    let (shop, group) = Box::pin(begin_with(GroupMode::Keyed, &definition)).await;
    let log = Log::open().unwrap();
    let mut members: Vec<Member> = (0..*MEMBERS.start())
        .map(|_member| Member::join(&group, &log).unwrap())
        .collect();
    let mut leaving = Vec::new();
    let mut version = 0;
    for _step in 0..steps {
        match random.random_range(0..4) {
            0 if members.len() > *MEMBERS.start() => {
                let member = members.swap_remove(random.random_range(0..members.len()));
                leaving.push(member.leave());
            }
            1 if members.len() > *MEMBERS.start() => {
                let member = members.swap_remove(random.random_range(0..members.len()));
                member.kill().await.unwrap();
            }
            _ if members.len() < *MEMBERS.end() => {
                members.push(Member::join(&group, &log).unwrap());
            }
            _ => {}
        }
        let until = Instant::now() + Duration::from_millis(random.random_range(500..4000));
        while Instant::now() < until {
            version += 1;
            write_keys(&shop, MANY_KEYS, version).await;
            tokio::time::sleep(Duration::from_millis(random.random_range(80..800))).await;
        }
    }
    keys_are_dealt_with(&log, MANY_KEYS, version).await;
    check(&log, Unit::Partition).unwrap();
    let hand_overs = log.hand_overs();
    eprintln!("{hand_overs} hand-overs in {steps} steps");
    assert!(hand_overs >= steps * HAND_OVERS, "{hand_overs}");
    for left in leaving {
        left.await.unwrap();
    }
    all_leave(members).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_keyed_group_share_its_work_within_seconds() {
    let (shop, group) = Box::pin(begin(GroupMode::Keyed)).await;
    let log = Log::open().unwrap();
    let mut members: Vec<Member> = (0..3)
        .map(|_member| Member::join(&group, &log).unwrap())
        .collect();
    let version = Cell::new(0);
    // So many members deal with keys of the newest version.
    let busy = async |wanted: usize| {
        let begun = Instant::now();
        eventually("the members share the work", PATIENCE, async || {
            let written = version.get() + 1;
            version.set(written);
            write(&shop, written).await;
            eventually("the version is dealt with", PATIENCE, async || {
                log.is_complete(KEYS, written)
            })
            .await;
            log.members_of(written) == wanted
        })
        .await;
        begun.elapsed()
    };
    assert!(busy(3).await < TAKEN_OVER);
    members.remove(0).leave().await.unwrap();
    assert!(busy(2).await < TAKEN_OVER);
    members.remove(0).kill().await.unwrap();
    assert!(busy(1).await < TAKEN_OVER);
    members.push(Member::join(&group, &log).unwrap());
    assert!(busy(2).await < TAKEN_OVER);
    check(&log, Unit::Partition).unwrap();
    all_leave(members).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_stands_by_goes_on_where_the_active_one_was_killed() {
    let (shop, group) = Box::pin(begin(GroupMode::Ordered)).await;
    let log = Log::open().unwrap();
    let active = Member::join(&group, &log).unwrap();
    write(&shop, 1).await;
    all_are_dealt_with(&log, 1).await;
    let standby = Member::join(&group, &log).unwrap();
    for version in 2..20 {
        write(&shop, version).await;
    }
    eventually("the active one is in the middle", PATIENCE, async || {
        log.is_begun(3)
    })
    .await;
    active.kill().await.unwrap();
    let killed = Instant::now();
    let before = log.count();
    for version in 20..30 {
        write(&shop, version).await;
    }
    eventually("the other one goes on", PATIENCE, async || {
        log.count() > before
    })
    .await;
    assert!(killed.elapsed() < TAKEN_OVER, "{:?}", killed.elapsed());
    all_are_dealt_with(&log, 29).await;
    check(&log, Unit::Everything).unwrap();
    assert_eq!(log.members_of(29), 1);
    standby.leave().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_of_a_shared_group_get_everything() {
    let (shop, group) = Box::pin(begin(GroupMode::Shared)).await;
    let log = Log::open().unwrap();
    let mut members: Vec<Member> = (0..3)
        .map(|_member| Member::join(&group, &log).unwrap())
        .collect();
    for version in 1..=20 {
        write(&shop, version).await;
    }
    eventually("the members are in the middle", PATIENCE, async || {
        log.is_begun(3)
    })
    .await;
    members.remove(0).kill().await.unwrap();
    // What it had comes again after 30 s.
    all_are_dealt_with(&log, 20).await;
    assert_eq!(log.members(), 3);
    all_leave(members).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_keep_what_they_hold_while_the_service_is_away() {
    let (mut shop, group) = Box::pin(begin(GroupMode::Keyed)).await;
    let log = Log::open().unwrap();
    let mut members = vec![
        Member::join(&group, &log).unwrap(),
        Member::join(&group, &log).unwrap(),
    ];
    let mut version = 0;
    // Until both have their half.
    while version == 0 || log.members_of(version) < 2 {
        version += 1;
        write(&shop, version).await;
        all_are_dealt_with(&log, version).await;
    }
    shop.platform.kill("consumer-group").await.unwrap();
    // For longer than a lease.
    let until = Instant::now() + Duration::from_secs(9);
    while Instant::now() < until {
        version += 1;
        write(&shop, version).await;
        all_are_dealt_with(&log, version).await;
        assert_eq!(log.members_of(version), 2);
    }
    // One is gone when the service comes back; the other was only not heard.
    members.remove(0).kill().await.unwrap();
    shop.platform.restart("consumer-group").await.unwrap();
    version += 1;
    write(&shop, version).await;
    all_are_dealt_with(&log, version).await;
    check(&log, Unit::Partition).unwrap();
    all_leave(members).await;
}
