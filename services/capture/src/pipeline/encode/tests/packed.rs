//! Rows of one transaction in one message.

use super::*;

impl Bench {
    fn packing(limit: usize) -> Self {
        let mut bench = Self::new(b'd', true);
        let task = "t00000000001a".parse().unwrap();
        bench.encoder = Encoder::new(task, "shop", 1, true, limit).packing();
        bench.encoder.define(&bench.relation);
        bench.sent.clear();
        bench
    }

    fn insert(&mut self, id: usize, note: &str) {
        let id = id.to_string();
        let cells: [Cell<'_>; 4] = [Some(Some(&id)), Some(None), Some(None), Some(Some(note))];
        self.feed(&row(b'I', &[(b'N', &cells)]));
    }

    fn commit(&mut self) {
        self.feed(&commit());
    }
}

fn operations(read: &[Read]) -> Vec<Operation> {
    read.iter().map(|change| change.op).collect()
}

#[test]
fn rows_that_follow_each_other_are_one_message_and_read_as_they_would_alone() {
    let (mut packed, mut alone) = (Bench::packing(LIMIT), Bench::new(b'd', true));
    alone.sent.clear();
    for bench in [&mut packed, &mut alone] {
        for id in 1..=250 {
            bench.insert(id, "note");
        }
        bench.commit();
    }
    let (packed_read, alone) = (packed.read(), alone.read());
    let expected = [
        Operation::Schema,
        Operation::Pack,
        Operation::Pack,
        Operation::Pack,
        Operation::Commit,
    ];
    assert_eq!(operations(&packed_read), expected);
    let sizes: Vec<usize> = packed_read.iter().map(|change| change.pack.len()).collect();
    assert_eq!(sizes, [0, 100, 100, 50, 0]);
    let unpacked: Vec<&Read> = packed_read.iter().flat_map(|change| &change.pack).collect();
    assert!(
        unpacked
            .into_iter()
            .eq(alone.iter().filter(|change| change.op == Operation::Insert))
    );
    for (message, change) in packed.sent.iter().zip(&packed_read) {
        assert_eq!(message.position, change.id);
        assert!(change.pack.last().is_none_or(|last| last.id == change.id));
        let subject = change.op == Operation::Pack;
        assert_eq!(
            message.subject.ends_with(".000.=.=.pack"),
            subject,
            "{}",
            message.subject
        );
    }
}

#[test]
fn one_row_goes_as_if_nothing_were_packed() {
    let mut bench = Bench::packing(LIMIT);
    bench.insert(1, "note");
    bench.commit();
    let expected = [Operation::Schema, Operation::Insert, Operation::Commit];
    assert_eq!(operations(&bench.read()), expected);
    assert!(bench.sent[1].subject.ends_with(".000.public.orders.insert"));
}

#[test]
fn what_is_no_row_ends_a_pack_and_stands_where_it_was() {
    let mut bench = Bench::packing(LIMIT);
    bench.insert(1, "a");
    bench.insert(2, "b");
    let mut truncate = vec![b'T'];
    truncate.extend_from_slice(&1_u32.to_be_bytes());
    truncate.push(0);
    truncate.extend_from_slice(&16400_u32.to_be_bytes());
    bench.feed(&truncate);
    bench.insert(3, "c");
    bench.insert(4, "d");
    bench.commit();
    let expected = [
        Operation::Schema,
        Operation::Pack,
        Operation::Truncate,
        Operation::Pack,
        Operation::Commit,
    ];
    assert_eq!(operations(&bench.read()), expected);
    assert!(bench.sent.is_sorted_by_key(|message| message.position));
}

#[test]
fn no_pack_is_larger_than_the_limit_and_a_row_that_is_goes_in_pieces() {
    const SMALL: usize = 4000;
    let mut bench = Bench::packing(SMALL);
    for (id, size) in (1..).zip([10, 1500, 1500, 1500, 9000, 10, 3300, 3500, 10, 10]) {
        bench.insert(id, &"x".repeat(size));
    }
    bench.commit();
    assert!(
        bench
            .sent
            .iter()
            .all(|message| message.payload.len() <= SMALL)
    );
    assert!(bench.sent.is_sorted_by_key(|message| message.position));
    let mut ordinals: Vec<u64> = Vec::new();
    for change in bench.read() {
        let later_piece = change.part.as_ref().is_some_and(|part| part.offset > 0);
        if change.op == Operation::Pack {
            ordinals.extend(change.pack.iter().map(|row| row.ordinal));
        } else if !later_piece && ![Operation::Schema, Operation::Commit].contains(&change.op) {
            ordinals.push(change.ordinal);
        }
    }
    assert_eq!(ordinals, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}
