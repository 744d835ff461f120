//! A backlog, read by `pg_recvlogical` and stored by Rowcast, in turns.

use std::collections::VecDeque;

use anyhow::Context as _;
use rowcast_domain::{Lsn, TaskId, TaskState};
use rowcast_e2e::Tracked;
use rowcast_proto::rest::Task;
use rowcast_proto::stream::source_object;
use rowcast_testkit::PlatformOptions;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::about::About;
use crate::args::Args;
use crate::backlog::{Backlog, SCHEMA};
use crate::lab::Lab;
use crate::reader::Reader;
use crate::reference::{self, PUBLISH};
use crate::result::{Report, Sample};
use crate::{peers, process};

/// A way from the source to the stream.
struct Way {
    subject: &'static str,
    /// How rows become messages: packing and format.
    messages: (&'static str, &'static str),
    /// The broker syncs before it acknowledges.
    synced: bool,
    /// A client reads meanwhile.
    read: bool,
}

const fn way(
    subject: &'static str,
    messages: (&'static str, &'static str),
    synced: bool,
    read: bool,
) -> Way {
    Way {
        subject,
        messages,
        synced,
        read,
    }
}

const ROW: (&str, &str) = ("row", "json");
const PACK: (&str, &str) = ("transaction", "json");
const ROW_OF_PROTOBUF: (&str, &str) = ("row", "protobuf");
const PACK_OF_PROTOBUF: (&str, &str) = ("transaction", "protobuf");

/// Those with the same broker beside each other: it is started anew between them.
const WAYS: [Way; 10] = [
    way("Rowcast, a message a row, synced", ROW, true, false),
    way("Rowcast, rows packed, synced", PACK, true, false),
    way(
        "Rowcast, rows packed, of protobuf",
        PACK_OF_PROTOBUF,
        true,
        false,
    ),
    way("the same, a row, and a client", ROW, true, true),
    way("the same, packed, and a client", PACK, true, true),
    way("Rowcast, a message a row, lazily synced", ROW, false, false),
    way("lazily, a row, of protobuf", ROW_OF_PROTOBUF, false, false),
    way("Rowcast, rows packed, lazily synced", PACK, false, false),
    way("lazily, a row, and a client", ROW, false, true),
    way("lazily, packed, and a client", PACK, false, true),
];

/// Where nothing is stored.
const DECODED: &str = "decoded and encoded, and dropped";

/// A broker that syncs every two minutes, as it does where nobody says otherwise.
const LAZY: &str = "jetstream { store_dir: $ROWCAST_NATS_STORE, sync_interval: 2m }";

/// Slots of a backlog: one a way and round, those of the references, and some for the platform itself.
const SLOTS: u32 = 20;

/// Measures every backlog.
pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let room = (SLOTS * args.rounds).to_string();
    let settings = ["max_replication_slots", "max_wal_senders"];
    let options = PlatformOptions {
        postgres_settings: settings.map(|name| (name.to_owned(), room.clone())).into(),
        ..PlatformOptions::default()
    };
    let mut lab = Box::pin(Lab::start(options, SCHEMA)).await?;
    report.about = About::read(&lab).await?;
    for backlog in args.backlogs() {
        Box::pin(drain(&mut lab, backlog, args, report)).await?;
    }
    lab.platform.stop().await
}

