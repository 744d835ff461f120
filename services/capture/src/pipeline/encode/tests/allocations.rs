//! The way from a frame to a message takes no memory of its own.

use super::*;

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

/// Memory comes in pieces that many messages share, and a message of many rows has a list of them.
const MOST: u64 = ROWS / 10;

impl Bench {
    fn of_every_kind() -> Self {
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
        bench.encoder.define(&relation);
        bench.decoder.define(relation);
        bench
    }

    /// Decodes and encodes a frame as often as there are rows, and gives the allocations of it.
    fn allocations(&mut self, frame: &[u8]) -> u64 {
        let mut feed = |times| {
            for _ in 0..times {
                let decoded = self.decoder.decode(Lsn::new(1), frame).unwrap();
                let Decoded::Change(change) = decoded else {
                    panic!("no change")
                };
                self.encoder.encode(&change, drop).unwrap();
            }
        };
        // The first of each partition and operation renders its subject.
        feed(1);
        allocation_counter::measure(|| feed(ROWS)).count_total
    }
}

#[test]
fn rows_of_every_kind_are_written_without_allocations_of_their_own() {
    let mut bench = Bench::of_every_kind();
    let cells = COLUMNS.map(|(_, _, value)| Some(Some(value)));
    let images: [&[(u8, &[Cell<'_>])]; 3] = [
        &[(b'N', &cells)],
        &[(b'O', &cells), (b'N', &cells)],
        &[(b'O', &cells)],
    ];
    for (kind, images) in [b'I', b'U', b'D'].into_iter().zip(images) {
        let allocations = bench.allocations(&row(kind, images));
        assert!(
            allocations <= MOST,
            "{allocations} allocations for {ROWS} changes of kind {}",
            char::from(kind),
        );
    }
}

#[test]
fn packed_rows_are_written_without_allocations_of_their_own() {
    let mut bench = Bench::of_every_kind();
    bench.encoder = bench.encoder.packing();
    let cells = COLUMNS.map(|(_, _, value)| Some(Some(value)));
    let allocations = bench.allocations(&row(b'I', &[(b'N', &cells)]));
    assert!(
        allocations <= MOST,
        "{allocations} allocations for {ROWS} rows"
    );
}
