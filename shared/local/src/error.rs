//! What can go wrong on one machine.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// A process or its folder is not usable. Every message tells what to do or shows the process's words.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not on this machine.
    #[error("{program} was not found: {remedy}")]
    Missing {
        /// The program.
        program: &'static str,
        /// Where it may stand.
        remedy: String,
    },
    /// A port that must be ours is not.
    #[error("port {port} of {process} is in use: stop what listens there, or choose another port")]
    PortInUse {
        /// The port.
        port: u16,
        /// Who wanted it.
        process: &'static str,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// No free port was found.
    #[error("no free port was found")]
    NoPort,
    /// A file, folder or program cannot be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file of the state folder was changed by somebody else.
    #[error("{} is malformed: remove it and start again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// How.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A folder that is not of our making.
    #[error("{} is not a state folder: nothing was removed", path.display())]
    NoStateFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A process ended although it should run.
    #[error("{name} ended early ({status}); the end of {}:\n{log_end}", log.display())]
    Ended {
        /// The process.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        log_end: String,
    },
    /// A process runs but does not get ready.
    #[error("{name} is not ready after {} s ({reason}); the end of {}:\n{log_end}", waited.as_secs(), log.display())]
    NotReady {
        /// The process.
        name: String,
        /// How long was waited.
        waited: Duration,
        /// What the last look showed.
        reason: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        log_end: String,
    },
    /// A program that does one thing did not do it.
    #[error("{program} failed ({status}):\n{output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        output: String,
    },
    /// The system has no such user.
    #[error("PostgreSQL must not run as root, and there is neither a user postgres nor nobody")]
    NoAccount,
    /// A key for NATS cannot be made.
    #[error("cannot make a key for NATS")]
    Key(#[from] nkeys::error::Error),
    /// No process has this name.
    #[error("there is no process {0}")]
    UnknownProcess(String),
}

impl Error {
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
