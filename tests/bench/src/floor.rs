//! What the ways between the parts take by themselves, at the same rate and on the same machine.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::MissedTickBehavior;

use crate::lab::{Lab, now_micros};
use crate::{live, reference};

/// Microseconds from a publish to its subscription, without JetStream.
pub(crate) async fn broker(lab: &Lab, rate: u64, span: Duration) -> anyhow::Result<Vec<u64>> {
    let (writer, reader) = (rowcast_e2e::data(&lab.platform).await?, lab.data.clone());
    let mut messages = reader.subscribe("bench.floor").await?;
    reader.flush().await?;
    let publish = async {
        let mut timer = tokio::time::interval(Duration::from_millis(1));
        timer.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for tick in 0..u64::try_from(span.as_millis())? {
            timer.tick().await;
            for _message in rate * tick / 1000..rate * (tick + 1) / 1000 {
                let written = now_micros().to_string();
                writer.publish("bench.floor", written.into()).await?;
            }
        }
        anyhow::Ok(())
    };
    let read = async {
        let mut times = Vec::new();
        let silence = Duration::from_secs(2);
        while let Ok(Some(message)) = tokio::time::timeout(silence, messages.next()).await {
            let written: u64 = std::str::from_utf8(&message.payload)?.parse()?;
            times.push(now_micros().saturating_sub(written));
        }
        anyhow::Ok(times)
    };
    let (published, times) = tokio::join!(publish, read);
    published?;
    times
}

/// Microseconds from a row's writing to a reader of the replication stream: `pg_recvlogical` with
/// `test_decoding`, which prints the row.
pub(crate) async fn source(lab: &Lab, rate: u64, span: Duration) -> anyhow::Result<Vec<u64>> {
    let slot = format!("floor_{rate}");
    reference::slot(lab, &slot, "test_decoding").await?;
    let mut child = reference::pg_recvlogical(lab, &slot)
        .args(["--file", "-", "--fsync-interval", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .context(reference::MISSING)?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    lab.wait("the slot is read", async || {
        Ok(lab.reader(&slot).await?.is_some())
    })
    .await?;
    let read = async {
        let mut times = Vec::new();
        let silence = Duration::from_secs(2);
        // Silence ends it: the writer has stopped.
        while let Ok(Ok(Some(line))) = tokio::time::timeout(silence, lines.next_line()).await {
            let written = line.split_once("written[bigint]:").map(|(_, rest)| rest);
            let written = written.and_then(|rest| rest.split_whitespace().next());
            if let Some(written) = written {
                times.push(now_micros().saturating_sub(written.parse()?));
            }
        }
        anyhow::Ok(times)
    };
    let (written, times) = tokio::join!(live::write(lab, rate, span), read);
    written?;
    child.kill().await?;
    reference::drop_slot(lab, &slot).await?;
    times
}
