//! Entries for the fuzzer: a session's bytes through the pure stages, one function for each output
//! plugin. A test replays the corpus through the same entries.

use std::sync::{Arc, LazyLock};

use rowcast_domain::{Lsn, TaskId};
use rowcast_pg::catalog::{TypeInfo, TypeKind};

use crate::pipeline::decode::kind::TypeCatalog;
use crate::pipeline::decode::relation::Shape;
use crate::pipeline::decode::{Decoded, Decoder};
use crate::pipeline::encode::Encoder;
use crate::pipeline::translate::table::{ColumnFacts, ColumnText, TableFacts, TableText};
use crate::pipeline::translate::{Outcome, Translator};

/// Largest message, in bytes; small, so that the limit is met.
const LIMIT: usize = 64 * 1024;

/// Types of users: with an odd OID a composite, with an even one an array of it.
static TYPES: LazyLock<TypeCatalog> = LazyLock::new(|| {
    let info = |oid: u32| TypeInfo {
        oid,
        schema: "shop".to_owned(),
        name: format!("own{oid}"),
        kind: TypeKind::Composite,
        base: None,
        element: oid.is_multiple_of(2).then_some(oid + 1),
        delimiter: ',',
        // An integer, a text, a document, texts and times.
        fields: [("x", 23), ("t", 25), ("j", 3802), ("a", 1009), ("z", 1185)]
            .map(|(name, oid)| (name.to_owned(), oid))
            .to_vec(),
    };
    let mut types = TypeCatalog::default();
    types.add((16_384..16_484_u32).map(info).collect());
    types
});

/// Stages 2 and 4.
struct Stages {
    decoder: Decoder,
    encoder: Encoder,
}

/// What became of a message of pgoutput.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    /// It was read and encoded.
    Whole,
    /// It is a row that cannot be read.
    Parked,
    /// It cannot be read, and nothing after it.
    Refused,
}

impl Stages {
    fn new() -> Option<Self> {
        let task = "t00000000001a".parse::<TaskId>().ok()?;
        Some(Self {
            decoder: Decoder::default(),
            encoder: Encoder::new(task, "shop", 16, true, LIMIT),
        })
    }

    fn take(&mut self, frame: &[u8]) -> Taken {
        let shape = match self.decoder.decode(Lsn::new(1), frame) {
            Ok(Decoded::Change(change)) => {
                let encoded = self.encoder.encode(&change, |message| {
                    let body = message.payload.render();
                    let read: Result<serde_json::Value, _> = serde_json::from_slice(&body);
                    assert!(read.is_ok() && body.len() <= LIMIT, "{body:?}");
                });
                return encoded.map_or(Taken::Refused, |()| Taken::Whole);
            }
            Ok(Decoded::Shape(body)) => Shape::from(body),
            Ok(Decoded::Nothing) => return Taken::Whole,
            Ok(Decoded::Undecodable(_)) => return Taken::Parked,
            Err(_refused) => return Taken::Refused,
        };
        let relation = Arc::new(shape.resolve(&TYPES, &[]));
        self.encoder.define(&relation);
        self.decoder.define(relation);
        Taken::Whole
    }
}

/// Decodes and encodes a session of `pgoutput`: frames, each after its length in four bytes, big
/// endian. The first that is refused ends the session, as in a task.
///
/// # Panics
/// Where a message is no JSON, or larger than the limit: that is the finding.
pub fn pgoutput(session: &[u8]) {
    let Some(mut stages) = Stages::new() else {
        return;
    };
    for frame in frames(session) {
        if stages.take(frame) == Taken::Refused {
            return;
        }
    }
}

/// Translates, decodes and encodes a session of `test_decoding`: lines, each after its length, as
/// [`pgoutput`] takes frames.
///
/// # Panics
/// Also where a line is translated into what is no message of pgoutput.
pub fn test_decoding(session: &[u8]) {
    let Some(mut stages) = Stages::new() else {
        return;
    };
    let mut translator = Translator::new(std::env::temp_dir());
    for (lsn, line) in (1..).map(Lsn::new).zip(frames(session)) {
        let transaction = loop {
            match translator.take(lsn, line) {
                Ok(Outcome::Taken) => break None,
                Ok(Outcome::Transaction(transaction)) => break Some(transaction),
                Ok(Outcome::NeedsTable(table)) => {
                    let facts = facts(&table);
                    if translator.define(table, facts).is_err() {
                        return;
                    }
                }
                Err(_refused) => return,
            }
        };
        let Some(mut transaction) = transaction else {
            continue;
        };
        while let Ok(Some(message)) = transaction.next() {
            let taken = stages.take(message);
            assert!(taken == Taken::Whole, "{taken:?}: {message:?}");
        }
    }
}

