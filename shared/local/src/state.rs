//! The folder that keeps everything between two starts.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::account;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::port;

/// Ports, chosen once so that URLs stay good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// PostgreSQL.
    pub postgres: u16,
    /// NATS.
    pub nats: u16,
    /// Monitoring of NATS.
    pub nats_monitor: u16,
    /// REST API.
    pub api: u16,
}

impl Ports {
    /// Ports that nobody uses now.
    ///
    /// # Errors
    /// Where there are none.
    pub fn free() -> Result<Self, Error> {
        let [postgres, nats, nats_monitor, api] = port::distinct()?;
        Ok(Self {
            postgres,
            nats,
            nats_monitor,
            api,
        })
    }
}

/// Files of the folder itself.
const FILES: [&str; 3] = ["ports.json", "platform.json", "up.pid"];

/// What [`State::remove`] has removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The state folder.
    pub root: PathBuf,
    /// PostgreSQL's folder, where it was outside.
    pub moved: Option<PathBuf>,
    /// Whether the state folder itself is gone: it stays where somebody else's files are in it.
    pub whole: bool,
}

/// The state folder.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
    credentials: Credentials,
}

impl State {
    /// Opens the folder, and makes it and its subfolders where they are missing.
    ///
    /// # Errors
    /// Where a folder cannot be made.
    pub fn open(root: &Path) -> Result<Self, Error> {
        make_folder(root)?;
        let root = std::fs::canonicalize(root).map_err(Error::io("open", root))?;
        for name in ["nats", "logs"] {
            make_folder(&root.join(name))?;
        }
        let credentials = Credentials::open(&root.join("secrets"))?;
        Ok(Self { root, credentials })
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its secrets.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Removes what is kept in a state folder, and the folder too where nothing else is in it.
    /// Returns whether it is gone, and where PostgreSQL's data was outside of it, if it was.
    ///
    /// # Errors
    /// Where `root` is no state folder, or something cannot be removed.
    pub fn remove(root: &Path) -> Result<Removed, Error> {
        let root = std::fs::canonicalize(root).map_err(Error::io("open", root))?;
        if !["secrets", "nats", "logs"]
            .iter()
            .all(|name| root.join(name).is_dir())
        {
            return Err(Error::NoStateFolder { path: root });
        }
        let inside = root.join("pg");
        let moved = Some(account::reachable(&inside)).filter(|at| *at != inside && at.exists());
        // The secrets last: until then the folder is known for what it is.
        let folders = [moved.clone(), Some(inside)].into_iter().flatten().chain(
            ["nats", "logs", "secrets"]
                .into_iter()
                .map(|name| root.join(name)),
        );
        for folder in folders.filter(|folder| folder.exists()) {
            std::fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))?;
        }
        for name in FILES {
            let file = root.join(name);
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::io("remove", &file)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let whole = std::fs::remove_dir(&root).is_ok();
        Ok(Removed { root, moved, whole })
    }

    /// File that tells other processes what runs where, while it runs.
    #[must_use]
    pub fn platform_file(root: &Path) -> PathBuf {
        root.join("platform.json")
    }

    /// File with the id of the process that runs the platform, locked by it.
    #[must_use]
    pub fn lock_file(root: &Path) -> PathBuf {
        root.join("up.pid")
    }

    /// Folder of PostgreSQL, if its account can reach it.
    #[must_use]
    pub fn postgres_folder(&self) -> PathBuf {
        self.root.join("pg")
    }

    /// Folder of NATS.
    #[must_use]
    pub fn nats_folder(&self) -> PathBuf {
        self.root.join("nats")
    }

    /// Log of a process.
    #[must_use]
    pub fn log(&self, process: &str) -> PathBuf {
        self.root.join("logs").join(format!("{process}.log"))
    }

    /// The ports of this folder; the first time, `choose` tells them.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn ports(&self, choose: impl FnOnce() -> Result<Ports, Error>) -> Result<Ports, Error> {
        let path = self.root.join("ports.json");
        let malformed = |error: serde_json::Error| Error::Malformed {
            path: path.clone(),
            source: error.into(),
        };
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(malformed),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let ports = choose()?;
                let text = serde_json::to_string_pretty(&ports).map_err(malformed)?;
                std::fs::write(&path, text).map_err(Error::io("write", &path))?;
                Ok(ports)
            }
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }
}

/// Open to other accounts of the machine: PostgreSQL's must be able to reach its own folder.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(Error::io("make the folder", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_chosen_once() {
        let folder = tempfile::tempdir().unwrap();
        let chosen = State::open(folder.path()).unwrap().ports(Ports::free);
        let again = State::open(folder.path())
            .unwrap()
            .ports(|| Err(Error::NoPort));
        assert_eq!(again.unwrap(), chosen.unwrap());
    }

    #[test]
    fn only_a_state_folder_is_removed_and_only_what_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("state");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("thesis.txt"), "years of work").unwrap();
        assert!(matches!(
            State::remove(&root),
            Err(Error::NoStateFolder { .. })
        ));
        State::open(&root).unwrap().ports(Ports::free).unwrap();
        assert!(!State::remove(&root).unwrap().whole);
        assert!(root.join("thesis.txt").exists());
        assert!(!root.join("secrets").exists());

        std::fs::remove_file(root.join("thesis.txt")).unwrap();
        State::open(&root).unwrap();
        assert!(State::remove(&root).unwrap().whole);
        assert!(!root.exists());
    }
}