/// Writes a backlog and drains it on every way.
async fn drain(
    lab: &mut Lab,
    backlog: Backlog,
    args: &Args,
    report: &mut Report,
) -> anyhow::Result<()> {
    backlog.prepare(lab, args.rows).await?;
    lab.sql.batch_execute(PUBLISH).await?;
    let mut tasks = readers(lab, backlog, args).await?;
    let known = tasks.front().map(|(_, _, task)| task.task.clone());
    let known = known.context("nothing to measure")?;
    let rows = backlog.write(lab, args.rows, args.seconds).await?;
    let end = lab.end_of_backlog().await?;
    let scenario = format!("drain {}", backlog.name());
    for round in 1..=args.rounds {
        let mut measured = |subject: &str, mut sample: Sample, ratio_of: Option<f64>| {
            sample.scenario.clone_from(&scenario);
            subject.clone_into(&mut sample.subject);
            sample.round = round;
            sample.rows = rows;
            sample.rows_per_second = rows as f64 / sample.seconds;
            sample.ratio = ratio_of.map(|of| sample.rows_per_second / of);
            let speed = sample.rows_per_second;
            report.add(sample);
            speed
        };
        for synced in [true, false] {
            let name = if synced { "synced" } else { "lazy" };
            let reference = reference::drain(lab, &format!("{name}_{round}"), end).await?;
            let ratio_of = Some(measured("pg_recvlogical", reference, None));
            if synced {
                let decoded = reference::decode(lab, &format!("decode_{round}"), end).await?;
                measured(DECODED, decoded, ratio_of);
                if lets_peers_read(args, backlog) {
                    let slot = format!("peer_{round}");
                    // The row behind the backlog comes too.
                    let peer = peers::debezium(lab, &slot, rows + 1).await?;
                    measured(peers::DEBEZIUM, peer, ratio_of);
                }
            } else {
                restart_broker(lab, LAZY, &known).await?;
            }
            while let Some((_, way, task)) =
                tasks.pop_front_if(|(of, way, _)| *of == round && way.synced == synced)
            {
                let reader = if way.read {
                    Some(Reader::of_group(&task, "meanwhile").await?)
                } else {
                    None
                };
                let sample = rowcast_sample(lab, &task, (rows, end), reader).await?;
                measured(way.subject, sample, ratio_of);
                lab.release(task).await?;
            }
        }
        restart_broker(lab, "", &known).await?;
    }
    Ok(())
}

/// One backlog is enough to compare with another program.
fn lets_peers_read(args: &Args, backlog: Backlog) -> bool {
    args.peers && backlog == Backlog::Inserts
}

/// Slots and tasks for every round, which keep what comes from now on.
async fn readers(
    lab: &Lab,
    backlog: Backlog,
    args: &Args,
) -> anyhow::Result<VecDeque<(u32, &'static Way, Tracked)>> {
    let mut tasks = VecDeque::new();
    for round in 1..=args.rounds {
        let peer = lets_peers_read(args, backlog).then_some("peer");
        for name in ["synced", "lazy", "decode"].into_iter().chain(peer) {
            reference::slot(lab, &format!("{name}_{round}"), "pgoutput").await?;
        }
        // What a client reads meanwhile depends on the broker more than on the backlog.
        let ways = WAYS
            .iter()
            .filter(|way| !way.read || backlog == Backlog::Inserts);
        for way in ways {
            let (packing, format) = way.messages;
            let definition = json!({"packing": packing, "format": format});
            let task = lab.suspended(way.subject, &definition).await?;
            tasks.push_back((round, way, task));
        }
    }
    Ok(tasks)
}

/// Starts the broker anew, and waits until the services have noticed.
async fn restart_broker(lab: &mut Lab, overrides: &str, task: &TaskId) -> anyhow::Result<()> {
    lab.platform.nats.restart_with(overrides).await?;
    lab.wait("the services answer again", async || {
        Ok(lab.answers(task).await)
    })
    .await
}

/// Starts a task and waits until the stream holds its rows, which were committed before `end`; and until
/// the reader has all of them, where there is one.
pub(crate) async fn rowcast_sample(
    lab: &mut Lab,
    task: &Tracked,
    (rows, end): (u64, Lsn),
    reader: Option<Reader>,
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
    let (read, has_read) = (watch::Sender::new(0), reader.is_some());
    let all = async {
        lab.stores(&task.task, end).await?;
        if has_read {
            let length = lab.stored(&task.task).await?;
            read.subscribe()
                .wait_for(|&messages| messages >= length)
                .await?;
        }
        anyhow::Ok(())
    };
    let follow = async {
        match reader {
            Some(reader) => reader.follow(u64::MAX, &read).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        all = all => all?,
        ended = follow => ended?,
    }
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
