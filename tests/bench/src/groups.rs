//! Many groups of many tasks on one consumer-group: what it takes for them while nobody reads.

use futures::{StreamExt as _, TryStreamExt as _};
use rowcast_e2e::Tracked;
use rowcast_proto::rest::GroupFormat;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::about::About;
use crate::args::Args;
use crate::derived;
use crate::idle::{self, AT_ONCE, SETTLED, WATCHED};
use crate::lab::Lab;
use crate::process;
use crate::result::{Measured, Sample};

/// Tasks that the groups belong to.
const TASKS: usize = 100;

/// What is measured at rest and with them.
const SUBJECT: &str = "Rowcast: consumer-group";

/// Measures tasks without a group, how fast groups are made, and the same tasks with them; and then with some more that have
/// a stream of their own.
pub(crate) async fn measure(args: &Args, report: &mut Measured) -> anyhow::Result<()> {
    let mut lab = Box::pin(idle::start(TASKS)).await?;
    report.about = About::read(&lab).await?;
    let tasks = idle::make(&lab, None, 0..TASKS).await?;
    watch(&mut lab, "0", args.rounds, report).await?;

    let groups = args.groups * tasks.len();
    let plain = Kind {
        name: "group",
        each: args.groups,
        more: json!({}),
    };
    let sample = made(&mut lab, &tasks, &plain).await?;
    report.add(named(sample, format!("groups, {groups} made")));
    tokio::time::sleep(SETTLED).await;
    watch(&mut lab, &groups.to_string(), args.rounds, report).await?;

    if args.derived > 0 {
        let own = args.derived * tasks.len();
        let derived = Kind {
            name: "derived",
            each: args.derived,
            more: derived::definition(GroupFormat::Json),
        };
        let sample = made(&mut lab, &tasks, &derived).await?;
        report.add(named(sample, format!("groups, {own} derived made")));
        tokio::time::sleep(SETTLED).await;
        let of = format!("{groups} and {own} derived");
        watch(&mut lab, &of, args.rounds, report).await?;
    }
    lab.platform.stop().await
}

/// Groups that each task gets.
struct Kind {
    name: &'static str,
    each: usize,
    /// What they are asked for with, beside name and login.
    more: Value,
}

fn named(mut sample: Sample, scenario: String) -> Sample {
    sample.scenario = scenario;
    SUBJECT.clone_into(&mut sample.subject);
    sample
}

/// How long it takes to make them.
async fn made(lab: &mut Lab, tasks: &[Tracked], kind: &Kind) -> anyhow::Result<Sample> {
    let before = used(lab)?;
    let started = Instant::now();
    for number in 0..kind.each {
        make(tasks, &format!("{} {number}", kind.name), &kind.more).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let groups = kind.each * tasks.len();
    let after = used(lab)?;
    Ok(Sample {
        round: 1,
        rows: groups as u64,
        seconds,
        rows_per_second: groups as f64 / seconds,
        reader_cpu: after.0 - before.0,
        nats_cpu: after.1 - before.1,
        peak_mib: resident(lab)?,
        ..Sample::default()
    })
}

/// One group more of each task.
async fn make(tasks: &[Tracked], name: &str, more: &Value) -> anyhow::Result<()> {
    let new =
        futures::stream::iter(tasks).map(async |task| task.group_as(name, more).await.map(drop));
    new.buffer_unordered(AT_ONCE).try_collect::<()>().await
}

/// Looks at the same state several times, one span behind the other.
async fn watch(
    lab: &mut Lab,
    groups: &str,
    rounds: u32,
    report: &mut Measured,
) -> anyhow::Result<()> {
    for round in 1..=rounds {
        let before = used(lab)?;
        tokio::time::sleep(WATCHED).await;
        let after = used(lab)?;
        let sample = Sample {
            round,
            seconds: WATCHED.as_secs_f64(),
            reader_cpu: after.0 - before.0,
            nats_cpu: after.1 - before.1,
            peak_mib: resident(lab)?,
            ..Sample::default()
        };
        let scenario = format!("groups, {groups} of {TASKS} tasks, {} s", WATCHED.as_secs());
        report.add(named(sample, scenario));
    }
    Ok(())
}

/// Processor seconds of consumer-group and of nats-server.
fn used(lab: &mut Lab) -> anyhow::Result<(f64, f64)> {
    Ok((lab.cpu("consumer-group")?, lab.used()?.nats))
}

fn resident(lab: &mut Lab) -> anyhow::Result<f64> {
    process::resident_mib(lab.service("consumer-group")?)
}
