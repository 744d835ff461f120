//! Members of a keyed group that come, go and die: how long until every partition goes on.

use std::time::Duration;

use futures::future::{Either, select};
use rowcast_e2e::{Group, Log, Member};
use rowcast_proto::rest::GroupMode;
use rowcast_proto::stream::task_stream;
use serde_json::json;
use tokio::time::Instant;

use crate::about::About;
use crate::args::Args;
use crate::lab::Lab;
use crate::live;
use crate::result::{Latency, Report};

const NOTHING: &str = "nothing happens";
const JOINS: &str = "a second member joins";
const LEAVES: &str = "one of two leaves";
const DIES: &str = "one of two is killed";

const PARTITIONS: u32 = 8;

/// Rows in a second, over all partitions: each gets one within some tens of milliseconds, and one member can take all.
const RATE: u64 = 200;

/// How often each thing happens, in a round.
const TIMES: usize = 5;

/// After a thing has happened and before the next: all members know their share.
const SETTLED: Duration = Duration::from_secs(5);

/// Longer than all rounds: the writing ends with them.
const WRITING: Duration = Duration::from_secs(3600);

/// Measures the partitions while nothing happens, which is the floor, and then each thing that may.
pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let lab = Box::pin(Lab::start(Default::default(), live::SCHEMA)).await?;
    report.about = About::read(&lab).await?;
    let task = lab
        .running("rebalance", &json!({"partitions": PARTITIONS}))
        .await?;
    let group = task.group_of("members", GroupMode::Keyed).await?;
    let partitions = Partitions {
        lab: &lab,
        stream: task_stream(&task.task),
        group: &group,
    };
    let rounds = TIMES * usize::try_from(args.rounds)?;
    let writing = Box::pin(live::write(&lab, RATE, WRITING));
    let measuring = Box::pin(partitions.measure(rounds));
    let latencies = match select(writing, measuring).await {
        Either::Left((written, _)) => {
            written?;
            anyhow::bail!("the writing has ended first")
        }
        Either::Right((measured, _)) => measured?,
    };
    for latency in latencies {
        report.add_latency(latency);
    }
    lab.platform.stop().await
}

/// The group's consumers, one for each partition.
struct Partitions<'a> {
    lab: &'a Lab,
    stream: String,
    group: &'a Group,
}

impl Partitions<'_> {
    async fn measure(&self, rounds: usize) -> anyhow::Result<Vec<Latency>> {
        let log = Log::open()?;
        let member = || Member::join(self.group, &log);
        let stays = member()?;
        self.go_on("one member").await?;
        let [mut nothing, mut joins, mut leaves, mut dies] = [const { Vec::new() }; 4];
        for _round in 0..rounds {
            tokio::time::sleep(SETTLED).await;
            nothing.push(self.go_on(NOTHING).await?);
            let goes = member()?;
            joins.push(self.go_on(JOINS).await?);
            tokio::time::sleep(SETTLED).await;
            let left = goes.leave();
            leaves.push(self.go_on(LEAVES).await?);
            left.await?;
            let killed = member()?;
            self.go_on(JOINS).await?;
            tokio::time::sleep(SETTLED).await;
            killed.kill().await?;
            dies.push(self.go_on(DIES).await?);
        }
        stays.leave().await?;
        let scenario = format!("rebalance, {PARTITIONS} partitions, {RATE} rows/s");
        let latency = |subject, times| Latency::of(&scenario, subject, times);
        Ok(vec![
            latency(NOTHING, nothing),
            latency(JOINS, joins),
            latency(LEAVES, leaves),
            latency(DIES, dies),
        ])
    }

    /// Microseconds until of every partition a change has been acknowledged that was written from now on.
    async fn go_on(&self, what: &str) -> anyhow::Result<u64> {
        let started = Instant::now();
        let jetstream = async_nats::jetstream::new(self.lab.data.clone());
        let stream = jetstream.get_stream(&self.stream).await?;
        let now = stream.cached_info().state.last_sequence;
        let all = self.group.connection.consumers.iter();
        // Of those without a row of a table nothing comes.
        let numbered = all.filter(|one| one.partition.parse::<u32>().is_ok());
        for one in numbered {
            let what = format!("{what}: partition {} goes on", one.partition);
            let is_on = async || {
                let info = stream.consumer_info(&one.consumer).await?;
                Ok(info.ack_floor.stream_sequence > now)
            };
            self.lab.wait(&what, is_on).await?;
        }
        Ok(u64::try_from(started.elapsed().as_micros())?)
    }
}
