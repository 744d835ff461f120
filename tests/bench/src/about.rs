//! On what was measured: without it no number says anything.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::lab::Lab;

/// Machine, day and versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// The day, UTC.
    date: String,
    /// Name of the processor, and how many of it.
    processor: String,
    /// Memory in MiB.
    memory_mib: u64,
    kernel: String,
    postgresql: String,
    nats: String,
    rowcast: String,
    /// What it was built from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
}

impl About {
    /// Reads what can be read here (proc(5)), and asks the servers.
    ///
    /// # Errors
    /// Where the source does not answer.
    pub(crate) async fn read(lab: &Lab) -> anyhow::Result<Self> {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (cpu, memory) = (text("/proc/cpuinfo"), text("/proc/meminfo"));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kib: u64 = field(&memory, "MemTotal")
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or_default();
        let row = lab.sql.query_one("SHOW server_version", &[]).await?;
        Ok(Self {
            date: chrono::Utc::now().date_naive().to_string(),
            processor: format!("{cores} × {}", field(&cpu, "model name")),
            memory_mib: kib / 1024,
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            postgresql: row.try_get(0)?,
            nats: lab.data.server_info().version,
            rowcast: env!("CARGO_PKG_VERSION").to_owned(),
            commit: commit().await,
        })
    }
}

/// The commit of the sources here, with `+` behind it where they were changed since; `None` where there is no repository.
/// Documents do not count: the numbers are written into one.
async fn commit() -> Option<String> {
    let head = git(&["rev-parse", "--short=12", "HEAD"]).await?;
    let all_but_documents = [":(top)", ":(top,exclude)docs"];
    let changes = ["diff", "--quiet", "HEAD", "--"].into_iter();
    let changes: Vec<&str> = changes.chain(all_but_documents).collect();
    let mark = if git(&changes).await.is_some() {
        ""
    } else {
        "+"
    };
    Some(format!("{head}{mark}"))
}

/// What git says; `None` where it fails.
async fn git(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.args(["-C", env!("CARGO_MANIFEST_DIR")]);
    let output = command.args(arguments).output().await.ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}

/// The first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| {
        let (left, right) = line.split_once(':')?;
        (left.trim() == name).then_some(right.trim())
    });
    line.unwrap_or_default()
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, {} MiB, Linux {}, PostgreSQL {}, NATS {}, Rowcast {}",
            self.date,
            self.processor,
            self.memory_mib,
            self.kernel,
            self.postgresql,
            self.nats,
            self.rowcast,
        )?;
        match &self.commit {
            Some(commit) => write!(f, " ({commit})"),
            None => Ok(()),
        }
    }
}
