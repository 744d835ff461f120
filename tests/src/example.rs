//! The programs that show how changes are read: those of the documentation, and the examples of the Rust client.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use rowcast_client::{Change, Operation};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::PATIENCE;
use crate::member::program;
use crate::shop::Group;

/// What a sample is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// nats-py.
    Python,
    /// The npm package `nats`, run by `tsx`.
    TypeScript,
    /// async-nats.
    Rust,
    /// Rust, by the SDK.
    Sdk,
}

impl Language {
    /// Those in which a client of NATS is all that a sample has.
    pub const PLAIN: [Self; 3] = [Self::Python, Self::TypeScript, Self::Rust];

    /// Looks whether the sample of this name can be run here.
    ///
    /// # Errors
    /// With what is missing, and what brings it.
    pub fn look(self, name: &str) -> anyhow::Result<()> {
        let library = match self {
            Self::Python => ".tools/python/nats",
            Self::TypeScript => ".tools/node/node_modules/tsx",
            Self::Rust | Self::Sdk => {
                return program(&format!("examples/{name}")).map(|_path| ());
            }
        };
        let folder = repository().join(library);
        anyhow::ensure!(
            folder.is_dir(),
            "{library}, which the samples in {self:?} need, is missing: run './dev test', which installs it"
        );
        Ok(())
    }
}

/// Nobody listens there: whoever takes the first URL alone reaches nothing.
const AWAY: &str = "nats://127.0.0.1:1";

/// A sample and what it is started with: a group's connection document and its password, as files.
#[derive(Debug)]
pub struct Sample {
    folder: TempDir,
    language: Language,
    name: &'static str,
    /// How often it was started.
    starts: AtomicU32,
}

impl Sample {
    /// The sample of this name, `consume`, `subscribe` or `tail`, as a reader of this group. Of the servers that it is
    /// told of, the first is away.
    ///
    /// # Errors
    /// Where its files cannot be written.
    pub fn new(name: &'static str, language: Language, group: &Group) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut group = group.clone();
        group.connection.urls.insert(0, AWAY.to_owned());
        group.write_to(folder.path())?;
        if language == Language::TypeScript {
            // It finds its packages and its types beside itself.
            let packages = repository().join(".tools/node/node_modules");
            std::os::unix::fs::symlink(packages, folder.path().join("node_modules"))?;
            let own = format!("{name}.ts");
            for file in ["package.json", "tsconfig.json", "change.ts", &own] {
                std::fs::copy(samples().join(file), folder.path().join(file))?;
            }
        }
        Ok(Self {
            folder,
            language,
            name,
            starts: AtomicU32::new(0),
        })
    }

    /// Where it runs, and writes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The changes in each of its files whose names end so, by name: of its journal, or of what it printed. Shapes and
    /// heartbeats are left out, and what a kill has cut off.
    ///
    /// # Errors
    /// Where a line is no change.
    pub fn told(&self, ending: &str) -> anyhow::Result<Vec<Vec<Change>>> {
        let files = self.files(ending)?;
        files.iter().map(|path| whole_lines(path)).collect()
    }

    /// How many bytes there are in all its journals, and in all that it printed.
    ///
    /// # Errors
    /// Where a file cannot be asked.
    pub fn written(&self) -> anyhow::Result<u64> {
        let (journals, printed) = (self.files(".jsonl")?, self.files("stdout.txt")?);
        let mut bytes = 0;
        for path in journals.iter().chain(&printed) {
            bytes += path.metadata()?.len();
        }
        Ok(bytes)
    }

    /// By name.
    fn files(&self, ending: &str) -> anyhow::Result<BTreeSet<PathBuf>> {
        let mut files = BTreeSet::new();
        for folder in [self.folder().to_owned(), self.folder().join("journal")] {
            for entry in folder.read_dir().into_iter().flatten() {
                let path = entry?.path();
                if path.to_string_lossy().ends_with(ending) {
                    files.insert(path);
                }
            }
        }
        Ok(files)
    }

    /// Starts it with the two files and `arguments`; dropped, it is killed. What it prints is in a file of its own,
    /// `1.stdout.txt` the first time.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(&self, arguments: &[String]) -> anyhow::Result<Child> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        let printed = self.folder().join(format!("{number}.stdout.txt"));
        self.command(arguments)?
            .stdout(File::create(printed)?)
            .spawn()
            .with_context(|| format!("{:?} cannot be started", self.language))
    }

    /// As [`Self::start`], where it ends by itself: how, and what it says on standard error.
    ///
    /// # Errors
    /// Where it cannot be started, or does not end.
    pub async fn ends(&self, arguments: &[String]) -> anyhow::Result<(ExitStatus, String)> {
        let mut command = self.command(arguments)?;
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        let ended = ended.with_context(|| format!("{:?} does not end", self.language))??;
        Ok((ended.status, String::from_utf8(ended.stderr)?))
    }

    fn command(&self, arguments: &[String]) -> anyhow::Result<Command> {
        let mut command = match self.language {
            Language::Python => {
                let mut python = Command::new("python3");
                python
                    .arg(samples().join(format!("{}.py", self.name)))
                    .env("PYTHONPATH", repository().join(".tools/python"));
                python
            }
            Language::TypeScript => {
                // Not by `npx tsx`, which is several processes: a kill would leave the reader behind.
                let mut node = Command::new("node");
                node.args(["--import", "tsx"])
                    .arg(format!("{}.ts", self.name));
                node
            }
            Language::Rust | Language::Sdk => {
                Command::new(program(&format!("examples/{}", self.name))?)
            }
        };
        command
            .args(["connection.json", "password.txt"])
            .args(arguments)
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }
}

fn whole_lines(path: &Path) -> anyhow::Result<Vec<Change>> {
    let text = std::fs::read_to_string(path)?;
    let lines = text.split_inclusive('\n');
    let whole = lines.filter(|line| line.ends_with('\n'));
    let changes: Result<Vec<Change>, _> = whole.map(|line| Change::read(line.as_bytes())).collect();
    let mut changes = changes.with_context(|| format!("a line of {}", path.display()))?;
    changes.retain(|change| !matches!(change.op, Operation::Schema | Operation::Heartbeat));
    Ok(changes)
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn samples() -> PathBuf {
    repository().join("docs/samples")
}
