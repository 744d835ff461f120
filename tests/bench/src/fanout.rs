//! One stream that several read at once: as groups with logins of their own, and as plain consumers.

use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures::future::try_join_all;
use rowcast_e2e::Tracked;
use rowcast_proto::stream::task_stream;
use serde_json::json;
use tokio::time::Instant;

use crate::about::About;
use crate::args::Args;
use crate::backlog::{Backlog, SCHEMA};
use crate::derived::{self, Kind};
use crate::lab::Lab;
use crate::reader::Reader;
use crate::result::{Measured, Sample};

/// Consumers without Rowcast.
pub(crate) const PLAIN: &str = "plain consumers";

/// Measures every number of readers.
pub(crate) async fn measure(args: &Args, report: &mut Measured) -> anyhow::Result<()> {
    let mut lab = Box::pin(Lab::start(Default::default(), SCHEMA)).await?;
    report.about = About::read(&lab).await?;
    let task = lab.running("fanout", &json!({})).await?;
    // All of them read all of it: a smaller stream tells the same.
    let rows = args.rows / 5;
    Backlog::Inserts.write(&lab, rows, args.seconds).await?;
    let end = lab.end_of_backlog().await?;
    lab.stores(&task.task, end).await?;
    let length = lab.stored(&task.task).await?;
    let kinds = Box::pin(Kind::all(&lab, &task, end)).await?;
    for &readers in &args.readers {
        for round in 1..=args.rounds {
            let mut add = |subject: &str, sample: Sample| {
                report.add(Sample {
                    scenario: format!("fanout to {readers}"),
                    subject: subject.to_owned(),
                    round,
                    ..sample
                });
            };
            let plain = plain(&lab, &task, &format!("plain_{readers}_{round}"), readers).await?;
            let plain = read(&mut lab, plain, length).await?;
            let ratio_of = plain.rows_per_second;
            add(PLAIN, plain);
            let groups = groups(&task, &format!("group {readers} {round}"), readers).await?;
            let mut groups = read(&mut lab, groups, length).await?;
            groups.ratio = Some(groups.rows_per_second / ratio_of);
            add("groups of Rowcast", groups);
            task.remove_groups().await?;
            for kind in kinds.iter().filter(|kind| kind.is_for(readers)) {
                let read = derived::read(&mut lab, &task, kind, readers);
                add(kind.subject, Box::pin(read).await?);
            }
        }
    }
    lab.platform.stop().await
}

async fn plain(
    lab: &Lab,
    task: &Tracked,
    name: &str,
    readers: usize,
) -> anyhow::Result<Vec<Reader>> {
    let mut all = Vec::new();
    for number in 0..readers {
        let (stream, consumer) = (task_stream(&task.task), format!("{name}_{number}"));
        let client = rowcast_e2e::data(&lab.platform).await?;
        let config = pull::Config {
            durable_name: Some(consumer.clone()),
            ack_policy: AckPolicy::All,
            max_ack_pending: 2000,
            ..pull::Config::default()
        };
        let jetstream = async_nats::jetstream::new(client.clone());
        jetstream.create_consumer_on_stream(config, &stream).await?;
        all.push(Reader {
            client,
            stream,
            consumer,
        });
    }
    Ok(all)
}

async fn groups(task: &Tracked, name: &str, readers: usize) -> anyhow::Result<Vec<Reader>> {
    let mut all = Vec::new();
    for number in 0..readers {
        all.push(Reader::of_group(task, &format!("{name} {number}")).await?);
    }
    Ok(all)
}

/// Lets all of them read all of the stream at once.
async fn read(lab: &mut Lab, readers: Vec<Reader>, length: u64) -> anyhow::Result<Sample> {
    let before = lab.used()?;
    let started = Instant::now();
    let count = readers.len() as u64;
    try_join_all(readers.into_iter().map(|reader| reader.read(length))).await?;
    let seconds = started.elapsed().as_secs_f64();
    let after = lab.used()?;
    let rows = length * count;
    Ok(Sample {
        rows,
        seconds,
        rows_per_second: rows as f64 / seconds,
        nats_cpu: after.nats - before.nats,
        reader_cpu: after.capture - before.capture,
        ..Sample::default()
    })
}
