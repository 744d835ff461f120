//! Tasks with nothing to do: what capture takes for them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use rowcast_testkit::PlatformOptions;
use serde_json::json;

use crate::about::About;
use crate::args::Args;
use crate::backlog::SCHEMA;
use crate::lab::Lab;
use crate::process;
use crate::result::{Report, Sample};

/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(20);

/// Tasks that are made at once.
const AT_ONCE: usize = 8;

/// Measures every number of tasks, one behind the other.
pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let most = args.tasks.iter().copied().max().unwrap_or_default();
    let room = (2 * most + 200).to_string();
    let settings = [
        "max_replication_slots",
        "max_wal_senders",
        "max_connections",
    ];
    let options = PlatformOptions {
        postgres_settings: settings.map(|name| (name.to_owned(), room.clone())).into(),
        environment: BTreeMap::new(),
        ..PlatformOptions::default()
    };
    let mut lab = Box::pin(Lab::start(options, SCHEMA)).await?;
    report.about = About::read(&lab).await?;
    let mut running = 0;
    for &tasks in &args.tasks {
        let new = futures::stream::iter(running..tasks);
        let new = new.map(|number| {
            let (lab, name) = (&lab, format!("idle {number}"));
            async move { lab.running(&name, &json!({})).await.map(drop) }
        });
        new.buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        running = tasks.max(running);
        let before = lab.used()?;
        tokio::time::sleep(WATCHED).await;
        let after = lab.used()?;
        report.add(Sample {
            scenario: format!("idle, {running} tasks, {} s", WATCHED.as_secs()),
            subject: "Rowcast".to_owned(),
            round: 1,
            seconds: WATCHED.as_secs_f64(),
            reader_cpu: after.capture - before.capture,
            nats_cpu: after.nats - before.nats,
            peak_mib: process::resident_mib(lab.capture()?)?,
            ..Sample::default()
        });
    }
    lab.platform.stop().await
}
