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

/// Makes a slot that keeps what comes from now on.
pub(crate) async fn slot(lab: &Lab, name: &str) -> anyhow::Result<()> {
    let make = "SELECT pg_create_logical_replication_slot($1::text, 'pgoutput')";
    lab.sql.execute(make, &[&name]).await?;
    Ok(())
}

/// Reads a slot up to `end`, and removes it.
pub(crate) async fn drain(lab: &Lab, slot: &str, end: Lsn) -> anyhow::Result<Drained> {
    let mut command = Command::new("pg_recvlogical");
    command
        .args([
            "--host",
            "127.0.0.1",
            "--username",
            "postgres",
            "--dbname",
            DATABASE,
        ])
        .args(["--port", &lab.platform.postgres.port().to_string()])
        .args([
            "--slot",
            slot,
            "--start",
            "--no-loop",
            "--endpos",
            &end.to_string(),
            "--file",
            "/dev/null",
        ])
        .args(["--option", "proto_version=1"])
        .args(["--option", &format!("publication_names={PUBLICATION}")])
        .env("PGPASSWORD", lab.platform.postgres.password().expose())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .context("pg_recvlogical is missing: install postgresql-client")?;
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
    let drop = "SELECT pg_drop_replication_slot($1)";
    lab.wait("the slot is given back", async || {
        Ok(lab.reader(slot).await?.is_none())
    })
    .await?;
    lab.sql.execute(drop, &[&slot]).await?;
    Ok(used)
}