/// What a catalog could say of a table: its first column is its key, and the length of its name
/// decides on its identity.
fn facts(table: &TableText) -> TableFacts {
    let column = |(at, text): (usize, &ColumnText)| ColumnFacts {
        type_oid: type_oid(&text.type_name),
        text: text.clone(),
        modifier: -1,
        identity: at == 0,
        hidden: text.name == "oid",
    };
    let columns: Vec<ColumnFacts> = table.columns.iter().enumerate().map(column).collect();
    let replica_identity = match table.table.len() % 4 {
        0 => b'n',
        1 => b'f',
        _ => b'd',
    };
    TableFacts {
        oid: 16_384,
        is_view: table.table.ends_with("view"),
        replica_identity,
        columns,
    }
}

/// Of the types that have a form of their own in JSON, and of [`TYPES`] for names with a dot.
fn type_oid(name: &str) -> u32 {
    let Some(element) = name.strip_suffix("[]") else {
        return match name {
            "boolean" => 16,
            "bytea" => 17,
            "bigint" => 20,
            "integer" => 23,
            "json" => 114,
            "double precision" => 701,
            "timestamp without time zone" => 1114,
            "timestamp with time zone" => 1184,
            "jsonb" => 3802,
            _ if name.contains('.') => 16_385,
            _ => 25,
        };
    };
    match type_oid(element) {
        16 => 1000,
        17 => 1001,
        20 => 1016,
        23 => 1007,
        114 => 199,
        701 => 1022,
        1114 => 1115,
        1184 => 1185,
        3802 => 3807,
        16_385 => 16_384,
        _ => 1009,
    }
}

/// The frames of a session; one that is cut off at its end is given as it is.
fn frames(session: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = session;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (frame, behind) = behind.split_at(length.min(behind.len()));
        rest = behind;
        Some(frame)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    /// Mutated sessions; more would keep `./dev test` waiting.
    const MUTATIONS: usize = 100_000;

    /// Bytes that mean something in a frame or in a value.
    const MARKS: &[u8] = b"ntuKONIUDTRCB{}(),\"\\' :[].";

    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target);
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
            .iter()
            .map(|file| std::fs::read(file).unwrap())
            .collect()
    }

    /// Changes some bytes, or takes some out, or repeats some.
    fn mutate(random: &mut StdRng, session: &mut Vec<u8>) {
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..session.len());
            let end = (at + random.random_range(1..9)).min(session.len());
            match random.random_range(0..5) {
                0 => session[at] = random.random(),
                1 => session[at] ^= 1 << random.random_range(0..8),
                2 => session[at] = MARKS[random.random_range(0..MARKS.len())],
                3 if end - at < session.len() => drop(session.drain(at..end)),
                _ => {
                    let piece = session[at..end].to_vec();
                    session.splice(at..at, piece);
                }
            }
        }
    }

    /// A session of some frames that follow each other in a longer one, with the shapes before them
    /// and the ends of their transaction.
    fn excerpt(random: &mut StdRng, session: &[u8]) -> Vec<u8> {
        let frames: Vec<&[u8]> = frames(session).collect();
        let first = random.random_range(0..frames.len());
        let (before, behind) = frames.split_at(first);
        let starts = |mark| move |frame: &&&[u8]| frame.first() == Some(&mark);
        let shapes = before.iter().filter(starts(b'R'));
        let begins = behind.first().is_some_and(|frame| starts(b'B')(&frame));
        let begin = before.iter().rfind(|frame| !begins && starts(b'B')(frame));
        let rest = behind.iter().take_while(|frame| !starts(b'C')(frame));
        let commit = behind.iter().find(starts(b'C'));
        let chosen = shapes.chain(begin).chain(rest.take(4)).chain(commit);
        chosen.fold(Vec::new(), |mut bytes, frame| {
            bytes.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(frame);
            bytes
        })
    }

    fn replay_and_mutate(target: &str, run: fn(&[u8])) {
        let corpus = corpus(target);
        assert!(!corpus.is_empty());
        for session in &corpus {
            run(session);
        }
        let mut random = StdRng::seed_from_u64(0x726f_7763_6173_7466);
        for n in 0..MUTATIONS {
            let mut session = excerpt(&mut random, &corpus[n % corpus.len()]);
            mutate(&mut random, &mut session);
            run(&session);
        }
    }

    #[test]
    fn real_frames_of_pgoutput_are_taken_and_mutated_ones_do_no_harm() {
        replay_and_mutate("pgoutput", pgoutput);
    }

    #[test]
    fn real_lines_of_test_decoding_are_taken_and_mutated_ones_do_no_harm() {
        replay_and_mutate("test_decoding", test_decoding);
    }
}
