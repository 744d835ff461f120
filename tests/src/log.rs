//! What the members of a group deal with, as they note it themselves.
//!
//! All of them append to one file, each line by one write, so the order of its lines is the order of what happened,
//! across processes and without any clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Context as _;
use rowcast_client::{Delivery, Operation, Position, Row};
use serde_json::Value;
use tempfile::NamedTempFile;

/// Written by who kills the broker.
const BROKER: &str = "broker";

/// A change as a member has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    position: Position,
    partition: String,
    key: u64,
    operation: String,
    version: Option<u64>,
}

impl Note {
    /// Of a change of a row with `key`, and where there is a row after it, `version`; `None` of another one.
    pub(crate) fn of(delivery: &Delivery) -> Option<Self> {
        let change = &delivery.change;
        let operation = match change.op {
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Truncate
            | Operation::Schema
            | Operation::Begin
            | Operation::Commit
            | Operation::Heartbeat
            | Operation::Ddl
            | Operation::Message
            | Operation::Gap
            | Operation::Part
            | Operation::Pack
            | Operation::Unknown => return None,
        };
        let key = change.key.as_ref()?.get("key")?.as_u64()?;
        // A row that is not of its key is none: its version is missing then.
        let is_its = |row: &&Row| row.get("key").and_then(Value::as_u64) == Some(key);
        let after = change.after.as_ref().filter(is_its);
        Some(Self {
            position: delivery.position,
            partition: delivery.subject.split('.').nth(3)?.to_owned(),
            key,
            operation: operation.to_owned(),
            version: after.and_then(|row| row.get("version")?.as_u64()),
        })
    }
}

/// What became of an acknowledgement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// The server has stored it.
    Acknowledged,
    /// It was not held any more, or nobody knows.
    Refused,
}

/// With which a member writes.
#[derive(Debug)]
pub(crate) struct Pen {
    file: File,
    member: u64,
}

impl Pen {
    pub(crate) fn open(log: &Path, member: u64) -> anyhow::Result<Self> {
        let file = OpenOptions::new().append(true).open(log);
        let file = file.with_context(|| format!("cannot open {}", log.display()))?;
        Ok(Self { file, member })
    }

    fn write(&self, what: &str) -> anyhow::Result<()> {
        // The time is for whoever looks on. One write: lines of others do not come between.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let line = format!("{} {what} @{}\n", self.member, since.as_millis());
        Ok((&self.file).write_all(line.as_bytes())?)
    }

    pub(crate) fn begin(&self, note: &Note) -> anyhow::Result<()> {
        let version = note.version.map_or("-".to_owned(), |one| one.to_string());
        self.write(&format!(
            "begin {} {} {} {} {version}",
            note.position, note.partition, note.key, note.operation
        ))
    }

    pub(crate) fn done(&self) -> anyhow::Result<()> {
        self.write("done")
    }

    pub(crate) fn ended(&self, outcome: Outcome) -> anyhow::Result<()> {
        self.write(match outcome {
            Outcome::Acknowledged => "acknowledged",
            Outcome::Refused => "refused",
        })
    }
}

/// One dealing of a member with a change. Lines of the log stand for times.
#[derive(Debug, Clone)]
pub struct Dealing {
    /// Who.
    pub member: u64,
    /// Of the change.
    pub position: Position,
    /// Of the change.
    pub partition: String,
    /// Of the row.
    pub key: u64,
    /// What happened to the row, as `insert`.
    pub operation: String,
    /// Of the row; absent where it was deleted.
    pub version: Option<u64>,
    /// When it began.
    pub begun: usize,
    /// When it was dealt with, or its member was killed.
    pub ended: Option<usize>,
    /// Whether it was dealt with.
    pub is_done: bool,
    /// When the server had stored the acknowledgement: with everything of the same partition before it.
    pub acknowledged: Option<usize>,
    /// When its member was paused, in the middle of it or before it: it may have had the change already, and its lease
    /// may be over when it goes on.
    pub paused: Option<usize>,
}

/// What was read so far.
#[derive(Debug, Default)]
struct Known {
    lines: usize,
    dealings: Vec<Dealing>,
    /// Of each member, what it deals with.
    current: HashMap<u64, usize>,
    /// When members were paused that have not begun with anything since.
    paused: HashMap<u64, usize>,
    broker_losses: Vec<usize>,
}

#[derive(Debug)]
struct Reader {
    input: BufReader<File>,
    line: String,
    known: Known,
}

/// Shared by all members.
#[derive(Debug, Clone)]
pub struct Log {
    file: Arc<NamedTempFile>,
    reader: Arc<Mutex<Reader>>,
}

