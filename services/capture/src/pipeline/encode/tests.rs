//! Frames in, messages out, read back by the types that readers use.

use std::sync::Arc;

use proptest::prelude::*;
use rowcast_proto::change::{BeforeImage, Change as Read, Operation};
use serde_json::json;

use super::*;
use crate::pipeline::decode::kind::TypeCatalog;
use crate::pipeline::decode::message::{ColumnBody, RelationBody};
use crate::pipeline::decode::relation::Shape;
use crate::pipeline::decode::{Decoded, Decoder};

mod allocations;
mod formats;
mod packed;

const COMMIT: u64 = 0x16_B374;

const LIMIT: usize = 1 << 20;

struct Bench {
    decoder: Decoder,
    encoder: Encoder,
    relation: Arc<Relation>,
    sent: Vec<Outbound>,
}

/// A value of a row: absent is an unchanged TOAST value.
type Cell<'a> = Option<Option<&'a str>>;

impl Bench {
    /// A table `public.orders (id int8 key, status text, total numeric, note text)`.
    fn new(replica_identity: u8, transactions: bool) -> Self {
        let task = "t00000000001a".parse().unwrap();
        let column = |name, type_oid, identity| ColumnBody {
            identity,
            name,
            type_oid,
            modifier: -1,
        };
        let shape = Shape::from(RelationBody {
            oid: 16400,
            schema: "public",
            table: "orders",
            replica_identity,
            columns: vec![
                column("id", 20, true),
                column("status", 25, replica_identity == b'f'),
                column("total", 1700, replica_identity == b'f'),
                column("note", 25, replica_identity == b'f'),
            ],
        });
        let relation = Arc::new(shape.resolve(&TypeCatalog::default(), &["id".to_owned()]));
        let mut bench = Self {
            decoder: Decoder::default(),
            encoder: Encoder::new(task, "shop", 16, transactions, LIMIT),
            relation: Arc::clone(&relation),
            sent: Vec::new(),
        };
        bench.encoder.define(&relation);
        bench.decoder.define(relation);
        bench.feed(&begin());
        bench
    }

    fn feed(&mut self, frame: &[u8]) {
        let Decoded::Change(change) = self.decoder.decode(Lsn::new(1), frame).unwrap() else {
            panic!("no change")
        };
        self.encoder
            .encode(&change, |message| self.sent.push(message))
            .unwrap();
    }

    fn read(&self) -> Vec<Read> {
        self.sent
            .iter()
            .map(|m| Read::read(&m.payload.clone().render()).unwrap())
            .collect()
    }
}

fn begin() -> Vec<u8> {
    let mut frame = vec![b'B'];
    frame.extend_from_slice(&COMMIT.to_be_bytes());
    // 2026-11-23 05:33:10.123456 UTC
    frame.extend_from_slice(&848_727_190_123_456_i64.to_be_bytes());
    frame.extend_from_slice(&742_u32.to_be_bytes());
    frame
}

fn commit() -> Vec<u8> {
    let mut frame = vec![b'C', 0];
    frame.extend_from_slice(&COMMIT.to_be_bytes());
    frame.extend_from_slice(&(COMMIT + 8).to_be_bytes());
    frame.extend_from_slice(&0_i64.to_be_bytes());
    frame
}

