//! The `rowcast` command, as a user types it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::Context as _;
use rowcast_testkit::Platform;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::process::Command;

use crate::PATIENCE;

/// A user's shell: a folder to work in and the variables that name the platform.
#[derive(Debug)]
pub struct Shell {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Shell {
    /// A user of nothing yet.
    ///
    /// # Errors
    /// Where no folder can be made.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            variables: Vec::new(),
        })
    }

    /// A user of this platform.
    ///
    /// # Errors
    /// Where no folder can be made.
    pub fn of(platform: &Platform) -> anyhow::Result<Self> {
        let mut shell = Self::new()?;
        shell.set("ROWCAST_API_URL", &platform.api_url);
        shell.set("ROWCAST_TOKEN", platform.admin_token.expose());
        Ok(shell)
    }

    /// Sets a variable, instead of its value before.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.variables.retain(|(known, _value)| *known != name);
        self.variables.push((name, value.to_owned()));
    }

    /// The folder in which commands run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        std::fs::write(self.folder().join(name), text)
            .with_context(|| format!("cannot write {name}"))
    }

    /// The command of a line without quotes, with the words that follow.
    ///
    /// # Errors
    /// Where the program was not built.
    pub fn command(&self, line: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program()?);
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Runs a line to its end.
    ///
    /// # Errors
    /// Where it does not come to an end.
    pub async fn run(&self, line: &str) -> anyhow::Result<Output> {
        let output = self.command(line)?.output();
        let ended = tokio::time::timeout(2 * PATIENCE, output).await;
        Ok(ended.with_context(|| format!("rowcast {line} does not end"))??)
    }

    /// What a terminal shows when a line is typed into a shell: quotes and other programs are as there, and what goes to
    /// standard error stands between the rest.
    ///
    /// # Errors
    /// Where it does not come to an end.
    pub async fn types(&self, line: &str) -> anyhow::Result<String> {
        let program = program()?;
        let folder = program.parent().context("the program has no folder")?;
        let mut path = folder.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("exec 2>&1; {line}")])
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = tokio::time::timeout(2 * PATIENCE, command.output()).await;
        let output = ended.with_context(|| format!("{line} does not end"))??;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What a line prints.
    ///
    /// # Errors
    /// Where it fails.
    pub async fn prints(&self, line: &str) -> anyhow::Result<String> {
        let output = self.run(line).await?;
        let trouble = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "rowcast {line}: {trouble}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What a line answers to `-o json`.
    ///
    /// # Errors
    /// Where it fails.
    pub async fn json<T: DeserializeOwned>(&self, line: &str) -> anyhow::Result<T> {
        let text = self.prints(&format!("{line} -o json")).await?;
        serde_json::from_str(&text).with_context(|| format!("rowcast {line}: {text}"))
    }

    /// Code and sentence of a line that fails.
    ///
    /// # Errors
    /// Where it succeeds.
    pub async fn fails(&self, line: &str) -> anyhow::Result<(i32, String)> {
        let output = self.run(line).await?;
        let code = output.status.code().context("it was killed")?;
        anyhow::ensure!(code != 0, "rowcast {line} did not fail");
        Ok((
            code,
            String::from_utf8(output.stderr)?.trim_end().to_owned(),
        ))
    }
}

/// Cargo puts programs beside each other, and tests one folder deeper.
fn program() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(2).context("the test has no folder")?;
    let program = folder.join("rowcast");
    anyhow::ensure!(
        program.is_file(),
        "{} is missing: build it with cargo build --workspace --bins",
        program.display()
    );
    Ok(program)
}
