//! What PostgreSQL can send: `pg_recvlogical` reads the backlog and drops it.

use std::process::Stdio;

use anyhow::Context as _;
use rowcast_domain::Lsn;
use tokio::process::Command;
use tokio::time::Instant;

use crate::lab::{DATABASE, LOOK, Lab};
use crate::process;

/// The publication that it reads, of the tables that tasks read too.
pub(crate) const PUBLICATION: &str = "bench_reference";

/// One drain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drained {
    pub(crate) seconds: f64,
    pub(crate) walsender: f64,
    pub(crate) client: f64,
    pub(crate) client_mib: f64,
}

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

/// Reads a slot up to `end`, and removes it.
pub(crate) async fn drain(lab: &Lab, slot: &str, end: Lsn) -> anyhow::Result<Drained> {
    let mut command = pg_recvlogical(lab, slot);
    command
        .args(["--no-loop", "--endpos", &end.to_string()])
        .args(["--file", "/dev/null", "--option", "proto_version=1"])
        .args(["--option", &format!("publication_names={PUBLICATION}")])
        .stdout(Stdio::null());
    let mut child = command.spawn().context(MISSING)?;
    let pid = child.id().context("pg_recvlogical has ended")?;
    let (mut started, mut sender) = (Instant::now(), None);
    let mut used = Drained {
        seconds: 0.0,
        walsender: 0.0,
        client: 0.0,
        client_mib: 0.0,
    };
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            () = tokio::time::sleep(LOOK) => {}
        }
        if sender.is_none() {
            sender = lab.reader(slot).await?;
            started = Instant::now();
        }
        used.walsender = sender
            .and_then(process::cpu_seconds)
            .unwrap_or(used.walsender);
        used.client = process::cpu_seconds(pid).unwrap_or(used.client);
        used.client_mib = process::peak_mib(pid).unwrap_or(used.client_mib);
    };
    anyhow::ensure!(status.success(), "pg_recvlogical: {status}");
    used.seconds = started.elapsed().as_secs_f64();
    drop_slot(lab, slot).await?;
    Ok(used)
}
