//! Other programs that read what Rowcast reads.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::Instant;

use crate::lab::{DATABASE, LOOK, Lab};
use crate::result::Sample;
use crate::{process, reference};

/// What the measurement is called.
pub(crate) const DEBEZIUM: &str = "Debezium's engine, counted and dropped";

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/debezium.py");

/// Where `./dev bench --peers` puts its libraries.
const LIBRARIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/peers");

/// Reads a slot with Debezium's engine until it was given so many rows, and removes the slot.
///
/// Time and processor seconds count from when the slot is read: a virtual machine that starts is no
/// measure of one that runs. Its memory counts as a whole.
pub(crate) async fn debezium(lab: &Lab, slot: &str, rows: u64) -> anyhow::Result<Sample> {
    anyhow::ensure!(
        Path::new(LIBRARIES).is_dir(),
        "Debezium is missing: run ./dev bench --peers"
    );
    let log = tempfile::NamedTempFile::new()?;
    let mut child = Command::new("python3")
        .args([PROGRAM, &lab.platform.postgres.port().to_string()])
        .args([DATABASE, slot, reference::PUBLICATION, &rows.to_string()])
        .env("PGPASSWORD", lab.platform.postgres.password().expose())
        .env("PYTHONPATH", LIBRARIES)
        .stdout(Stdio::piped())
        .stderr(log.reopen()?)
        .kill_on_drop(true)
        .spawn()
        .context("python3 is missing")?;
    let pid = child.id().context("Debezium has ended")?;
    let output = child.stdout.take().context("Debezium has no output")?;
    let mut lines = BufReader::new(output).lines();
    let (mut started, mut sender, mut before) = (Instant::now(), None, 0.0);
    loop {
        if sender.is_none() {
            sender = lab.reader(slot).await?;
            started = Instant::now();
            before = process::cpu_seconds(pid).unwrap_or_default();
        }
        tokio::select! {
            line = lines.next_line() => match line?.as_deref() {
                Some("done") => break,
                Some(_) => {}
                None => {
                    let said = std::fs::read_to_string(log.path())?;
                    let error = said.lines().rev().find(|line| line.contains("ERROR"));
                    anyhow::bail!("Debezium has ended: {}", error.unwrap_or(&said));
                }
            },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    let used = Sample {
        seconds: started.elapsed().as_secs_f64(),
        walsender_cpu: sender.and_then(process::cpu_seconds).unwrap_or_default(),
        reader_cpu: process::cpu_seconds(pid).unwrap_or_default() - before,
        peak_mib: process::peak_mib(pid)?,
        ..Sample::default()
    };
    child.kill().await?;
    reference::drop_slot(lab, slot).await?;
    Ok(used)
}
