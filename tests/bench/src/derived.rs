//! Groups with a policy of their own: the service makes a stream for each, and a client of each reads that meanwhile.

use anyhow::Context as _;
use futures::future::try_join_all;
use rowcast_domain::Lsn;
use rowcast_e2e::Tracked;
use rowcast_proto::rest::GroupFormat;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::idle::AT_ONCE;
use crate::lab::Lab;
use crate::process;
use crate::reader::Reader;
use crate::result::Sample;

/// Every second row, without one of its columns. The row that is written last is one of them.
const POLICY: &str = "e_keep(`id` % 2 == 0)
    e_drop_columns(`note`)";

/// What a group with such a policy is asked for with, beside its name and login.
pub(crate) fn definition(format: GroupFormat) -> Value {
    json!({ "etl": { "script": POLICY, "on_error": "stop" }, "format": format })
}

/// How such groups are told their rows.
pub(crate) struct Kind {
    pub(crate) subject: &'static str,
    format: GroupFormat,
    /// Only one group of it is measured.
    is_alone: bool,
    /// Messages that each of them has to read.
    length: u64,
}

impl Kind {
    /// Every kind that is measured, of groups of this task, whose stream holds all that was committed before `end`.
    pub(crate) async fn all(lab: &Lab, task: &Tracked, end: Lsn) -> anyhow::Result<[Self; 2]> {
        Ok([
            Self {
                subject: "derived groups, JSON",
                format: GroupFormat::Json,
                is_alone: false,
                length: length(lab, task, GroupFormat::Json, end).await?,
            },
            Self {
                subject: "a derived group, protobuf",
                format: GroupFormat::Protobuf,
                is_alone: true,
                length: length(lab, task, GroupFormat::Protobuf, end).await?,
            },
        ])
    }

    /// Whether so many are measured.
    pub(crate) const fn is_for(&self, readers: usize) -> bool {
        !self.is_alone || readers == 1
    }
}

/// Messages of a group's own stream that is made of all of the task's stream: of one that is made to be counted.
async fn length(lab: &Lab, task: &Tracked, format: GroupFormat, end: Lsn) -> anyhow::Result<u64> {
    let group = task.group_as("counted", &definition(format)).await?;
    let stream = group.connection.stream;
    lab.wait("the own stream is there", async || {
        Ok(lab.has(&stream).await)
    })
    .await?;
    lab.holds(&stream, end).await?;
    let length = lab.length(&stream).await?;
    remove(lab, task, &[stream]).await?;
    Ok(length)
}

/// Makes so many groups, and lets a client of each read its stream while that is made.
///
/// Time and processor seconds count from the first message that any of them has until all have everything, so that making
/// the groups does not count but where one reads already while another is made.
pub(crate) async fn read(
    lab: &mut Lab,
    task: &Tracked,
    kind: &Kind,
    readers: usize,
) -> anyhow::Result<Sample> {
    let service = lab.service("consumer-group")?;
    let processes = [service, lab.broker()?];
    process::forget_peak(service)?;
    let lab: &Lab = lab;
    let (read, turn) = (watch::Sender::new(0), Semaphore::new(AT_ONCE));
    let mut has_begun = read.subscribe();
    let began = async {
        has_begun.wait_for(|&messages| messages > 0).await?;
        anyhow::Ok((Instant::now(), used(processes)?))
    };
    let (read, turn) = (&read, &turn);
    let streams = try_join_all((0..readers).map(async |number| {
        let permit = turn.acquire().await?;
        let name = format!("derived {number}");
        let group = task.group_as(&name, &definition(kind.format)).await?;
        drop(permit);
        let reader = Reader::of(group).await?;
        // It is made with the stream.
        lab.wait("the consumer is there", async || {
            Ok(reader.is_there(&lab.data).await)
        })
        .await?;
        let stream = reader.stream.clone();
        reader.follow(kind.length, read).await?;
        anyhow::Ok(stream)
    }));
    let ((began, before), streams) = tokio::try_join!(began, streams)?;
    let seconds = began.elapsed().as_secs_f64();
    let after = used(processes)?;
    remove(lab, task, &streams).await?;
    let rows = kind.length * readers as u64;
    Ok(Sample {
        rows,
        seconds,
        rows_per_second: rows as f64 / seconds,
        reader_cpu: after.service - before.service,
        nats_cpu: after.nats - before.nats,
        peak_mib: process::peak_mib(service)?,
        ..Sample::default()
    })
}

/// Removes all groups, and waits until these streams are gone: removing them is no part of what comes next.
async fn remove(lab: &Lab, task: &Tracked, streams: &[String]) -> anyhow::Result<()> {
    task.remove_groups().await?;
    for stream in streams {
        lab.wait("the own stream is removed", async || {
            Ok(!lab.has(stream).await)
        })
        .await?;
    }
    Ok(())
}

/// Processor seconds of consumer-group and of nats-server.
struct Used {
    service: f64,
    nats: f64,
}

fn used([service, nats]: [u32; 2]) -> anyhow::Result<Used> {
    let of = |process| process::cpu_seconds(process).context("a process has ended");
    Ok(Used {
        service: of(service)?,
        nats: of(nats)?,
    })
}
