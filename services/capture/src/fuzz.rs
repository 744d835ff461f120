//! Entries for the fuzzer: a session's bytes through the pure stages, one function for each output
//! plugin. A test replays the corpus through the same entries.

use std::sync::{Arc, LazyLock};

use rowcast_domain::{Lsn, TaskId};
use rowcast_pg::catalog::{TypeInfo, TypeKind};

use crate::pipeline::decode::kind::TypeCatalog;
use crate::pipeline::decode::relation::Shape;
use crate::pipeline::decode::{Decoded, Decoder};
use crate::pipeline::encode::Encoder;

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

/// Decodes and encodes a session of `pgoutput`: frames, each after its length in four bytes, big
/// endian. The first that is refused ends the session, as in a task.
///
/// # Panics
/// Where a message is no JSON, or larger than the limit: that is the finding.
pub fn pgoutput(session: &[u8]) {
    let Ok(task) = "t00000000001a".parse::<TaskId>() else {
        return;
    };
    let mut decoder = Decoder::default();
    let mut encoder = Encoder::new(task, "shop", 16, true, LIMIT);
    for frame in frames(session) {
        let shape = match decoder.decode(Lsn::new(1), frame) {
            Ok(Decoded::Change(change)) => {
                let encoded = encoder.encode(&change, |message| {
                    let body = message.payload.render();
                    let read: Result<serde_json::Value, _> = serde_json::from_slice(&body);
                    assert!(read.is_ok() && body.len() <= LIMIT, "{body:?}");
                });
                if encoded.is_err() {
                    return;
                }
                continue;
            }
            Ok(Decoded::Shape(body)) => Shape::from(body),
            Ok(Decoded::Nothing | Decoded::Undecodable(_)) => continue,
            Err(_refused) => return,
        };
        let relation = Arc::new(shape.resolve(&TYPES, &[]));
        encoder.define(&relation);
        decoder.define(relation);
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
    const MARKS: &[u8] = b"ntuKONIUDTRCB{}(),\"\\";

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

    /// A session of some frames that follow each other in a longer one, and the shapes before them.
    fn excerpt(random: &mut StdRng, session: &[u8]) -> Vec<u8> {
        let frames: Vec<&[u8]> = frames(session).collect();
        let first = random.random_range(0..frames.len());
        let is_shape = |frame: &&&[u8]| matches!(frame.first(), Some(b'R'));
        let shapes = frames[..first].iter().filter(is_shape);
        let begin = frames.iter().find(|frame| frame.first() == Some(&b'B'));
        let rest = frames[first..].iter().take(4);
        let chosen = shapes.chain(begin).chain(rest);
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
}
