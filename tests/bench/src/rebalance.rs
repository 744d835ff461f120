//! Members of a keyed group that come, go and die: how long until who is to deal with each partition does.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{Either, select};
use rowcast_e2e::{Group, Log, Member};
use rowcast_proto::rest::GroupMode;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};

use crate::about::About;
use crate::args::Args;
use crate::lab::Lab;
use crate::result::{Latency, Measured};

const NOTHING: &str = "nothing happens";
const JOINS: &str = "a second member joins";
const LEAVES: &str = "one of two leaves";
const DIES: &str = "one of two is killed";

/// What members note of a row: its key, and the version that is dealt with.
const SCHEMA: &str = "CREATE SCHEMA bench;
    CREATE TABLE bench.version (
        key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version bigint NOT NULL)";

const PARTITIONS: usize = 8;

/// Between two rows. They go to all partitions alike, so each has one within some tens of milliseconds, and one member can
/// take all.
const EVERY: Duration = Duration::from_millis(5);

/// How often each thing happens at least: of fewer times a median says little.
const TIMES: usize = 10;

/// After a thing has happened and before the next: all members know their share.
const SETTLED: Duration = Duration::from_secs(5);

/// Measures the partitions while nothing happens, which is the floor, and then each thing that may.
pub(crate) async fn measure(args: &Args, report: &mut Measured) -> anyhow::Result<()> {
    let lab = Box::pin(Lab::start(Default::default(), SCHEMA)).await?;
    report.about = About::read(&lab).await?;
    let task = lab
        .running("rebalance", &json!({"partitions": PARTITIONS}))
        .await?;
    let group = task.group_of("members", GroupMode::Keyed).await?;
    let partitions = Partitions {
        lab: &lab,
        group: &group,
        log: Log::open()?,
    };
    let times = TIMES.max(usize::try_from(args.rounds)?);
    let writing = Box::pin(write(&lab));
    let measuring = Box::pin(partitions.measure(times));
    let latencies = match select(writing, measuring).await {
        Either::Left((failed, _)) => return Err(failed),
        Either::Right((measured, _)) => measured?,
    };
    for latency in latencies {
        report.add_latency(latency);
    }
    lab.platform.stop().await
}

/// Writes rows for as long as it is let; gives why it cannot any more.
async fn write(lab: &Lab) -> anyhow::Error {
    let insert = "INSERT INTO bench.version (version) VALUES (1)";
    let insert = match lab.sql.prepare(insert).await {
        Ok(insert) => insert,
        Err(error) => return error.into(),
    };
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if let Err(error) = lab.sql.execute(&insert, &[]).await {
            return error.into();
        }
    }
}

/// Who deals with how many partitions.
type Shares = BTreeMap<u64, usize>;

/// Who is to deal with them.
enum Wanted {
    AllOf(u64),
    /// Or one more, or less: beside the partitions of keys there is one of transactions' markers, which counts for the service.
    HalfEach([u64; 2]),
}

impl Wanted {
    fn is_met(&self, shares: &Shares) -> bool {
        let half = PARTITIONS / 2 - 1..=PARTITIONS / 2 + 1;
        let of = |member: &u64| shares.get(member).copied().unwrap_or_default();
        match self {
            Self::AllOf(member) => of(member) == PARTITIONS,
            Self::HalfEach(members) => members.iter().all(|member| half.contains(&of(member))),
        }
    }
}

/// A time, and how many dealings there were by then.
type Moment = (Instant, usize);

/// The group's partitions, and who deals with them.
struct Partitions<'a> {
    lab: &'a Lab,
    group: &'a Group,
    log: Log,
}

impl Partitions<'_> {
    async fn measure(&self, times: usize) -> anyhow::Result<Vec<Latency>> {
        let stays = self.member()?;
        let all = Wanted::AllOf(stays.number());
        let half = |goes: &Member| Wanted::HalfEach([stays.number(), goes.number()]);
        self.dealt(self.now(), "one member", &all).await?;
        let [mut nothing, mut joins, mut leaves, mut dies] = [const { Vec::new() }; 4];
        for _time in 0..times {
            tokio::time::sleep(SETTLED).await;
            nothing.push(self.dealt(self.now(), NOTHING, &all).await?);

            let before = self.now();
            let goes = self.member()?;
            joins.push(self.dealt(before, JOINS, &half(&goes)).await?);
            tokio::time::sleep(SETTLED).await;
            let before = self.now();
            let left = goes.leave();
            leaves.push(self.dealt(before, LEAVES, &all).await?);
            left.await?;

            tokio::time::sleep(SETTLED).await;
            let before = self.now();
            let dies_now = self.member()?;
            joins.push(self.dealt(before, JOINS, &half(&dies_now)).await?);
            tokio::time::sleep(SETTLED).await;
            let before = self.now();
            dies_now.kill().await?;
            dies.push(self.dealt(before, DIES, &all).await?);
        }
        stays.leave().await?;
        let rate = Duration::from_secs(1).as_millis() / EVERY.as_millis();
        let scenario = format!("rebalance, {PARTITIONS} partitions, {rate} rows/s");
        let latency = |subject, times| Latency::of(&scenario, subject, times);
        Ok(vec![
            latency(NOTHING, nothing),
            latency(JOINS, joins),
            latency(LEAVES, leaves),
            latency(DIES, dies),
        ])
    }

    fn member(&self) -> anyhow::Result<Member> {
        Member::join(self.group, &self.log)
    }

    fn now(&self) -> Moment {
        (Instant::now(), self.log.count())
    }

    /// Microseconds from then until of every partition something was dealt with, the last by those who are to have it.
    async fn dealt(
        &self,
        (started, before): Moment,
        what: &str,
        wanted: &Wanted,
    ) -> anyhow::Result<u64> {
        let is_so = async || {
            let mut shares = Shares::new();
            for member in self.log.readers(before).into_values() {
                *shares.entry(member).or_default() += 1;
            }
            Ok(wanted.is_met(&shares))
        };
        self.lab.wait(what, is_so).await?;
        Ok(u64::try_from(started.elapsed().as_micros())?)
    }
}
