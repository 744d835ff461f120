//! A member of a group as a process of its own, so that it can be killed and paused.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use rowcast_local::{Signal, orphan};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::log::Log;
use crate::shop::Group;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Deals with changes until it is told to leave, or is killed.
#[derive(Debug)]
pub struct Member {
    number: u64,
    child: Child,
    log: Log,
    _folder: TempDir,
}

impl Member {
    /// Starts it.
    ///
    /// # Errors
    /// Where its program is missing.
    pub fn join(group: &Group, log: &Log) -> anyhow::Result<Self> {
        Self::join_saying(group, log, Stdio::inherit())
    }

    /// As [`Self::join`]; what it says on standard error goes there.
    ///
    /// # Errors
    /// Where its program is missing.
    pub fn join_saying(group: &Group, log: &Log, said: Stdio) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let [connection, password] = group.write_to(folder.path())?;
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(program("group-member")?);
        command
            .args([&connection, &password, log.path()])
            .arg(number.to_string())
            // It leaves once this is closed, and where we die.
            .stdin(Stdio::piped())
            .stderr(said)
            .kill_on_drop(true);
        let child = command.spawn().context("group-member does not start")?;
        Ok(Self {
            number,
            child,
            log: log.clone(),
            _folder: folder,
        })
    }

    /// What it is called in the log.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// It says that it goes, whether or not somebody waits for its end.
    ///
    /// # Errors
    /// Where it ends otherwise.
    pub fn leave(mut self) -> impl Future<Output = anyhow::Result<()>> {
        drop(self.child.stdin.take());
        async move {
            let status = self.child.wait().await?;
            anyhow::ensure!(status.success(), "the member has not left: {status}");
            Ok(())
        }
    }

    /// SIGKILL: nothing of it runs on, and its connection breaks.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        self.log.killed(self.number)
    }

    /// It stands still from now on.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.log.paused(self.number)?;
        self.signal(Signal::Pause)
    }

    /// It goes on where it stood.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.log.paused(self.number)?;
        self.signal(Signal::GoOn)
    }

    /// How it ended by itself, if it did.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.log.killed(self.number)?;
        }
        Ok(status)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        if let Some(id) = self.child.id() {
            orphan::signal(id, signal)?;
        }
        Ok(())
    }
}

/// A program of the workspace. Cargo puts programs beside each other, tests one folder deeper, and examples into a
/// folder beside the tests' one.
///
/// # Errors
/// Where it is not built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut folders = own.ancestors().skip(1).take(2);
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()));
    found.with_context(|| format!("{name} is missing: build the workspace's programs and examples"))
}
