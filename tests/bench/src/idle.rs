//! Tasks with nothing to do: what capture takes for them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use rowcast_domain::SourceId;
use rowcast_e2e::Tracked;
use rowcast_testkit::{PlatformOptions, Postgres};
use serde_json::json;

use crate::about::About;
use crate::args::Args;
use crate::backlog::SCHEMA;
use crate::lab::{DATABASE, Lab};
use crate::process;
use crate::result::{Measured, Sample};

/// How long they are watched.
pub(crate) const WATCHED: Duration = Duration::from_secs(20);

/// After the last was started: what starting them has left to do is no idling.
pub(crate) const SETTLED: Duration = Duration::from_secs(10);

/// Tasks that are made at once.
pub(crate) const AT_ONCE: usize = 8;

/// As many tasks are measured beside a busy database.
const BESIDE: usize = 100;

/// Measures every number of tasks, in as many spans as there are rounds, on a server where nothing happens, one behind the other; and once on a
/// server where another database is written to all the time, the platform's own: there every commit wakes
/// the walsender of every task, and each tells its task how far the WAL has come.
pub(crate) async fn measure(args: &Args, report: &mut Measured) -> anyhow::Result<()> {
    let most = args.tasks.iter().copied().max().unwrap_or_default();
    let mut lab = Box::pin(start(most)).await?;
    report.about = About::read(&lab).await?;
    let source = Postgres::start_set(room(most)).await?;
    let sql = source.client("postgres").await?;
    sql.batch_execute(&format!("CREATE DATABASE {DATABASE}"))
        .await?;
    source.client(DATABASE).await?.batch_execute(SCHEMA).await?;
    let id = lab
        .register("quiet", source.port(), source.password())
        .await?;
    let mut running = 0;
    for &tasks in &args.tasks {
        make(&lab, Some(&id), running..tasks).await?;
        running = tasks.max(running);
        let of = format!("idle, {running} tasks, {} s", WATCHED.as_secs());
        watch(&mut lab, &of, args.rounds, report).await?;
    }
    lab.platform.stop().await?;
    drop(source);

    let beside = BESIDE.min(most);
    let mut lab = Box::pin(start(beside)).await?;
    make(&lab, None, 0..beside).await?;
    let seconds = WATCHED.as_secs();
    let of = format!("idle beside a busy database, {beside} tasks, {seconds} s");
    watch(&mut lab, &of, args.rounds, report).await?;
    lab.platform.stop().await
}

/// What a server needs for so many tasks.
fn room(tasks: usize) -> BTreeMap<String, String> {
    let room = (2 * tasks + 200).to_string();
    let settings = [
        "max_replication_slots",
        "max_wal_senders",
        "max_connections",
    ];
    settings.map(|name| (name.to_owned(), room.clone())).into()
}

pub(crate) async fn start(tasks: usize) -> anyhow::Result<Lab> {
    let options = PlatformOptions {
        postgres_settings: room(tasks),
        environment: BTreeMap::new(),
        ..PlatformOptions::default()
    };
    Lab::start(options, SCHEMA).await
}

/// Makes tasks that run, on another source than the lab's where one is named.
pub(crate) async fn make(
    lab: &Lab,
    source: Option<&SourceId>,
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<Vec<Tracked>> {
    let more = source.map_or_else(|| json!({}), |id| json!({"source_id": id}));
    let new = futures::stream::iter(numbers).map(|number| {
        let (name, more) = (format!("idle {number}"), &more);
        async move { lab.running(&name, more).await }
    });
    let made = new.buffer_unordered(AT_ONCE).try_collect().await?;
    tokio::time::sleep(SETTLED).await;
    Ok(made)
}

/// Looks at the same state several times, one span behind the other.
async fn watch(
    lab: &mut Lab,
    scenario: &str,
    rounds: u32,
    report: &mut Measured,
) -> anyhow::Result<()> {
    for round in 1..=rounds {
        let before = lab.used()?;
        tokio::time::sleep(WATCHED).await;
        let after = lab.used()?;
        report.add(Sample {
            scenario: scenario.to_owned(),
            subject: "Rowcast".to_owned(),
            round,
            seconds: WATCHED.as_secs_f64(),
            reader_cpu: after.capture - before.capture,
            nats_cpu: after.nats - before.nats,
            peak_mib: process::resident_mib(lab.capture()?)?,
            ..Sample::default()
        });
    }
    Ok(())
}
