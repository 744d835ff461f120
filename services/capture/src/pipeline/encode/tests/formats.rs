//! Both formats say the same: what one writes and the other is read as one change.

use proptest::prelude::*;
use rowcast_domain::{Lsn, Position};
use rowcast_proto::change::protobuf as pb;
use rowcast_proto::change::{Change as Read, Ddl, DocumentForm, Gap};
use serde_json::{Number, Value as Json};

use super::{Bench, COMMIT, Cell, LIMIT, PAID, commit, row};
use crate::pipeline::change::{Change, DdlChange, Kind, Transaction, WalMessage};
use crate::pipeline::encode::draft::Format;
use crate::pipeline::encode::roundtrip::{any_kind, tell, text_of};
use crate::pipeline::encode::{Encoder, Payload, protobuf};
use crate::pipeline::publish::tail::Last;

/// Too little for the row with the longest note.
const NARROW: usize = 4000;

/// Numbers as doubles: PostgreSQL writes `1e+06` and `1000000` for one.
fn as_doubles(value: Json) -> Json {
    match value {
        Json::Number(number) => number.as_f64().and_then(Number::from_f64).into(),
        Json::Array(items) => items.into_iter().map(as_doubles).collect(),
        Json::Object(members) => {
            let members = members.into_iter();
            Json::Object(
                members
                    .map(|(name, value)| (name, as_doubles(value)))
                    .collect(),
            )
        }
        other @ (Json::Null | Json::Bool(_) | Json::String(_)) => other,
    }
}

/// What a reader of protobuf makes of a value.
fn read_protobuf(kind: &Kind, text: &str) -> (Json, Option<DocumentForm>) {
    let mut out = bytes::BytesMut::new();
    let start = protobuf::open(&mut out, protobuf::field::AFTER);
    let name = protobuf::column_name("c");
    protobuf::column(&mut out, &name, kind, Some(text));
    protobuf::close(&mut out, start);
    let change = Read::read(&out).unwrap();
    let form = change.documents.and_then(|all| all.after.get("c").copied());
    (change.after.unwrap().remove("c").unwrap(), form)
}

proptest! {
    #[test]
    fn a_value_is_read_alike_from_both(
        (kind, text) in any_kind().prop_flat_map(|kind| (Just(kind.clone()), text_of(&kind)))
    ) {
        let told = tell(&kind, &text);
        let from_json: Json = serde_json::from_str(&told.json).unwrap();
        let (value, form) = read_protobuf(&kind, &text);
        prop_assert_eq!((as_doubles(value), form), (as_doubles(from_json), told.form));
    }

    #[test]
    fn no_text_gives_what_is_no_protobuf(
        kind in any_kind(),
        text in any_kind().prop_flat_map(|kind| text_of(&kind)),
    ) {
        read_protobuf(&kind, &text);
    }
}

fn bench(format: Format, limit: usize, packs: bool) -> Bench {
    let mut bench = Bench::new(b'd', true);
    let task = "t00000000001a".parse().unwrap();
    let encoder = Encoder::new(task, "shop", 1, true, limit).writing(format, "shop");
    bench.encoder = if packs { encoder.packing() } else { encoder };
    bench.encoder.define(&bench.relation);
    bench.sent.clear();
    bench
}

