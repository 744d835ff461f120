//! The way from a frame to what is framed for the broker takes no memory of its own.

use super::*;
use crate::pipeline::encode::draft::CHUNK;
use crate::pipeline::publish::batch::{Queue, Size};

/// A column of each kind that is written in a way of its own: its type's OID and a value. Arrays and
/// composites are taken apart first, into a list a value.
const COLUMNS: [(&str, u32, &str); 10] = [
    ("id", 20, "9007199254740993"),
    ("flag", 16, "t"),
    ("small", 23, "-7"),
    ("ratio", 701, "0.1"),
    ("total", 1700, "19.90"),
    ("note", 25, "she said \"yes\"\nand left"),
    ("body", 3802, r#"{"a": [1, {"b": null}], "c": "text"}"#),
    ("raw", 17, r"\x00ff10"),
    ("at", 1184, "2026-11-23 05:33:10.123456+00"),
    ("local", 1114, "2026-11-23 05:33:10.123456"),
];

const ROWS: u64 = 10_000;

/// Rows of two batches: with these everything has the size that it keeps.
const WARM_UP: u64 = 2000;

const FORMATS: [Format; 2] = [Format::Json, Format::Protobuf];

impl Bench {
    fn of_every_kind(format: Format) -> Self {
        let mut bench = Self::new(b'f', false);
        let columns = COLUMNS.map(|(name, type_oid, _)| ColumnBody {
            identity: name == "id",
            name,
            type_oid,
            modifier: -1,
        });
        let shape = Shape::from(RelationBody {
            oid: 16400,
            schema: "public",
            table: "orders",
            replica_identity: b'f',
            columns: columns.into(),
        });
        let relation = Arc::new(shape.resolve(&TypeCatalog::default(), &["id".to_owned()]));
        let task = "t00000000001a".parse().unwrap();
        bench.encoder = Encoder::new(task, "shop", 16, false, LIMIT).writing(format, "shop");
        bench.encoder.define(&relation);
        bench.decoder.define(relation);
        bench
    }

    /// Decodes and encodes a frame as often as there are rows, and takes the messages in batches out of the
    /// queue. Gives the allocations of it, and how many bytes the messages have.
    fn allocations(&mut self, frame: &[u8]) -> (u64, usize) {
        let mut queue = Queue::default();
        let mut feed = |times| {
            let mut bytes = 0;
            for _ in 0..times {
                let decoded = self.decoder.decode(Lsn::new(1), frame).unwrap();
                let Decoded::Change(change) = decoded else {
                    panic!("no change")
                };
                let take = |message| queue.push(message);
                self.encoder.encode(&change, take).unwrap();
                if let Some(batch) = queue.take_full(Size::Large) {
                    let bodies = batch.into_iter().map(|message| message.payload.render());
                    bytes += bodies.map(|body| body.len()).sum::<usize>();
                }
            }
            bytes
        };
        feed(WARM_UP);
        let mut bytes = 0;
        let measured = allocation_counter::measure(|| bytes = feed(ROWS));
        (measured.count_total, bytes)
    }
}

/// Memory for so many bytes comes in pieces that many messages share: an allocation each, and one to share
/// it. The last eighth of a piece may stay empty. A batch is a list of messages.
fn most(bytes: usize) -> u64 {
    let pieces = bytes / (CHUNK / 8 * 7);
    // What waits in the queue before and after is no more than a batch, of a megabyte.
    let beside = 20;
    2 * u64::try_from(pieces + beside).unwrap()
}

#[test]
fn rows_of_every_kind_are_written_without_allocations_of_their_own() {
    let cells = COLUMNS.map(|(_, _, value)| Some(Some(value)));
    let images: [&[(u8, &[Cell<'_>])]; 3] = [
        &[(b'N', &cells)],
        &[(b'O', &cells), (b'N', &cells)],
        &[(b'O', &cells)],
    ];
    for format in FORMATS {
        let mut bench = Bench::of_every_kind(format);
        for (kind, images) in [b'I', b'U', b'D'].into_iter().zip(images) {
            let (allocations, bytes) = bench.allocations(&row(kind, images));
            let most = most(bytes);
            assert!(
                bytes > 0 && allocations <= most && most < 500,
                "{allocations} allocations for {ROWS} changes of kind {} and {bytes} bytes as {format:?}",
                char::from(kind),
            );
        }
    }
}

#[test]
fn packed_rows_are_written_without_allocations_of_their_own() {
    let cells = COLUMNS.map(|(_, _, value)| Some(Some(value)));
    for format in FORMATS {
        let mut bench = Bench::of_every_kind(format);
        bench.encoder = bench.encoder.packing();
        let (allocations, bytes) = bench.allocations(&row(b'I', &[(b'N', &cells)]));
        // Rows are written once alone and once into their pack, of which each may need a piece of its own.
        let most = 2 * most(bytes) + 2 * ROWS / 100;
        assert!(
            bytes > 0 && allocations <= most && most < ROWS / 10,
            "{allocations} allocations for {ROWS} rows and {bytes} bytes as {format:?}"
        );
    }
}
