//! The folder that keeps everything between two starts.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
}