fn tuple(frame: &mut Vec<u8>, mark: u8, cells: &[Cell<'_>]) {
    frame.push(mark);
    frame.extend_from_slice(&u16::try_from(cells.len()).unwrap().to_be_bytes());
    for cell in cells {
        match cell {
            None => frame.push(b'u'),
            Some(None) => frame.push(b'n'),
            Some(Some(text)) => {
                frame.push(b't');
                frame.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
                frame.extend_from_slice(text.as_bytes());
            }
        }
    }
}

fn row(kind: u8, images: &[(u8, &[Cell<'_>])]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend_from_slice(&16400_u32.to_be_bytes());
    for (mark, cells) in images {
        tuple(&mut frame, *mark, cells);
    }
    frame
}

const PAID: [Cell<'_>; 4] = [
    Some(Some("42")),
    Some(Some("paid")),
    Some(Some("19.90")),
    None,
];

#[test]
fn an_update_reads_as_the_public_form_says() {
    let mut bench = Bench::new(b'd', false);
    let key: [Cell<'_>; 4] = [Some(Some("41")), Some(None), Some(None), Some(None)];
    bench.feed(&row(b'U', &[(b'K', &key), (b'N', &PAID)]));
    let message = bench.sent.last().unwrap();
    let change = bench.read().pop().unwrap();
    let schema_id = change.schema_id.clone().unwrap();
    let expected = format!(
        r#"{{"id":"0/16B374.1","op":"update","database":"shop","schema":"public","table":"orders","lsn":"0/16B374","ordinal":1,"xid":742,"committed_at":"2026-11-23T05:33:10.123456Z","schema_id":"{schema_id}","key":{{"id":42}},"before":{{"id":41}},"before_image":"key","after":{{"id":42,"status":"paid","total":"19.90"}},"unchanged":["note"]}}"#
    );
    assert_eq!(message.payload.clone().render(), expected.as_bytes());
    assert_eq!(
        serde_json::to_value(&change).unwrap(),
        serde_json::from_str::<serde_json::Value>(&expected).unwrap()
    );
    assert!(
        message.subject.starts_with("rowcast.change.t00000000001a."),
        "{}",
        message.subject
    );
    assert!(
        message.subject.ends_with(".public.orders.update"),
        "{}",
        message.subject
    );
}

#[test]
fn a_shape_comes_before_its_first_use_and_once() {
    let mut bench = Bench::new(b'd', false);
    bench.feed(&row(b'I', &[(b'N', &PAID)]));
    bench.feed(&row(b'I', &[(b'N', &PAID)]));
    let read = bench.read();
    let operations: Vec<Operation> = read.iter().map(|change| change.op).collect();
    assert_eq!(
        operations,
        [Operation::Schema, Operation::Insert, Operation::Insert]
    );
    let definition = read[0].definition.as_ref().unwrap();
    assert_eq!(Some(&definition.id), read[1].schema_id.as_ref());
    assert_eq!(definition.columns.len(), 4);
    assert!(bench.sent.is_sorted_by(|a, b| a.position <= b.position));
    assert_eq!(read[0].id, Position::new(Lsn::new(COMMIT), 0));
}

#[test]
fn a_shape_that_is_repeated_unchanged_is_not_told_again() {
    let mut bench = Bench::new(b'd', false);
    bench.feed(&row(b'I', &[(b'N', &PAID)]));
    bench.encoder.define(&bench.relation);
    bench.feed(&row(b'I', &[(b'N', &PAID)]));
    let operations: Vec<Operation> = bench.read().iter().map(|change| change.op).collect();
    assert_eq!(
        operations,
        [Operation::Schema, Operation::Insert, Operation::Insert]
    );
}

#[test]
fn a_full_identity_fills_what_was_not_sent() {
    let mut bench = Bench::new(b'f', false);
    let old: [Cell<'_>; 4] = [
        Some(Some("42")),
        Some(Some("new")),
        Some(None),
        Some(Some("long")),
    ];
    bench.feed(&row(b'U', &[(b'O', &old), (b'N', &PAID)]));
    let change = bench.read().pop().unwrap();
    assert_eq!(change.before_image, Some(BeforeImage::Full));
    assert_eq!(change.after.unwrap()["note"], json!("long"));
    assert_eq!(change.before.unwrap()["total"], json!(null));
    assert_eq!(change.key.unwrap().len(), 1);
    assert!(change.unchanged.is_empty());
}

#[test]
fn a_long_key_that_was_not_sent_again_is_taken_from_the_old_row() {
    let mut bench = Bench::new(b'd', false);
    let stored: [Cell<'_>; 4] = [Some(Some("42")), Some(None), Some(None), Some(None)];
    bench.feed(&row(b'I', &[(b'N', &stored)]));
    let new: [Cell<'_>; 4] = [None, Some(Some("paid")), Some(None), Some(None)];
    bench.feed(&row(b'U', &[(b'K', &stored), (b'N', &new)]));
    let change = bench.read().pop().unwrap();
    assert_eq!(change.key.unwrap()["id"], json!(42));
    let partition = |m: &Outbound| m.subject.split('.').nth(3).unwrap().to_owned();
    assert_eq!(partition(&bench.sent[1]), partition(&bench.sent[2]));
}

#[test]
fn a_delete_has_its_key_and_no_after() {
    let mut bench = Bench::new(b'd', false);
    let key: [Cell<'_>; 4] = [Some(Some("7")), Some(None), Some(None), Some(None)];
    bench.feed(&row(b'D', &[(b'K', &key)]));
    let change = bench.read().pop().unwrap();
    assert_eq!(
        (change.op, change.before_image),
        (Operation::Delete, Some(BeforeImage::Key))
    );
    assert_eq!(change.key.unwrap()["id"], json!(7));
    assert_eq!(change.after, None);
}

#[test]
fn markers_frame_a_transaction_where_they_are_wanted() {
    let mut bench = Bench::new(b'd', true);
    bench.feed(&row(b'I', &[(b'N', &PAID)]));
    bench.feed(&commit());
    let read = bench.read();
    let operations: Vec<Operation> = read.iter().map(|change| change.op).collect();
    let expected = [
        Operation::Begin,
        Operation::Schema,
        Operation::Insert,
        Operation::Commit,
    ];
    assert_eq!(operations, expected);
    assert_eq!((read[3].changes, read[3].ordinal), (Some(1), 2));
}

#[test]
fn a_truncate_says_how() {
    let mut bench = Bench::new(b'd', false);
    let mut frame = vec![b'T'];
    frame.extend_from_slice(&1_u32.to_be_bytes());
    frame.push(3);
    frame.extend_from_slice(&16400_u32.to_be_bytes());
    bench.feed(&frame);
    let change = bench.read().pop().unwrap();
    assert_eq!(
        (change.op, change.cascade),
        (Operation::Truncate, Some(true))
    );
    assert_eq!(change.restart_identity, Some(true));
    assert!(
        bench
            .sent
            .last()
            .unwrap()
            .subject
            .contains(".tx.public.orders.")
    );
}

fn large_row(fill: char) -> Vec<u8> {
    let long = fill.to_string().repeat(3_000_000);
    let cells: [Cell<'_>; 4] = [Some(Some("1")), Some(Some(&long)), Some(None), Some(None)];
    row(b'I', &[(b'N', &cells)])
}

fn join(pieces: &[Outbound]) -> Vec<u8> {
    let mut joined = Vec::new();
    for piece in pieces {
        let body = piece.payload.clone().render();
        assert!(body.len() <= LIMIT && body.len() == piece.payload.len());
        let part = serde_json::from_slice::<Read>(&body).unwrap().part.unwrap();
        assert_eq!(part.offset, joined.len() as u64);
        joined.extend(data_encoding::BASE64.decode(part.data.as_bytes()).unwrap());
    }
    joined
}

#[test]
fn a_row_larger_than_a_message_goes_in_pieces_on_its_own_subject() {
    let mut bench = Bench::new(b'd', false);
    bench.feed(&large_row('x'));
    bench.feed(&row(b'I', &[(b'N', &PAID)]));
    let pieces = &bench.sent[1..bench.sent.len() - 1];
    assert_eq!(pieces.len(), 4);
    let read = bench.read();
    assert!(pieces.iter().all(|p| p.subject.ends_with(".orders.insert")));
    let whole: Read = serde_json::from_slice(&join(pieces)).unwrap();
    assert_eq!((whole.op, whole.id), (Operation::Insert, read[1].id));
    assert_eq!(whole.after.unwrap()["status"], json!("x".repeat(3_000_000)));
    let piece = &read[1];
    assert_eq!(piece.op, Operation::Part);
    assert_eq!((&piece.schema_id, piece.xid), (&whole.schema_id, whole.xid));
    assert_eq!(
        (piece.table.as_deref(), &piece.key),
        (Some("orders"), &None)
    );
    // Only the end makes the row stored.
    let before = Position::new(Lsn::new(COMMIT), 0);
    assert!(pieces[..3].iter().all(|p| p.whole_up_to() == before));
    assert_eq!(pieces[3].whole_up_to(), pieces[3].position);
    assert_eq!(read.last().unwrap().op, Operation::Insert);
}

#[test]
fn after_a_large_row_memory_is_taken_in_small_amounts_again() {
    let mut bench = Bench::new(b'd', false);
    bench.feed(&large_row('x'));
    bench.sent.clear();
    bench.feed(&row(b'I', &[(b'N', &PAID)]));
    assert!(bench.encoder.draft.buffer.capacity() <= draft::CHUNK);
}

#[test]
fn a_row_that_was_begun_goes_on_where_it_ended_without_anything_between() {
    let mut before = Bench::new(b'd', false);
    before.feed(&large_row('x'));
    let stored = before.sent.get(1..3).unwrap().to_vec();
    let last = Last::read(&stored[1].payload.clone().render()).unwrap();

    let mut after = Bench::new(b'd', false);
    after.encoder = after.encoder.behind(Some(last));
    after.feed(&large_row('x'));
    assert_eq!([stored, after.sent.clone()].concat(), before.sent[1..]);
    // The next row of the table is told its shape: this session has not done so yet.
    after.sent.clear();
    after.feed(&row(b'I', &[(b'N', &PAID)]));
    assert_eq!(after.read()[0].op, Operation::Schema);
}

#[test]
fn a_row_that_was_begun_and_is_another_now_begins_anew() {
    let mut before = Bench::new(b'd', false);
    before.feed(&large_row('x'));
    let last = Last::read(&before.sent[2].payload.clone().render()).unwrap();

    let mut after = Bench::new(b'd', false);
    after.encoder = after.encoder.behind(Some(last));
    after.feed(&large_row('y'));
    assert_eq!(after.read()[0].op, Operation::Schema);
    let whole: Read = serde_json::from_slice(&join(&after.sent[1..])).unwrap();
    assert_eq!(whole.after.unwrap()["status"], json!("y".repeat(3_000_000)));
}

#[test]
fn a_broker_that_takes_less_than_an_envelope_is_named() {
    let mut bench = Bench::new(b'd', false);
    bench.encoder.limit = 500;
    let long = "x".repeat(600);
    let cells: [Cell<'_>; 4] = [Some(Some("1")), Some(Some(&long)), Some(None), Some(None)];
    let frame = row(b'I', &[(b'N', &cells)]);
    let Decoded::Change(change) = bench.decoder.decode(Lsn::new(1), &frame).unwrap() else {
        panic!("no change")
    };
    let error = bench.encoder.encode(&change, |_| {}).unwrap_err();
    assert!(
        error.to_string().contains("a piece of 0/16B374.1"),
        "{error}"
    );
}

proptest! {
    /// Any text goes through: what a reader gets is what the server sent, and one key lies in one
    /// partition whatever else the row holds.
    #[test]
    fn any_row_reads_back(
        id in any::<i64>(),
        status in prop::option::of(".*"),
        note in prop::option::of(prop::option::of(".*")),
    ) {
        let mut bench = Bench::new(b'd', false);
        let id = id.to_string();
        let cells: [Cell<'_>; 4] =
            [Some(Some(&id)), Some(status.as_deref()), Some(None), note.as_ref().map(Option::as_deref)];
        bench.feed(&row(b'U', &[(b'N', &cells)]));
        bench.feed(&row(b'D', &[(b'K', &[Some(Some(&id)), Some(None), Some(None), Some(None)])]));
        let read = bench.read();
        let after = read[1].after.as_ref().unwrap();
        prop_assert_eq!(&after["status"], &json!(status));
        prop_assert_eq!(after.get("note").cloned(), note.as_ref().map(|note| json!(note)));
        prop_assert_eq!(read[1].unchanged.is_empty(), note.is_some());
        prop_assert_eq!(read[1].key.as_ref(), read[2].key.as_ref());
        let partition = |m: &Outbound| m.subject.split('.').nth(3).unwrap().to_owned();
        prop_assert_eq!(partition(&bench.sent[1]), partition(&bench.sent[2]));
    }
}
