//! A child process with a log.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, PipeReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

use crate::account::Account;
use crate::error::Error;
use crate::{find, orphan};

/// Lines of a log that an error shows.
const SHOWN_LINES: usize = 20;

/// Time between two looks at a process that is starting.
const LOOK: Duration = Duration::from_millis(25);

/// How long a dropped process may take to end after its signal, before it is killed.
const DROP_GRACE: Duration = Duration::from_secs(3);

/// What a process is told by the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: PostgreSQL ends its sessions.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGQUIT: PostgreSQL ends at once, and recovers at the next start.
    Quit,
    /// SIGKILL.
    Kill,
    /// SIGSTOP: it stands still, and its connections stay.
    Pause,
    /// SIGCONT: it goes on where it stood.
    GoOn,
}

impl Signal {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
            Self::Pause => "STOP",
            Self::GoOn => "CONT",
        }
    }
}

/// How a process is started. Its environment is `PATH`, the system's folders and `environment`.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its name, in errors and before its lines.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments. Other users of the machine can read them: no secrets here.
    pub arguments: Vec<OsString>,
    /// Its environment.
    pub environment: Vec<(String, OsString)>,
    /// Where its output is appended.
    pub log: PathBuf,
    /// Copies its output to our standard error, its name before each line.
    pub echo: bool,
    /// What asks it to end, when it is stopped and when we die.
    pub stop: Signal,
    /// What ends it when it is dropped.
    pub abort: Signal,
}

/// A running process. Dropped, it ends.
#[derive(Debug)]
pub struct Child {
    name: String,
    log: PathBuf,
    /// Where its own lines begin: before them are those of earlier starts.
    log_start: u64,
    stop: Signal,
    abort: Signal,
    /// Its process id, also after it has ended.
    first_id: Option<u32>,
    process: tokio::process::Child,
}

impl Child {
    /// Starts a process.
    ///
    /// On Linux it is told to end when the calling thread does, so that it does not outlive a killed
    /// parent: call this where the thread lives as long as the process should, not on a thread of
    /// `spawn_blocking`.
    ///
    /// # Errors
    /// Where the program or its log cannot be opened.
    pub fn spawn(launch: Launch) -> Result<Self, Error> {
        Self::spawn_as(launch, None)
    }

