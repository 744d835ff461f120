//! A backlog, read by `pg_recvlogical` and stored by Rowcast, in turns.

use rowcast_domain::{Lsn, TaskState};
use rowcast_e2e::Tracked;
use rowcast_proto::rest::Task;
use rowcast_proto::stream::source_object;
use serde_json::json;
use tokio::time::Instant;

use crate::args::Args;
use crate::backlog::{Backlog, SCHEMA};
use crate::lab::{DATABASE, Lab};
use crate::process;
use crate::reference::{self, PUBLICATION};
use crate::result::{Report, Sample};

/// How rows become messages.
const PACKINGS: [(&str, &str); 2] = [
    ("row", "Rowcast, a message a row, synced"),
    ("transaction", "Rowcast, rows packed, synced"),
];

/// Measures every backlog.
pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let mut lab = Box::pin(Lab::start(Default::default(), SCHEMA)).await?;
    lab.sql
        .batch_execute(&format!(
            "CREATE PUBLICATION {PUBLICATION} FOR TABLE bench.orders"
        ))
        .await?;
    for backlog in args.backlogs() {
        let sql = backlog.prepare(args.rows);
        lab.platform.postgres.sql(DATABASE, &sql).await?;
        let mut tasks = Vec::new();
        for round in 1..=args.rounds {
            reference::slot(&lab, &format!("reference_{round}"), "pgoutput").await?;
            for (packing, subject) in PACKINGS {
                let definition = json!({"packing": packing});
                tasks.push((round, subject, lab.suspended(subject, &definition).await?));
            }
        }
        let sql = backlog.write(args.rows);
        lab.platform.postgres.sql(DATABASE, &sql).await?;
        let end = lab.end_of_backlog().await?;
        let mut ratio_of = 0.0;
        for (round, subject, task) in tasks {
            if subject == PACKINGS[0].1 {
                let reference = reference_sample(&lab, backlog, round, args.rows, end).await?;
                ratio_of = reference.rows_per_second;
                report.add(reference);
            }
            let mut sample = rowcast_sample(&mut lab, &task, args.rows, end).await?;
            sample.scenario = format!("drain {}", backlog.name());
            sample.subject = subject.to_owned();
            sample.round = round;
            sample.ratio = Some(sample.rows_per_second / ratio_of);
            report.add(sample);
            lab.release(task).await?;
        }
    }
    lab.platform.stop().await
}

async fn reference_sample(
    lab: &Lab,
    backlog: Backlog,
    round: u32,
    rows: u64,
    end: Lsn,
) -> anyhow::Result<Sample> {
    let drained = reference::drain(lab, &format!("reference_{round}"), end).await?;
    Ok(Sample {
        scenario: format!("drain {}", backlog.name()),
        subject: "pg_recvlogical".to_owned(),
        round,
        rows,
        seconds: drained.seconds,
        rows_per_second: rows as f64 / drained.seconds,
        walsender_cpu: drained.walsender,
        reader_cpu: drained.client,
        peak_mib: drained.client_mib,
        ..Sample::default()
    })
}

/// Starts a task and waits until the stream holds its rows, which were committed before `end`.
pub(crate) async fn rowcast_sample(
    lab: &mut Lab,
    task: &Tracked,
    rows: u64,
    end: Lsn,
) -> anyhow::Result<Sample> {
    let capture = lab.capture()?;
    let slot = source_object(&task.task);
    let before = lab.used()?;
    process::forget_peak(capture)?;
    let _task: Task = task.command("start").await?;
    lab.wait("the slot is read", async || {
        Ok(lab.reader(&slot).await?.is_some())
    })
    .await?;
    let started = Instant::now();
    let sender = lab.reader(&slot).await?;
    lab.stores(&task.task, end).await?;
    let seconds = started.elapsed().as_secs_f64();
    let after = lab.used()?;
    let walsender_cpu = sender.and_then(process::cpu_seconds).unwrap_or_default();
    let bytes = lab.stored_bytes(&task.task).await?;
    let sample = Sample {
        rows,
        seconds,
        rows_per_second: rows as f64 / seconds,
        megabytes_per_second: bytes as f64 / 1e6 / seconds,
        walsender_cpu,
        reader_cpu: after.capture - before.capture,
        nats_cpu: after.nats - before.nats,
        peak_mib: process::peak_mib(capture)?,
        ..Sample::default()
    };
    let _task: Task = task.command("suspend").await?;
    task.reaches(TaskState::Suspended).await;
    Ok(sample)
}
