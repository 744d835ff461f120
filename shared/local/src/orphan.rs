//! Processes that outlived the one that started them.
//!
//! Each running process has a file beside its log that names it. Whoever ends properly removes the
//! file; what is left names a process that may still run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::child::Signal;
use crate::error::Error;

/// How long an orphan may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// Time between two looks at an orphan that is ending.
const LOOK: Duration = Duration::from_millis(50);

/// Sends a signal to a process; one that is gone gets none.
///
/// # Errors
/// Where the system has no way to send signals.
pub fn signal(id: u32, signal: Signal) -> Result<(), Error> {
    let id = id.to_string();
    Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "kill", signal.name(), &id])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(|_status| ())
        .map_err(Error::io("signal the process", id))
}

/// Ends every process that a start with this state folder has left behind, and returns their names.
///
/// Only to be called where no such start is under way.
///
/// # Errors
/// Where the files cannot be read, or the system has no way to send signals.
pub async fn end_orphans(root: &Path) -> Result<Vec<String>, Error> {
    let mut orphans: Vec<Orphan> = marks(root)?.iter().filter_map(|mark| read(mark)).collect();
    orphans.retain(Orphan::runs);
    for orphan in &orphans {
        // All of ours end on it, and PostgreSQL does not wait for its clients.
        signal(orphan.id, Signal::Interrupt)?;
    }
    let deadline = Instant::now() + GRACE;
    for orphan in &orphans {
        while orphan.runs() && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        if orphan.runs() {
            signal(orphan.id, Signal::Kill)?;
        }
    }
    for mark in marks(root)? {
        remove(&mark);
    }
    Ok(orphans.into_iter().map(|orphan| orphan.name).collect())
}

/// The file that names a process, beside its log.
pub(crate) fn mark(log: &Path) -> PathBuf {
    log.with_extension("pid")
}

pub(crate) fn remember(mark: &Path, id: u32, program: &Path) -> Result<(), Error> {
    fs::write(mark, format!("{id}\n{}\n", program.display())).map_err(Error::io("write", mark))
}

/// Removes the mark, unless it names the process's successor.
pub(crate) fn forget(mark: &Path, id: u32) {
    if read(mark).is_some_and(|orphan| orphan.id == id) {
        remove(mark);
    }
}

/// A mark that stays is no harm: what it names is compared with what runs.
fn remove(mark: &Path) {
    if let Err(error) = fs::remove_file(mark) {
        tracing::debug!(path = %mark.display(), error = %error, "mark not removed");
    }
}

struct Orphan {
    name: String,
    id: u32,
    program: String,
}

impl Orphan {
    /// The id may be another process's by now.
    fn runs(&self) -> bool {
        command_line(self.id).is_some_and(|line| line.starts_with(&self.program))
    }
}

fn marks(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let logs = root.join("logs");
    let entries = match fs::read_dir(&logs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", logs)(error)),
    };
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "pid"))
        .collect())
}

fn read(mark: &Path) -> Option<Orphan> {
    let text = fs::read_to_string(mark).ok()?;
    let (id, program) = text.trim_end().split_once('\n')?;
    Some(Orphan {
        name: mark.file_stem()?.to_string_lossy().into_owned(),
        id: id.parse().ok()?,
        program: program.to_owned(),
    })
}

/// Program and arguments of a process; nothing of one that has ended.
fn command_line(id: u32) -> Option<String> {
    if let Ok(line) = fs::read(format!("/proc/{id}/cmdline")) {
        // Empty where it has ended and nobody has asked how yet.
        return (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned());
    }
    let id = id.to_string();
    let output = Command::new("ps")
        .args(["-o", "args=", "-p", &id])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that is seen: its command line is empty for a moment after its start.
    async fn sleeping() -> std::process::Child {
        let child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let seen = async {
            while command_line(child.id()).is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(GRACE, seen).await.unwrap();
        child
    }

    #[tokio::test]
    async fn what_was_left_behind_is_ended_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let mut left = sleeping().await;
        let mark = folder.path().join("logs").join("nats.pid");
        remember(&mark, left.id(), Path::new("/bin/sleep")).unwrap();
        let ended = end_orphans(folder.path()).await.unwrap();
        assert_eq!(ended, ["nats"]);
        assert!(!left.wait().unwrap().success());
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn another_process_with_the_same_id_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let mut other = sleeping().await;
        let mark = folder.path().join("logs").join("nats.pid");
        remember(&mark, other.id(), Path::new("/opt/nats-server")).unwrap();
        assert!(end_orphans(folder.path()).await.unwrap().is_empty());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
