//! A standby of a test's PostgreSQL (PostgreSQL docs, "Making a Base Backup Using the Low Level API",
//! "Log-Shipping Standby Servers").

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::Postgres;

/// Its slot on the primary.
const SLOT: &str = "standby";

/// What `ALTER SYSTEM` writes; read last.
const SETTINGS: &str = "postgresql.auto.conf";

impl Postgres {
    /// Copies the running server into a streaming standby. With `syncs_slots`, which 17 and later have,
    /// it keeps copies of the primary's failover slots.
    ///
    /// # Errors
    /// Where the server is older than 15 or refuses, or the standby does not start.
    pub async fn standby(&self, syncs_slots: bool) -> anyhow::Result<Self> {
        let sql = self.client("postgres").await?;
        sql.query_one(
            "SELECT pg_create_physical_replication_slot($1, true)::text",
            &[&SLOT],
        )
        .await?;
        let folder = crate::nats::folder("standby")?;
        let cluster = folder.path().join("pg");
        std::fs::create_dir(&cluster)?;
        copy(&self.root().join("secrets"), folder.path())?;
        sql.query_one("SELECT pg_backup_start('standby', true)::text", &[])
            .await?;
        copy(&self.data_folder(), &cluster)?;
        let label: String = sql
            .query_one("SELECT labelfile FROM pg_backup_stop()", &[])
            .await?
            .get(0);
        let data = cluster.join("data");
        write(&data, "backup_label", &label)?;
        std::fs::remove_file(data.join("postmaster.pid"))?;
        write(&data, "standby.signal", "")?;
        // A copied slot would look like one that the standby has made.
        for slot in std::fs::read_dir(data.join("pg_replslot"))? {
            std::fs::remove_dir_all(slot?.path())?;
        }
        let mut settings = std::fs::read_to_string(data.join(SETTINGS))?;
        settings.push_str(&self.settings_of_standby(syncs_slots));
        write(&data, SETTINGS, &settings)?;
        Self::start_in(folder, self.programs(), BTreeMap::new()).await
    }

    fn settings_of_standby(&self, syncs_slots: bool) -> String {
        let (port, password) = (self.port(), self.password());
        let mut settings = format!(
            "primary_conninfo = 'host=127.0.0.1 port={port} user=postgres password={password} dbname=postgres'
primary_slot_name = '{SLOT}'
hot_standby_feedback = on
"
        );
        if syncs_slots {
            settings.push_str("sync_replication_slots = on\n");
        }
        settings
    }

    /// Makes a primary of a standby.
    ///
    /// # Errors
    /// Where it is none, or takes longer than a minute.
    pub async fn promote(&self) -> anyhow::Result<()> {
        let sql = self.client("postgres").await?;
        let promoted: bool = sql.query_one("SELECT pg_promote()", &[]).await?.get(0);
        anyhow::ensure!(promoted, "the standby is not promoted in time");
        Ok(())
    }
}

/// Writes a file of the cluster, which belongs to the account that its server runs as.
fn write(data: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};

    let owner = std::fs::metadata(data)?;
    let path = data.join(name);
    std::fs::write(&path, text)?;
    Ok(chown(&path, Some(owner.uid()), Some(owner.gid()))?)
}

/// With owners and permissions, into a folder.
fn copy(from: &Path, into: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, into]).status();
    anyhow::ensure!(copied.context("cp")?.success(), "cannot copy {from:?}");
    Ok(())
}