    pub(crate) fn spawn_as(launch: Launch, account: Option<Account>) -> Result<Self, Error> {
        let log = open_log(&launch.log)?;
        let log_start = log.metadata().map_or(0, |found| found.len());
        let mut command = command(&launch.program, account, launch.stop);
        command
            .args(&launch.arguments)
            .env_clear()
            .envs(inherited())
            .envs(launch.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            // The terminal's Ctrl-C is for us: we stop the processes in their order.
            .process_group(0)
            .kill_on_drop(true);
        let started = Error::io("start", &launch.program);
        if launch.echo {
            let (reader, writer) =
                std::io::pipe().map_err(Error::io("open a pipe to", &launch.log))?;
            let second = writer
                .try_clone()
                .map_err(Error::io("open a pipe to", &launch.log))?;
            command.stdout(writer).stderr(second);
            copy_lines(&launch.name, reader, log)
                .map_err(Error::io("copy lines to", &launch.log))?;
        } else {
            let second = log.try_clone().map_err(Error::io("open", &launch.log))?;
            command.stdout(log).stderr(second);
        }
        let process = command.spawn().map_err(started)?;
        tracing::debug!(process = launch.name, id = process.id(), "process started");
        let first_id = process.id();
        let child = Self {
            name: launch.name,
            log: launch.log,
            log_start,
            stop: launch.stop,
            abort: launch.abort,
            first_id,
            process,
        };
        if let Some(id) = first_id {
            orphan::remember(&orphan::mark(&child.log), id, &launch.program)?;
        }
        Ok(child)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until `check` holds; it says why it does not.
    ///
    /// # Errors
    /// Where the process ends, or the time does.
    pub async fn ready(
        &mut self,
        limit: Duration,
        check: impl AsyncFn() -> Result<(), String>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.poll()? {
                return Err(self.ended(status));
            }
            let Err(reason) = check().await else {
                return Ok(());
            };
            if Instant::now() > deadline {
                return Err(Error::NotReady {
                    name: self.name.clone(),
                    waited: limit,
                    reason,
                    log: self.log.clone(),
                    log_end: self.log_end(),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn poll(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.process
            .try_wait()
            .map_err(Error::io("wait for", &self.name))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub async fn wait(&mut self) -> Result<ExitStatus, Error> {
        self.process
            .wait()
            .await
            .map_err(Error::io("wait for", &self.name))
    }

    /// Asks it to end, and kills it where it takes longer than `grace`.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub async fn stop(&mut self, grace: Duration) -> Result<(), Error> {
        self.ask_to_stop()?;
        self.stopped(grace).await
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub fn ask_to_stop(&self) -> Result<(), Error> {
        self.signal(self.stop)
    }

    /// Waits until it has ended, and kills it where that takes longer than `grace`.
    ///
    /// # Errors
    /// Where it cannot be killed.
    pub async fn stopped(&mut self, grace: Duration) -> Result<(), Error> {
        if tokio::time::timeout(grace, self.process.wait())
            .await
            .is_err()
        {
            tracing::warn!(process = self.name, "did not end in time and is killed");
            self.kill().await?;
        }
        Ok(())
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.process
            .kill()
            .await
            .map_err(Error::io("kill", &self.name))
    }

    /// Sends a signal; one that has ended gets none.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        // Without an id it was waited for; with one, the id cannot be another process's yet.
        let Some(id) = self.process.id() else {
            return Ok(());
        };
        orphan::signal(id, signal)
    }

    /// The error of a process that ended and should not have.
    #[must_use]
    pub fn ended(&self, status: ExitStatus) -> Error {
        Error::Ended {
            name: self.name.clone(),
            status,
            log: self.log.clone(),
            log_end: self.log_end(),
        }
    }

    fn own_lines(&self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.log_start))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(text)
    }

    fn log_end(&self) -> String {
        let text = self.own_lines().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(SHOWN_LINES);
        lines
            .into_iter()
            .skip(skipped)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Drop for Child {
    /// Blocks until the process is gone: whoever drops it may remove its folder next.
    fn drop(&mut self) {
        self.end();
        if let Some(id) = self.first_id {
            orphan::forget(&orphan::mark(&self.log), id);
        }
    }
}

impl Child {
    fn end(&mut self) {
        if self.process.id().is_none() || self.signal(self.abort).is_err() {
            return;
        }
        let steps = DROP_GRACE.as_millis() / LOOK.as_millis();
        for _step in 0..steps {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        tracing::warn!(process = self.name, "did not end in time and is killed");
    }
}

/// The program, under `account`, and told by `on_our_death` when we die without a word.
pub(crate) fn command(program: &Path, account: Option<Account>, on_our_death: Signal) -> Command {
    let Some(setpriv) = find::program("setpriv") else {
        let mut command = Command::new(program);
        if let Some(account) = account {
            command.uid(account.user).gid(account.group);
        }
        return command;
    };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", on_our_death.name()]);
    if let Some(account) = account {
        command
            .arg(format!("--reuid={}", account.user))
            .arg(format!("--regid={}", account.group))
            .arg("--clear-groups");
    }
    command.arg("--").arg(program);
    command
}

/// What a process takes over from us: nothing that configures it by accident.
fn inherited() -> impl Iterator<Item = (&'static str, OsString)> {
    [
        "PATH",
        "HOME",
        "TMPDIR",
        "LANG",
        "TZ",
        "RUST_LOG",
        "RUST_BACKTRACE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ]
    .into_iter()
    .filter_map(|name| Some((name, std::env::var_os(name)?)))
}

fn open_log(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
        .map_err(Error::io("open", path))
}

/// Ends when the process closes its output.
fn copy_lines(name: &str, reader: PipeReader, mut log: File) -> std::io::Result<()> {
    let prefix = name.to_owned();
    let copy = move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            // A full disk or a closed terminal must not stop the process that writes.
            log.write_all(&[&line, b"\n".as_slice()].concat())
                .unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            writeln!(std::io::stderr(), "{prefix:<14} {line}").unwrap_or_default();
        }
    };
    std::thread::Builder::new()
        .name(format!("{name}-log"))
        .spawn(copy)
        .map(|_handle| ())
}

/// Runs a program that does one thing.
pub(crate) async fn run(
    program: &'static str,
    mut command: Command,
    input: &str,
) -> Result<String, Error> {
    use tokio::io::AsyncWriteExt as _;

    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io("start", program))?;
    if let Some(mut stdin) = process.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .await
            .map_err(Error::io("write to", program))?;
    }
    let output = process
        .wait_with_output()
        .await
        .map_err(Error::io("wait for", program))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::Failed {
        program,
        status: output.status,
        output: format!("{}\n{}", text(&output.stdout), text(&output.stderr)),
    })
}

/// `-c key=value`, as PostgreSQL takes it.
pub(crate) fn setting(key: &str, value: impl AsRef<OsStr>) -> [OsString; 2] {
    let mut pair = OsString::from(format!("{key}="));
    pair.push(value);
    ["-c".into(), pair]
}

#[cfg(test)]
mod tests;
