use proptest::prelude::*;

use super::*;

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
}

fn tuple(bytes: &mut Vec<u8>, values: &[Option<&str>]) {
    bytes.extend_from_slice(&u16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        match value {
            None => bytes.push(b'n'),
            Some(value) => {
                bytes.push(b't');
                bytes.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(value.as_bytes());
            }
        }
    }
}

fn samples() -> Vec<Vec<u8>> {
    let mut begin = vec![b'B'];
    begin.extend_from_slice(&0x16_B374_u64.to_be_bytes());
    begin.extend_from_slice(&5_i64.to_be_bytes());
    begin.extend_from_slice(&742_u32.to_be_bytes());

    let mut relation = vec![b'R'];
    relation.extend_from_slice(&16384_u32.to_be_bytes());
    text(&mut relation, "public");
    text(&mut relation, "orders");
    relation.push(b'd');
    relation.extend_from_slice(&1_u16.to_be_bytes());
    relation.push(1);
    text(&mut relation, "id");
    relation.extend_from_slice(&20_u32.to_be_bytes());
    relation.extend_from_slice(&(-1_i32).to_be_bytes());

    let mut update = vec![b'U'];
    update.extend_from_slice(&16384_u32.to_be_bytes());
    update.push(b'K');
    tuple(&mut update, &[Some("1"), None]);
    update.push(b'N');
    tuple(&mut update, &[Some("2"), Some("é")]);

    let mut truncate = vec![b'T'];
    truncate.extend_from_slice(&2_u32.to_be_bytes());
    truncate.push(3);
    truncate.extend_from_slice(&1_u32.to_be_bytes());
    truncate.extend_from_slice(&2_u32.to_be_bytes());
    vec![begin, relation, update, truncate]
}

#[test]
fn messages_are_read_as_the_server_writes_them() {
    let samples = samples();
    let parsed: Vec<_> = samples.iter().map(|bytes| parse(bytes).unwrap()).collect();
    assert_eq!(
        parsed[0],
        Message::Begin {
            commit_lsn: Lsn::new(0x16_B374),
            committed_at: 5,
            xid: 742
        }
    );
    let Message::Relation(relation) = &parsed[1] else {
        panic!("{:?}", parsed[1])
    };
    assert_eq!(
        (relation.schema, relation.table, relation.replica_identity),
        ("public", "orders", b'd')
    );
    assert_eq!(
        relation.columns,
        [ColumnBody {
            identity: true,
            name: "id",
            type_oid: 20,
            modifier: -1
        }]
    );
    let Message::Update {
        old: Some(OldTuple::Key(old)),
        new,
        ..
    } = &parsed[2]
    else {
        panic!("{:?}", parsed[2])
    };
    assert_eq!(
        old.datums().collect::<Vec<_>>(),
        [Datum::Text("1"), Datum::Null]
    );
    assert_eq!(
        new.datums().collect::<Vec<_>>(),
        [Datum::Text("2"), Datum::Text("é")]
    );
    assert_eq!(
        parsed[3],
        Message::Truncate {
            relations: vec![1, 2],
            cascade: true,
            restart_identity: true
        }
    );
}

#[test]
fn a_message_cut_anywhere_or_too_long_is_an_error() {
    for sample in samples() {
        for end in 0..sample.len() {
            assert!(parse(&sample[..end]).is_err(), "{sample:?} cut at {end}");
        }
        let mut long = sample.clone();
        long.push(0);
        assert_eq!(parse(&long), Err(MalformedMessage::Long { bytes: 1 }));
    }
}

#[test]
fn a_huge_count_does_not_reserve_memory_for_it() {
    let mut truncate = vec![b'T'];
    truncate.extend_from_slice(&u32::MAX.to_be_bytes());
    truncate.push(0);
    assert!(parse(&truncate).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = parse(&bytes);
    }

    #[test]
    fn no_flipped_byte_makes_it_panic(which in 0_usize..4, at: prop::sample::Index, byte: u8) {
        let mut sample = samples().swap_remove(which);
        let at = at.index(sample.len());
        sample[at] = byte;
        if let Ok(Message::Update { new, .. }) = parse(&sample) {
            prop_assert_eq!(new.datums().count(), new.len());
        }
    }
}
