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
use crate::result::{Measured, Sample};
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

/// What everything is compared with.
pub(crate) const REFERENCE: &str = "pg_recvlogical";

/// When it reads in a round: before the ways of the first broker, between those and the ways of the second, and behind these. A
/// machine changes within minutes, so each way is compared with the mean of the two that stand around it.
const BEFORE: &str = "before";
const BETWEEN: &str = "between";
const BEHIND: &str = "behind";

/// Where nothing is stored.
const DECODED: &str = "decoded and encoded, and dropped";

/// A broker that syncs every two minutes, as it does where nobody says otherwise.
const LAZY: &str = "jetstream { store_dir: $ROWCAST_NATS_STORE, sync_interval: 2m }";

/// Slots of a backlog: one a way and round, those of the references, and some for the platform itself.
const SLOTS: u32 = 20;

/// Measures every backlog.
pub(crate) async fn measure(args: &Args, report: &mut Measured) -> anyhow::Result<()> {
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

/// The readers of a backlog that have not read yet, and in which round they do.
type Waiting = VecDeque<(u32, &'static Way, Tracked)>;

/// Writes a backlog and drains it on every way.
async fn drain(
    lab: &mut Lab,
    backlog: Backlog,
    args: &Args,
    report: &mut Measured,
) -> anyhow::Result<()> {
    backlog.prepare(lab, args.rows).await?;
    lab.sql.batch_execute(PUBLISH).await?;
    let mut tasks = readers(lab, backlog, args).await?;
    let known = tasks.front().map(|(_, _, task)| task.task.clone());
    let known = known.context("nothing to measure")?;
    let rows = backlog.write(lab, args.rows, args.seconds).await?;
    let end = lab.end_of_backlog().await?;
    for round in 1..=args.rounds {
        let mut turn = Round {
            backlog,
            round,
            rows,
            end,
            report: &mut *report,
        };
        let before = turn.reference(lab, BEFORE).await?;
        let from = turn.report.samples.len();
        turn.decoded(lab).await?;
        if lets_peers_read(args, backlog) {
            turn.peer(lab).await?;
        }
        Box::pin(turn.ways(lab, &mut tasks, true)).await?;
        let between = turn.compared(lab, from, before, BETWEEN).await?;

        restart_broker(lab, LAZY, &known).await?;
        let from = turn.report.samples.len();
        Box::pin(turn.ways(lab, &mut tasks, false)).await?;
        turn.compared(lab, from, between, BEHIND).await?;
        restart_broker(lab, "", &known).await?;
    }
    Ok(())
}

/// A backlog that is read once on every way.
struct Round<'a> {
    backlog: Backlog,
    round: u32,
    rows: u64,
    /// Behind the backlog.
    end: Lsn,
    report: &'a mut Measured,
}

impl Round<'_> {
    /// Notes how long it took somebody.
    fn add(&mut self, subject: &str, mut sample: Sample) {
        sample.scenario = format!("drain {}", self.backlog.name());
        sample.subject = subject.to_owned();
        sample.round = self.round;
        sample.rows = self.rows;
        sample.rows_per_second = self.rows as f64 / sample.seconds;
        self.report.add(sample);
    }

    fn slot(&self, name: &str) -> String {
        format!("{name}_{}", self.round)
    }

    /// What PostgreSQL can send at the moment, in rows a second.
    async fn reference(&mut self, lab: &Lab, when: &str) -> anyhow::Result<f64> {
        let sample = reference::drain(lab, &self.slot(when), self.end).await?;
        let speed = self.rows as f64 / sample.seconds;
        self.add(REFERENCE, sample);
        Ok(speed)
    }

    /// Reads the reference once more, and compares what was measured from this sample on with the mean of both.
    async fn compared(
        &mut self,
        lab: &Lab,
        from: usize,
        before: f64,
        when: &str,
    ) -> anyhow::Result<f64> {
        let until = self.report.samples.len();
        let behind = self.reference(lab, when).await?;
        self.report
            .compare(from..until, f64::midpoint(before, behind));
        Ok(behind)
    }

    async fn decoded(&mut self, lab: &Lab) -> anyhow::Result<()> {
        let sample = reference::decode(lab, &self.slot("decode"), self.end).await?;
        self.add(DECODED, sample);
        Ok(())
    }

    async fn peer(&mut self, lab: &Lab) -> anyhow::Result<()> {
        // The row behind the backlog comes too.
        let sample = peers::debezium(lab, &self.slot("peer"), self.rows + 1).await?;
        self.add(peers::DEBEZIUM, sample);
        Ok(())
    }

    /// Every way of this round with such a broker.
    async fn ways(
        &mut self,
        lab: &mut Lab,
        tasks: &mut Waiting,
        synced: bool,
    ) -> anyhow::Result<()> {
        let round = self.round;
        while let Some((_, way, task)) =
            tasks.pop_front_if(|(of, way, _)| *of == round && way.synced == synced)
        {
            let reader = if way.read {
                Some(Reader::of_group(&task, "meanwhile").await?)
            } else {
                None
            };
            let sample = rowcast_sample(lab, &task, (self.rows, self.end), reader).await?;
            self.add(way.subject, sample);
            lab.release(task).await?;
        }
        Ok(())
    }
}

/// One backlog is enough to compare with another program.
fn lets_peers_read(args: &Args, backlog: Backlog) -> bool {
    args.peers && backlog == Backlog::Inserts
}

/// Slots and tasks for every round, which keep what comes from now on.
async fn readers(lab: &Lab, backlog: Backlog, args: &Args) -> anyhow::Result<Waiting> {
    let mut tasks = VecDeque::new();
    for round in 1..=args.rounds {
        let peer = lets_peers_read(args, backlog).then_some("peer");
        let references = [BEFORE, BETWEEN, BEHIND, "decode"];
        for name in references.into_iter().chain(peer) {
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
