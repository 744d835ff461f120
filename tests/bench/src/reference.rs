//! What PostgreSQL can send: `pg_recvlogical` reads the backlog and drops it.

use std::process::Stdio;

use anyhow::Context as _;
use rowcast_domain::Lsn;
use tokio::process::Command;
use tokio::time::Instant;

use crate::lab::{DATABASE, LOOK, Lab};
use crate::process;
use crate::result::Sample;

/// The publication that it reads, of the tables that tasks read too.
pub(crate) const PUBLICATION: &str = "bench_reference";

/// Makes the publication; once more where tables have joined.
pub(crate) const PUBLISH: &str = "DROP PUBLICATION IF EXISTS bench_reference;
    CREATE PUBLICATION bench_reference FOR ALL TABLES";

/// Where there is no `pg_recvlogical`.
pub(crate) const MISSING: &str = "pg_recvlogical is missing: install postgresql-client";

/// Makes a slot that keeps what comes from now on.
pub(crate) async fn slot(lab: &Lab, name: &str, plugin: &str) -> anyhow::Result<()> {
    let make = "SELECT pg_create_logical_replication_slot($1::text, $2::text)";
    lab.sql.execute(make, &[&name, &plugin]).await?;
    Ok(())
}

/// Removes a slot once nobody reads it.
pub(crate) async fn drop_slot(lab: &Lab, name: &str) -> anyhow::Result<()> {
    lab.wait("the slot is given back", async || {
        Ok(lab.reader(name).await?.is_none())
    })
    .await?;
    let drop = "SELECT pg_drop_replication_slot($1)";
    lab.sql.execute(drop, &[&name]).await?;
    Ok(())
}

/// The program, reading a slot; what it writes where is still to be said.
pub(crate) fn pg_recvlogical(lab: &Lab, slot: &str) -> Command {
    let mut command = Command::new("pg_recvlogical");
    command
        .args(["--host", "127.0.0.1", "--username", "postgres"])
        .args(["--port", &lab.platform.postgres.port().to_string()])
        .args(["--dbname", DATABASE, "--slot", slot, "--start"])
        .env("PGPASSWORD", lab.platform.postgres.password().expose())
        .kill_on_drop(true);
    command
}

/// Reads a slot up to `end` with `pg_recvlogical`, which drops everything, and removes the slot.
pub(crate) async fn drain(lab: &Lab, slot: &str, end: Lsn) -> anyhow::Result<Sample> {
    let mut command = pg_recvlogical(lab, slot);
    command
        .args(["--no-loop", "--endpos", &end.to_string()])
        .args(["--file", "/dev/null", "--option", "proto_version=1"])
        .args(["--option", &format!("publication_names={PUBLICATION}")]);
    watched(lab, slot, command).await.context(MISSING)
}

/// As [`drain`], by capture's own reading, decoding and encoding.
pub(crate) async fn decode(lab: &Lab, slot: &str, end: Lsn) -> anyhow::Result<Sample> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name("capture-decode"));
    command
        .args(["127.0.0.1", &lab.platform.postgres.port().to_string()])
        .args([DATABASE, slot, PUBLICATION, &end.to_string()])
        .env("PGPASSWORD", lab.platform.postgres.password().expose())
        .kill_on_drop(true);
    let missing = "capture-decode is missing: build capture with its feature decode";
    watched(lab, slot, command).await.context(missing)
}

/// Runs a reader of the slot to its end, and removes the slot.
async fn watched(lab: &Lab, slot: &str, mut command: Command) -> anyhow::Result<Sample> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let pid = child.id().context("the reader has ended")?;
    let (mut started, mut sender) = (Instant::now(), None);
    let mut used = Sample::default();
    let mut written = 0.0;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            () = tokio::time::sleep(LOOK) => {}
        }
        if sender.is_none() {
            sender = lab.reader(slot).await?;
            started = Instant::now();
        }
        let walsender_cpu = sender.and_then(process::cpu_seconds);
        used.walsender_cpu = walsender_cpu.unwrap_or(used.walsender_cpu);
        used.reader_cpu = process::cpu_seconds(pid).unwrap_or(used.reader_cpu);
        used.peak_mib = process::peak_mib(pid).unwrap_or(used.peak_mib);
        written = process::written_bytes(pid).unwrap_or(written);
    };
    anyhow::ensure!(status.success(), "the reader of {slot}: {status}");
    used.seconds = started.elapsed().as_secs_f64();
    // What it was sent, as it passes it on; capture's reading, decoding and encoding alone passes nothing on.
    used.megabytes_per_second = written / 1e6 / used.seconds;
    drop_slot(lab, slot).await?;
    Ok(used)
}
