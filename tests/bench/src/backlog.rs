//! What is written before it is drained.

use anyhow::Context as _;
use clap::ValueEnum;
use tokio::process::Command;

use crate::lab::{DATABASE, Lab};

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backlog {
    /// Single-row inserts of about 320 bytes, a hundred in a transaction.
    Inserts,
    /// Updates, a thousand in a transaction.
    Updates,
    /// One transaction of inserts.
    Single,
    /// What eight clients of pgbench do ("TPC-B (sort of)"): three updates and an insert in each
    /// transaction.
    Pgbench,
}

/// A table with what shops store: key, uuid, text, amount, time, document, flag.
pub(crate) const SCHEMA: &str = "
    CREATE SCHEMA bench;
    CREATE TABLE bench.orders (
        id bigint PRIMARY KEY, reference uuid NOT NULL, note text NOT NULL, total numeric(12, 2) NOT NULL,
        placed_at timestamptz NOT NULL, details jsonb NOT NULL, paid boolean NOT NULL
    );";

/// The columns of one row; `n` is its key.
const ROW: &str = "n, md5(n::text)::uuid, repeat('words of a note ', 8) || n, n * 0.37,
    '2026-11-23 05:33:10.123456+00'::timestamptz + n * interval '1 ms',
    jsonb_build_object('channel', 'web', 'items', n % 7, 'voucher', NULL, 'address', 'Lyon ' || n % 1000), n % 2 = 0";

/// Comes after a backlog, to show that all of it has come.
pub(crate) const LAST: &str = "INSERT INTO bench.orders VALUES
    (0, gen_random_uuid(), 'the last one', 0, now(), '{}', false)";

const INSERTS_IN_TRANSACTION: u64 = 100;
const UPDATES_IN_TRANSACTION: u64 = 1000;

/// Row changes in a transaction of pgbench.
const PGBENCH_CHANGES: u64 = 4;

/// The table of pgbench without a key, of which the others need none.
const PGBENCH_IDENTITY: &str = "ALTER TABLE bench.pgbench_history REPLICA IDENTITY FULL";

impl Backlog {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inserts => "inserts",
            Self::Updates => "updates",
            Self::Single => "single",
            Self::Pgbench => "pgbench",
        }
    }

    /// What stands before slots are made: it is no part of the backlog.
    pub(crate) async fn prepare(self, lab: &Lab, rows: u64) -> anyhow::Result<()> {
        let empty = "TRUNCATE bench.orders;".to_owned();
        let sql = match self {
            Self::Inserts | Self::Single => empty,
            Self::Updates => format!(
                "{empty} INSERT INTO bench.orders SELECT {ROW} FROM generate_series(1, {rows}) n;
                 VACUUM ANALYZE bench.orders;"
            ),
            Self::Pgbench => {
                pgbench(lab, &["--initialize", "--scale", "10", "--quiet"]).await?;
                format!("{empty} {PGBENCH_IDENTITY};")
            }
        };
        lab.platform.postgres.sql(DATABASE, &sql).await?;
        Ok(())
    }

    /// Writes what is drained, and tells how many rows that is: so many as are asked for, or as many as
    /// pgbench writes in that time.
    pub(crate) async fn write(self, lab: &Lab, rows: u64, seconds: u64) -> anyhow::Result<u64> {
        let sql = match self {
            Self::Inserts => in_transactions(
                rows,
                INSERTS_IN_TRANSACTION,
                &format!("INSERT INTO bench.orders VALUES ({ROW});"),
            ),
            Self::Updates => in_transactions(
                rows,
                UPDATES_IN_TRANSACTION,
                "UPDATE bench.orders SET total = total + 1, paid = NOT paid WHERE id = n;",
            ),
            Self::Single => {
                format!("INSERT INTO bench.orders SELECT {ROW} FROM generate_series(1, {rows}) n;")
            }
            Self::Pgbench => {
                let seconds = seconds.to_string();
                let load = [
                    "--client",
                    "8",
                    "--jobs",
                    "2",
                    "--no-vacuum",
                    "--time",
                    &seconds,
                ];
                return transactions(&pgbench(lab, &load).await?)
                    .map(|transactions| transactions * PGBENCH_CHANGES);
            }
        };
        lab.platform.postgres.sql(DATABASE, &sql).await?;
        Ok(rows)
    }
}

/// Runs pgbench in the schema that is tracked, and gives what it prints.
async fn pgbench(lab: &Lab, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("pgbench")
        .args(["--host", "127.0.0.1", "--username", "postgres"])
        .args(["--port", &lab.platform.postgres.port().to_string()])
        .args(arguments)
        .arg(DATABASE)
        .env("PGPASSWORD", lab.platform.postgres.password().expose())
        .env("PGOPTIONS", "-c search_path=bench")
        .kill_on_drop(true)
        .output()
        .await
        .context("pgbench is missing: install postgresql-contrib")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "pgbench: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How many transactions pgbench says that it has done.
fn transactions(told: &str) -> anyhow::Result<u64> {
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("number of transactions actually processed: "));
    Ok(line
        .context("pgbench does not tell what it has done")?
        .trim()
        .parse()?)
}

/// A statement for each `n`, so many in a transaction.
fn in_transactions(rows: u64, size: u64, statement: &str) -> String {
    format!(
        "DO $$ BEGIN
             FOR part IN 0..{} LOOP
                 FOR n IN part * {size} + 1..(part + 1) * {size} LOOP {statement} END LOOP;
                 COMMIT;
             END LOOP;
         END $$;",
        (rows / size).saturating_sub(1)
    )
}