impl Log {
    /// An empty one.
    ///
    /// # Errors
    /// Where there is no temporary folder.
    pub fn open() -> anyhow::Result<Self> {
        let file = NamedTempFile::new()?;
        let reader = Reader {
            input: BufReader::new(file.reopen()?),
            line: String::new(),
            known: Known::default(),
        };
        Ok(Self {
            file: Arc::new(file),
            reader: Arc::new(Mutex::new(reader)),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    fn pen(&self, member: u64) -> anyhow::Result<Pen> {
        Pen::open(self.path(), member)
    }

    pub(crate) fn killed(&self, member: u64) -> anyhow::Result<()> {
        self.pen(member)?.write("killed")
    }

    pub(crate) fn paused(&self, member: u64) -> anyhow::Result<()> {
        self.pen(member)?.write("paused")
    }

    /// Notes that the broker is killed, or was: it may not know of acknowledgements that it has confirmed.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn broker_killed(&self) -> anyhow::Result<()> {
        self.pen(0)?.write(BROKER)
    }

    /// Copies the file.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn copy_to(&self, path: PathBuf) -> anyhow::Result<()> {
        std::fs::copy(self.path(), path)?;
        Ok(())
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.read();
        reader
    }

    /// Every dealing, in the order in which they began.
    #[must_use]
    pub fn dealings(&self) -> Vec<Dealing> {
        self.reader().known.dealings.clone()
    }

    /// When the broker was killed.
    #[must_use]
    pub fn broker_losses(&self) -> Vec<usize> {
        self.reader().known.broker_losses.clone()
    }

    /// Number of dealings.
    #[must_use]
    pub fn count(&self) -> usize {
        self.reader().known.dealings.len()
    }

    /// Number of changes that were dealt with.
    #[must_use]
    pub fn changes(&self) -> usize {
        let reader = self.reader();
        let done = reader.known.dealings.iter().filter(|one| one.is_done);
        done.map(|one| one.position).collect::<HashSet<_>>().len()
    }

    /// Whether anybody has begun with this version of a key.
    #[must_use]
    pub fn is_begun(&self, version: u64) -> bool {
        self.reader()
            .known
            .dealings
            .iter()
            .any(|one| one.version == Some(version))
    }

    /// Whether the versions from 1 of all keys from 1 are dealt with.
    #[must_use]
    pub fn is_complete(&self, keys: u64, versions: u64) -> bool {
        let reader = self.reader();
        let done = reader.known.dealings.iter().filter(|one| one.is_done);
        let seen: BTreeSet<(u64, Option<u64>)> = done.map(|one| (one.key, one.version)).collect();
        (1..=keys).all(|key| (1..=versions).all(|version| seen.contains(&(key, Some(version)))))
    }

    /// Of each partition that anything was dealt with, leaving out so many dealings, who dealt with the last.
    #[must_use]
    pub fn readers(&self, left_out: usize) -> BTreeMap<String, u64> {
        let reader = self.reader();
        let dealings = reader.known.dealings.iter().skip(left_out);
        dealings
            .map(|one| (one.partition.clone(), one.member))
            .collect()
    }

    /// How often a partition went from one member to another: dealings with it that follow each other, by different ones.
    #[must_use]
    pub fn hand_overs(&self) -> usize {
        let reader = self.reader();
        let mut last: HashMap<&str, u64> = HashMap::new();
        let went_on = reader.known.dealings.iter().filter(|one| {
            let before = last.insert(&one.partition, one.member);
            before.is_some_and(|before| before != one.member)
        });
        went_on.count()
    }

    /// How many members have dealt with this version.
    #[must_use]
    pub fn members_of(&self, version: u64) -> usize {
        let reader = self.reader();
        let dealings = reader.known.dealings.iter();
        let of = dealings.filter(|one| one.version == Some(version));
        of.map(|one| one.member).collect::<BTreeSet<_>>().len()
    }

    /// How many members have dealt with anything.
    #[must_use]
    pub fn members(&self) -> usize {
        let reader = self.reader();
        let members = reader.known.dealings.iter().map(|one| one.member);
        members.collect::<BTreeSet<_>>().len()
    }

    /// The changes of each key that were dealt with, in their order: what happened, and the version.
    #[must_use]
    pub fn history(&self) -> BTreeMap<u64, Vec<(String, Option<u64>)>> {
        let reader = self.reader();
        let done = reader.known.dealings.iter().filter(|one| one.is_done);
        let by_position: BTreeMap<Position, &Dealing> =
            done.map(|one| (one.position, one)).collect();
        let mut history: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for one in by_position.into_values() {
            let change = (one.operation.clone(), one.version);
            history.entry(one.key).or_default().push(change);
        }
        history
    }
}

impl Reader {
    /// Takes what was written since the last time. The end of a line may be still on its way.
    fn read(&mut self) {
        while self
            .input
            .read_line(&mut self.line)
            .is_ok_and(|read| read > 0)
        {
            if self.line.ends_with('\n') {
                self.known.lines += 1;
                let understood = self.known.take(&self.line);
                assert!(
                    understood.is_some(),
                    "line {}: {}",
                    self.known.lines,
                    self.line
                );
                self.line.clear();
            }
        }
    }
}

impl Known {
    fn take(&mut self, line: &str) -> Option<()> {
        let mut words = line.split_whitespace();
        let member: u64 = words.next()?.parse().ok()?;
        let at = self.lines;
        match words.next()? {
            "begin" => {
                self.current.insert(member, self.dealings.len());
                self.dealings.push(Dealing {
                    member,
                    position: words.next()?.parse().ok()?,
                    partition: words.next()?.to_owned(),
                    key: words.next()?.parse().ok()?,
                    operation: words.next()?.to_owned(),
                    version: words.next()?.parse().ok(),
                    begun: at,
                    ended: None,
                    is_done: false,
                    acknowledged: None,
                    paused: self.paused.remove(&member),
                });
            }
            "done" => {
                let dealing = self.dealing(member)?;
                dealing.ended = Some(at);
                dealing.is_done = true;
            }
            "acknowledged" => self.dealing(member)?.acknowledged = Some(at),
            "refused" => {}
            "paused" => {
                let dealing = self.dealing(member).filter(|one| one.ended.is_none());
                if let Some(dealing) = dealing {
                    dealing.paused.get_or_insert(at);
                } else {
                    self.paused.entry(member).or_insert(at);
                }
            }
            "killed" => {
                if let Some(dealing) = self.dealing(member) {
                    dealing.ended.get_or_insert(at);
                }
            }
            BROKER => self.broker_losses.push(at),
            _unknown => return None,
        }
        Some(())
    }

    fn dealing(&mut self, member: u64) -> Option<&mut Dealing> {
        let index = *self.current.get(&member)?;
        self.dealings.get_mut(index)
    }
}
