//! One `up` for each state folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rowcast_local::State;

/// `status` holds the lock for a moment while it looks.
const TRIES: u32 = 5;

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Held while `up` runs. The system releases it however the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of an existing state folder and leaves our process id there.
    pub(crate) async fn take(root: &Path) -> anyhow::Result<Self> {
        let path = State::lock_file(root);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        for _try in 0..TRIES {
            match file.try_lock() {
                Ok(()) => {
                    file.set_len(0)?;
                    writeln!(file, "{}", std::process::id())?;
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
        bail!(
            "another `rowcast up` runs on {} (process {}): stop it with `rowcast down`, or choose another folder with --state",
            root.display(),
            holder_id(&mut file).map_or_else(|| "unknown".to_owned(), |id| id.to_string()),
        )
    }
}

/// Whether an `up` runs on a state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// None does.
    Nobody,
    /// One does; its id is missing for the moment in which it writes it.
    Process(Option<u32>),
}

/// Who runs on the state folder, if anybody.
pub(crate) fn holder(root: &Path) -> anyhow::Result<Holder> {
    let path = State::lock_file(root);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Holder::Nobody),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot open {}", path.display()));
        }
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Holder::Nobody),
        Err(TryLockError::WouldBlock) => Ok(Holder::Process(holder_id(&mut file))),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot look at {}", path.display()))
        }
    }
}

fn holder_id(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_is_told_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(holder(folder.path()).unwrap(), Holder::Nobody);
        let first = Lock::take(folder.path()).await.unwrap();
        let ours = std::process::id();
        assert_eq!(holder(folder.path()).unwrap(), Holder::Process(Some(ours)));
        let error = Lock::take(folder.path()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("(process {ours})")), "{error}");
        drop(first);
        assert_eq!(holder(folder.path()).unwrap(), Holder::Nobody);
        Lock::take(folder.path()).await.unwrap();
    }
}
