//! Rows at a steady rate, each with the time at which it was written, read by a member of a group.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use futures::StreamExt as _;
use rowcast_client::Subscription;
use rowcast_e2e::Tracked;
use rowcast_proto::change::Change;
use rowcast_proto::stream::task_stream;
use serde_json::json;
use tokio::time::MissedTickBehavior;

use crate::about::About;
use crate::args::Args;
use crate::floor;
use crate::lab::{Lab, now_micros};
use crate::result::{Latency, Measured};

/// A row tells when it was written, in microseconds since 1970.
pub(crate) const SCHEMA: &str = "CREATE SCHEMA bench;
    CREATE TABLE bench.clock (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, written bigint NOT NULL, note text);";

/// Between two transactions.
const TICK: Duration = Duration::from_millis(1);

/// Rows whose times are not counted: connections and buffers are new.
const WARM_UP: usize = 1_000;

/// Nothing comes any more: longer than the longest stall that is still one, and no heartbeat is due.
const SILENCE: Duration = Duration::from_secs(3);

/// Changes behind one acknowledgement.
const ACK_EVERY: usize = 500;

/// Measures every rate in every round, and the floor of the same minute.
pub(crate) async fn measure(args: &Args, report: &mut Measured) -> anyhow::Result<()> {
    let lab = Box::pin(Lab::start(Default::default(), SCHEMA)).await?;
    report.about = About::read(&lab).await?;
    let task = lab.running("live", &json!({})).await?;
    let span = Duration::from_secs(args.seconds);
    for round in 1..=args.rounds {
        // A task may have twenty groups: those of the round before go.
        task.remove_groups().await?;
        for &rate in &args.rates {
            for latency in Box::pin(one_rate(&lab, &task, rate, span)).await? {
                report.add_latency(latency.in_round(round));
            }
        }
    }
    lab.platform.stop().await
}

/// The floors and Rowcast at one rate, once.
async fn one_rate(
    lab: &Lab,
    task: &Tracked,
    rate: u64,
    span: Duration,
) -> anyhow::Result<[Latency; 4]> {
    let broker = floor::broker(lab, rate, span).await?;
    let source = floor::source(lab, rate, span).await?;
    let started = now_micros();
    let client = read(lab, task, rate, span).await?;
    let stored = stored(lab, task, started).await?;
    let scenario = format!("live, {rate} rows/s");
    let of = |subject, times| Latency::of(&scenario, subject, times);
    Ok([
        of("NATS alone: publish to subscription", broker),
        of("PostgreSQL alone: commit to walsender", source),
        of("Rowcast: commit to stream", stored),
        of("Rowcast: commit to client", client),
    ])
}

/// Microseconds from each row's writing to a member of a group.
async fn read(lab: &Lab, task: &Tracked, rate: u64, span: Duration) -> anyhow::Result<Vec<u64>> {
    let mut member = task
        .group(&format!("clock {rate}"))
        .await?
        .subscribe()
        .await?;
    // What is there already comes first, and is not what is measured.
    take(&mut member, &mut Vec::new()).await?;
    let mut times = Vec::new();
    let (written, taken) = tokio::join!(write(lab, rate, span), take(&mut member, &mut times));
    written?;
    taken?;
    Ok(times.split_off(WARM_UP.min(times.len())))
}

/// Takes what comes until there is silence, with the microseconds from each row's writing until then.
async fn take(member: &mut Subscription, times: &mut Vec<u64>) -> anyhow::Result<()> {
    let mut taken = 0_usize;
    while let Ok(Some(next)) = tokio::time::timeout(SILENCE, member.next()).await {
        let delivery = next?;
        let row = delivery.change.after.as_ref();
        if let Some(written) = row.and_then(|row| row.get("written")?.as_u64()) {
            times.push(now_micros().saturating_sub(written));
        }
        taken += 1;
        if taken.is_multiple_of(ACK_EVERY) {
            delivery.ack().await?;
        }
    }
    Ok(())
}

/// Microseconds from each row's writing to its place in the stream, as the broker has noted it.
async fn stored(lab: &Lab, task: &Tracked, started: u64) -> anyhow::Result<Vec<u64>> {
    let jetstream = async_nats::jetstream::new(lab.data.clone());
    let stream = jetstream.get_stream(task_stream(&task.task)).await?;
    let consumer = stream
        .create_consumer(pull::OrderedConfig::default())
        .await?;
    let mut messages = consumer.messages().await?;
    let mut times = Vec::new();
    while let Some(message) = messages.next().await {
        let message = message?;
        let info = message.info().map_err(anyhow::Error::from_boxed)?;
        let change: Change = Change::read(&message.payload)?;
        let row = change.after.as_ref();
        let written = row.and_then(|row| row.get("written")?.as_u64());
        if let Some(written) = written.filter(|&written| written >= started) {
            let stored = u64::try_from(info.published.unix_timestamp_nanos() / 1000)?;
            times.push(stored.saturating_sub(written));
        }
        if info.pending == 0 {
            break;
        }
    }
    Ok(times.split_off(WARM_UP.min(times.len())))
}

/// Writes rows at a rate: at each tick a transaction with those that are due.
pub(crate) async fn write(lab: &Lab, rate: u64, span: Duration) -> anyhow::Result<()> {
    let insert = "INSERT INTO bench.clock (written, note)
        SELECT extract(epoch FROM clock_timestamp()) * 1000000, 'a note of some words'
        FROM generate_series(1, $1::int)";
    let insert = lab.sql.prepare(insert).await?;
    let mut timer = tokio::time::interval(TICK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let ticks = u64::try_from(span.as_millis())?;
    for tick in 0..ticks {
        timer.tick().await;
        let due = rate * (tick + 1) / 1000 - rate * tick / 1000;
        if due > 0 {
            lab.sql.execute(&insert, &[&i32::try_from(due)?]).await?;
        }
    }
    Ok(())
}
