//! What was told, as text that is kept beside the SQL.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use rowcast_client::Operation;
use rowcast_testkit::Stored;

use crate::replay::quoted;
use crate::script::{Section, script};

/// The version whose text is kept whole.
const NEWEST: u32 = 18;

/// A longer run of the same operation on the same table is told as its number.
const LONGEST_RUN: usize = 5;

/// Lines by section.
pub(crate) type Told = BTreeMap<String, String>;

/// Everything that was told but for shapes and heartbeats, a line each, by section.
pub(crate) fn told(stored: &[Stored]) -> Told {
    let mut told = Told::new();
    let mut section = String::new();
    let mut run: Vec<(String, String)> = Vec::new();
    let mut end = |run: &mut Vec<(String, String)>, section: &str| {
        let text: &mut String = told.entry(section.to_owned()).or_default();
        if run.len() > LONGEST_RUN {
            writeln!(text, "{} × {}", run[0].0, run.len()).unwrap();
        } else {
            for (what, details) in &*run {
                writeln!(text, "{what}{details}").unwrap();
            }
        }
        run.clear();
    };
    for message in stored {
        if matches!(message.change.op, Operation::Schema | Operation::Heartbeat) {
            continue;
        }
        if message.change.table.as_deref() == Some("section") {
            end(&mut run, &section);
            section = message.change.key.as_ref().unwrap()["name"]
                .as_str()
                .unwrap()
                .to_owned();
            continue;
        }
        let line = line(message);
        if run.first().is_some_and(|first| first.0 != line.0) {
            end(&mut run, &section);
        }
        run.push(line);
    }
    end(&mut run, &section);
    told.remove("");
    told
}

/// What happened to which table, and the details of it.
fn line(message: &Stored) -> (String, String) {
    let change = &message.change;
    let op = serde_json::to_value(change.op).unwrap();
    let mut what = op.as_str().unwrap().to_owned();
    if let (Some(schema), Some(table)) = (&change.schema, &change.table) {
        write!(what, " {}.{}", quoted(schema), quoted(table)).unwrap();
    }
    let mut details = String::new();
    if let Some(key) = &change.key {
        write!(details, " {}", serde_json::to_string(key).unwrap()).unwrap();
    }
    if let Some(image) = &change.before_image {
        let image = serde_json::to_value(image).unwrap();
        write!(details, " before={}", image.as_str().unwrap()).unwrap();
    }
    if !change.unchanged.is_empty() {
        write!(details, " unchanged={}", change.unchanged.join(",")).unwrap();
    }
    for (name, flag) in [
        ("cascade", change.cascade),
        ("restart_identity", change.restart_identity),
    ] {
        if flag == Some(true) {
            write!(details, " {name}").unwrap();
        }
    }
    if let Some(sent) = &change.message {
        let text = sent.text.as_deref().unwrap_or_default();
        write!(
            details,
            " {:?} {text:?} transactional={}",
            sent.prefix, sent.transactional
        )
        .unwrap();
    }
    (what, details)
}

/// The kept text: of the newest version whole, of another what differs there.
fn kept(version: u32) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/regression/told");
    PathBuf::from(format!("{folder}/{version}.txt"))
}

fn read_kept(version: u32) -> Told {
    let text = std::fs::read_to_string(kept(version)).unwrap_or_default();
    let sections = text.split("== ").skip(1);
    sections
        .map(|section| section.split_once('\n').unwrap())
        .map(|(name, lines)| (name.to_owned(), lines.trim_end().to_owned() + "\n"))
        .collect()
}

/// Whether what is told now is to be kept.
pub(crate) fn is_written() -> bool {
    std::env::var_os("ROWCAST_WRITE_GOLDEN").is_some()
}

/// Keeps what was told.
pub(crate) fn keep(all: &[(u32, Told)]) {
    let newest = all.iter().find(|(version, _told)| *version == NEWEST);
    let (_version, newest) = newest.unwrap();
    for (version, told) in all {
        write_kept(*version, told, newest);
    }
}

/// Writes what differs from the newest version, in the script's order; no file where nothing does.
fn write_kept(version: u32, told: &Told, newest: &Told) {
    let mut text = String::new();
    for Section { name, .. } in script(version) {
        let lines = told.get(&name).unwrap();
        if version == NEWEST || newest.get(&name) != Some(lines) {
            writeln!(text, "== {name}\n{lines}").unwrap();
        }
    }
    let path = kept(version);
    if text.is_empty() {
        let _gone_already = std::fs::remove_file(path);
        return;
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text.trim_end().to_owned() + "\n").unwrap();
}

/// Where what was told is not what is kept.
pub(crate) fn differences(version: u32, told: &Told) -> Vec<String> {
    let (newest, own) = (read_kept(NEWEST), read_kept(version));
    let mut different = Vec::new();
    for Section { name, .. } in script(version) {
        let missing = "nothing\n".to_owned();
        let expected = own.get(&name).or_else(|| newest.get(&name));
        let (expected, got) = (
            expected.unwrap_or(&missing),
            told.get(&name).unwrap_or(&missing),
        );
        if expected != got || *got == missing {
            different.push(format!(
                "PostgreSQL {version}, {name}\nexpected:\n{expected}told:\n{got}"
            ));
        }
    }
    different
}