/// Everything that a stream can hold, but for pieces.
fn feed_everything(bench: &mut Bench) {
    let key: [Cell<'_>; 4] = [Some(Some("41")), Some(None), Some(None), Some(None)];
    bench.feed(&row(b'I', &[(b'N', &PAID)]));
    bench.feed(&row(b'I', &[(b'N', &key)]));
    bench.feed(&row(b'U', &[(b'K', &key), (b'N', &PAID)]));
    bench.feed(&row(b'U', &[(b'N', &PAID)]));
    bench.feed(&row(b'D', &[(b'K', &key)]));
    let mut truncate = vec![b'T'];
    truncate.extend_from_slice(&1_u32.to_be_bytes());
    truncate.push(2);
    truncate.extend_from_slice(&16400_u32.to_be_bytes());
    bench.feed(&truncate);
    let transaction = Transaction {
        commit_lsn: Lsn::new(COMMIT),
        committed_at: 848_727_190_123_456,
        xid: 742,
    };
    let ddl = Ddl {
        command: "ALTER TABLE".to_owned(),
        object_type: "table".to_owned(),
        object: "public.orders".to_owned(),
        text: "ALTER TABLE orders ADD \"näme\" int".to_owned(),
        user: "app".to_owned(),
        dropped: false,
        rewritten: true,
    };
    let ddl = DdlChange {
        transaction,
        ordinal: 7,
        schema: Some("public".to_owned()),
        table: None,
        ddl,
    };
    let message = |content, transaction| WalMessage {
        transaction,
        lsn: transaction.map_or(Lsn::new(9), |_| Lsn::new(COMMIT)),
        prefix: "app",
        content,
    };
    for change in [
        Change::Ddl(Box::new(ddl)),
        Change::Message(message(b"text", Some((transaction, 8)))),
        Change::Message(message(b"\xff\0", Some((transaction, 9)))),
    ] {
        let sent = &mut bench.sent;
        bench
            .encoder
            .encode(&change, |message| sent.push(message))
            .unwrap();
    }
    bench.feed(&commit());
    let gap = Gap {
        code: "Gap".to_owned(),
        cause: "the slot was dropped".to_owned(),
        from: Lsn::new(COMMIT),
        to: Lsn::new(COMMIT + 100),
    };
    bench.sent.push(bench.encoder.gap(&gap, 5).unwrap());
    let heartbeat = bench.encoder.heartbeat(Lsn::new(COMMIT + 200), 6);
    bench.sent.push(heartbeat.unwrap());
}

#[test]
fn every_message_is_read_alike_from_both() {
    for packs in [false, true] {
        let (mut json, mut protobuf) = (
            bench(Format::Json, LIMIT, packs),
            bench(Format::Protobuf, LIMIT, packs),
        );
        feed_everything(&mut json);
        feed_everything(&mut protobuf);
        assert_eq!(protobuf.read(), json.read());
        for (other, message) in json.sent.iter().zip(&protobuf.sent) {
            assert_eq!(message.subject, other.subject);
            let [message, other] = [message, other].map(|m| m.payload.clone().render());
            assert!(message[0] != b'{' && other[0] == b'{');
            assert_eq!(Last::read(&message), Last::read(&other));
        }
        let bytes = |bench: &Bench| bench.sent.iter().map(|m| m.payload.len()).sum::<usize>();
        assert!(bytes(&protobuf) < bytes(&json));
    }
}

#[test]
fn pieces_of_protobuf_fit_join_to_the_whole_and_are_gone_on_with() {
    let note = "note ".repeat(2000);
    let long: [Cell<'_>; 4] = [Some(Some("1")), Some(None), Some(None), Some(Some(&note))];
    let insert = row(b'I', &[(b'N', &long)]);
    let (mut whole, mut narrow) = (
        bench(Format::Protobuf, LIMIT, false),
        bench(Format::Protobuf, NARROW, false),
    );
    whole.feed(&insert);
    narrow.feed(&insert);
    let pieces: Vec<_> = narrow.sent.iter().skip(1).collect();
    assert!(pieces.len() > 2);
    let mut joined = Vec::new();
    for piece in &pieces {
        let (length, body) = (piece.payload.len(), piece.payload.clone().render());
        assert!(body.len() == length && length <= NARROW, "{length}");
        let change = <pb::Change as prost::Message>::decode(body).unwrap();
        let part = change.part.unwrap();
        assert_eq!(part.offset, joined.len() as u64);
        assert_eq!((part.op(), change.op), (pb::Operation::Insert, 12));
        joined.extend_from_slice(&part.data);
    }
    let Payload::Whole(body) = &whole.sent[1].payload else {
        panic!("it is not large")
    };
    assert_eq!(&joined, body);

    for stored in 1..pieces.len() {
        let last = Last::read(&pieces[stored - 1].payload.clone().render()).unwrap();
        assert!(last.half.is_some());
        assert_eq!(last.position, Position::new(Lsn::new(COMMIT), 0));
        let mut again = bench(Format::Protobuf, NARROW, false);
        let task = "t00000000001a".parse().unwrap();
        let encoder = Encoder::new(task, "shop", 1, true, NARROW);
        again.encoder = encoder.writing(Format::Protobuf, "shop").behind(Some(last));
        again.encoder.define(&again.relation);
        again.feed(&insert);
        assert_eq!(again.sent.len(), pieces.len() - stored, "behind {stored}");
    }
}
