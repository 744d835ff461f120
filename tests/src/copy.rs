//! A database into which the example `materialize` copies a table.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_postgres::Client;

use crate::member::program;
use crate::shop::{Group, Shop};

/// The copy's database, and what the example is started with.
pub struct Copy {
    /// Its superuser.
    pub sql: Client,
    dsn: String,
    group: [PathBuf; 2],
    _folder: TempDir,
}

impl Copy {
    /// Beside the shop, with what `schema` makes.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub async fn of(shop: &Shop, group: &Group, schema: &str) -> anyhow::Result<Self> {
        let admin = shop.platform.sql("postgres").await?;
        admin.batch_execute("CREATE DATABASE copy").await?;
        let sql = shop.platform.sql("copy").await?;
        sql.batch_execute(schema).await?;
        let folder = tempfile::tempdir()?;
        Ok(Self {
            sql,
            dsn: shop.platform.postgres.url("copy").expose().to_owned(),
            group: group.write_to(folder.path())?,
            _folder: folder,
        })
    }

    /// Starts the example.
    ///
    /// # Errors
    /// Where it is not built.
    pub fn start(&self, table: &str) -> anyhow::Result<Child> {
        self.start_saying(table, Stdio::inherit())
    }

    /// As [`Self::start`]; what it says on standard error goes there.
    ///
    /// # Errors
    /// Where it is not built.
    pub fn start_saying(&self, table: &str, said: Stdio) -> anyhow::Result<Child> {
        Command::new(program("examples/materialize")?)
            .args(&self.group)
            .args([&self.dsn, table])
            .stdout(Stdio::null())
            .stderr(said)
            .kill_on_drop(true)
            .spawn()
            .context("materialize does not start")
    }
}
