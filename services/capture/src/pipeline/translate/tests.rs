//! What comes out is read by the parser that reads pgoutput: the two are the reverse of each other.

use self::reading::{Cell, Event, Old, Reader, Row, Told, cell};
use super::table::{ColumnFacts, ColumnText};
use super::*;

mod reading;
mod rendered;
mod server;

fn column(name: &str, type_name: &str, type_oid: u32, identity: bool) -> ColumnFacts {
    ColumnFacts {
        text: ColumnText {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
        },
        type_oid,
        modifier: -1,
        identity,
        hidden: false,
    }
}

fn facts(oid: u32, replica_identity: u8, columns: &[ColumnFacts]) -> TableFacts {
    TableFacts {
        oid,
        is_view: false,
        replica_identity,
        columns: columns.to_vec(),
    }
}

/// A table with a key and a note.
fn keyed(oid: u32) -> TableFacts {
    let columns = [
        column("id", "integer", 23, true),
        column("note", "text", 25, false),
    ];
    facts(oid, b'd', &columns)
}

/// A session whose catalog is a list of answers, one for each question.
struct Session {
    translator: Translator,
    reader: Reader,
    answers: Vec<TableFacts>,
    asked: Vec<TableText>,
}

impl Session {
    fn new(answers: &[TableFacts]) -> Self {
        let mut answers = answers.to_vec();
        answers.reverse();
        Self {
            translator: Translator::new("/nonexistent".into()),
            reader: Reader::default(),
            answers,
            asked: Vec::new(),
        }
    }

    /// The changes of one transaction with these lines.
    fn changes(&mut self, lines: &[&str]) -> Vec<Event> {
        self.take("BEGIN 7");
        for line in lines {
            assert!(self.take(line).is_none());
        }
        let transaction = self.take("COMMIT 7 (at 2000-01-01 00:00:01+00)").unwrap();
        let mut events = self.reader.transaction(transaction);
        events.pop();
        events.remove(0);
        events
    }

    fn take(&mut self, line: &str) -> Option<Transaction> {
        loop {
            match self
                .translator
                .take(Lsn::new(900), line.as_bytes())
                .unwrap()
            {
                Outcome::Taken => return None,
                Outcome::Transaction(transaction) => return Some(transaction),
                Outcome::NeedsTable(text) => {
                    self.asked.push(text.clone());
                    let facts = self.answers.pop().expect("asked too often");
                    self.translator.define(text, facts).unwrap();
                }
            }
        }
    }
}

fn key(id: &str) -> Option<Old> {
    Some(Old::Key(vec![cell(id), Cell::Null]))
}

fn rows(events: &[Event]) -> Vec<(Option<Old>, Option<Row>)> {
    events
        .iter()
        .map(|event| {
            let Event::Row { old, new, .. } = event else {
                panic!("{event:?} is no row")
            };
            (old.clone(), new.clone())
        })
        .collect()
}

#[test]
fn a_transaction_comes_out_at_its_commit_with_its_end_and_time() {
    let mut session = Session::new(&[keyed(500)]);
    assert!(session.take("BEGIN 7").is_none());
    assert!(
        session
            .take("table public.t: INSERT: id[integer]:1 note[text]:'a''b'")
            .is_none()
    );
    let transaction = session
        .take("COMMIT 7 (at 2000-01-01 00:00:01.5+00)")
        .unwrap();
    assert_eq!(transaction.commit_lsn(), Lsn::new(900));
    let events = session.reader.transaction(transaction);
    let table = Told {
        oid: 500,
        name: "public.t".to_owned(),
        replica_identity: 'd',
        columns: vec![
            ("id".to_owned(), 23, -1, true),
            ("note".to_owned(), 25, -1, false),
        ],
    };
    let expected = [
        Event::Begin {
            lsn: Lsn::new(900),
            committed_at: 1_500_000,
            xid: 7,
        },
        Event::Row {
            table,
            old: None,
            new: Some(vec![cell("1"), cell("a'b")]),
        },
        Event::Commit {
            end_lsn: Lsn::new(900),
        },
    ];
    assert_eq!(events, expected);
}

#[test]
fn an_empty_transaction_comes_out_as_well() {
    let mut session = Session::new(&[]);
    assert_eq!(
        session.changes(&["message: transactional: 1 prefix: p, sz: 1 content:x"]),
        []
    );
}

#[test]
fn old_rows_are_keys_unless_the_identity_is_full() {
    let lines = [
        "table public.t: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 note[text]:unchanged-toast-datum",
        "table public.t: DELETE: id[integer]:2",
    ];
    let new = Some(vec![cell("2"), Cell::Unchanged]);
    let mut session = Session::new(&[keyed(500)]);
    let events = session.changes(&lines);
    assert_eq!(rows(&events), [(key("1"), new.clone()), (key("2"), None)]);

    let mut full = keyed(500);
    full.replica_identity = b'f';
    let events = Session::new(&[full]).changes(&lines);
    let whole = |id| Some(Old::Full(vec![cell(id), Cell::Null]));
    assert_eq!(rows(&events), [(whole("1"), new), (whole("2"), None)]);
}

#[test]
fn a_deletion_without_an_old_row_is_a_key_of_nulls() {
    let events = Session::new(&[keyed(500)]).changes(&["table public.t: DELETE: (no-tuple-data)"]);
    assert_eq!(
        rows(&events),
        [(Some(Old::Key(vec![Cell::Null, Cell::Null])), None)]
    );
}

#[test]
fn a_shape_is_asked_for_and_told_once_and_again_when_it_changes() {
    let mut wider = keyed(500);
    wider.columns.push(column("more", "boolean", 16, false));
    let mut session = Session::new(&[keyed(500), wider]);
    let narrow = "table public.t: INSERT: id[integer]:1 note[text]:null";
    session.changes(&[narrow, narrow]);
    session.changes(&[narrow, "table public.t: DELETE: id[integer]:1"]);
    assert_eq!(
        (session.asked.len(), session.reader.relation_messages),
        (1, 1)
    );

    let wide = "table public.t: INSERT: id[integer]:1 note[text]:null more[boolean]:true";
    let events = session.changes(&[wide, wide]);
    assert_eq!(
        (session.asked.len(), session.reader.relation_messages),
        (2, 2)
    );
    assert_eq!(
        rows(&events)[0].1,
        Some(vec![cell("1"), Cell::Null, cell("t")])
    );
}

#[test]
fn two_names_under_one_oid_are_each_told_before_their_rows() {
    let mut other = keyed(500);
    other.columns.pop();
    let mut session = Session::new(&[keyed(500), other]);
    let (t, u) = (
        "table public.t: INSERT: id[integer]:1 note[text]:null",
        "table public.u: INSERT: id[integer]:1",
    );
    let events = session.changes(&[t, u, t]);
    let lengths: Vec<_> = rows(&events)
        .iter()
        .map(|(_, new)| new.as_ref().unwrap().len())
        .collect();
    assert_eq!(lengths, [2, 1, 2]);
    assert_eq!(session.reader.relation_messages, 3);
}

#[test]
fn an_identity_that_the_line_contradicts_is_asked_for_again_but_only_once() {
    let mut full = keyed(500);
    full.replica_identity = b'f';
    let whole_row = "table public.t: DELETE: id[integer]:1 note[text]:'x'";
    let keyed_update = "table public.t: UPDATE: id[integer]:1 note[text]:'x'";

    // The catalog knows better by now.
    let mut session = Session::new(&[keyed(500), full.clone(), keyed(500)]);
    session.changes(&[
        "table public.t: DELETE: id[integer]:1",
        whole_row,
        whole_row,
    ]);
    assert_eq!(session.asked.len(), 2);
    session.changes(&[keyed_update, keyed_update]);
    assert_eq!(session.asked.len(), 3);

    // The line is older than the catalog's change.
    let mut session = Session::new(&[full.clone(), full]);
    session.changes(&[keyed_update, keyed_update]);
    let events = session.changes(&["table public.t: DELETE: id[integer]:1", whole_row]);
    let whole = Some(Old::Full(vec![cell("1"), cell("x")]));
    assert_eq!(rows(&events), [(key("1"), None), (whole, None)]);
    let mut session = Session::new(&[keyed(500), keyed(500)]);
    let events = session.changes(&[whole_row, whole_row]);
    let old = Some(Old::Full(vec![cell("1"), cell("x")]));
    assert_eq!(rows(&events), [(old.clone(), None), (old, None)]);
}

#[test]
fn without_a_known_identity_it_is_what_the_server_prints() {
    let mut keyless = keyed(500);
    keyless.columns[0].identity = false;
    let mut session = Session::new(&[keyless]);
    let insert = "table public.t: INSERT: id[integer]:1 note[text]:'x'";
    let events = session.changes(&[insert, "table public.t: DELETE: id[integer]:1", insert]);
    assert_eq!(rows(&events)[1], (key("1"), None));
    let identity = |event: &Event| event.table().columns[0].3;
    assert_eq!(
        events.iter().map(identity).collect::<Vec<_>>(),
        [false, true, true]
    );
}

#[test]
fn the_oid_of_a_row_is_left_out() {
    let mut with_oids = keyed(500);
    with_oids.columns.insert(0, column("oid", "oid", 26, false));
    with_oids.columns[0].hidden = true;
    let events = Session::new(&[with_oids]).changes(&[
        "table public.t: UPDATE: old-key: oid[oid]:9 id[integer]:1 new-tuple: oid[oid]:9 id[integer]:2 note[text]:'c'",
        "table public.t: DELETE: oid[oid]:9 id[integer]:2",
    ]);
    let new = Some(vec![cell("2"), cell("c")]);
    assert_eq!(rows(&events), [(key("1"), new), (key("2"), None)]);
}

#[test]
fn copies_of_rewrites_are_left_out() {
    let events = Session::new(&[keyed(500)]).changes(&[
        "table public.pg_temp_16422: INSERT: a[bigint]:5",
        "table public.t: TRUNCATE: cascade",
    ]);
    let [
        Event::Truncate {
            tables,
            cascade: true,
            restart_identity: false,
        },
    ] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((tables.len(), tables[0].oid), (1, 500));
}

#[test]
fn lines_out_of_order_are_errors() {
    let insert = "table public.t: INSERT: id[integer]:1 note[text]:null";
    let commit = "COMMIT 7 (at 2000-01-01 00:00:01+00)";
    for lines in [
        &[insert][..],
        &["table public.t: TRUNCATE: (no-flags)"],
        &[commit],
        &["BEGIN 6", commit],
        &["BEGIN 7", "BEGIN 8"],
        &[
            "BEGIN 7",
            "table public.t: UPDATE: old-key: x[integer]:1 new-tuple: id[integer]:1 note[text]:null",
        ],
    ] {
        let mut translator = Translator::new("/nonexistent".into());
        let (last, first) = lines.split_last().unwrap();
        let mut outcome = None;
        for line in first.iter().chain([last, last]) {
            outcome = Some(translator.take(Lsn::new(1), line.as_bytes()));
            if let Some(Ok(Outcome::NeedsTable(text))) = outcome {
                translator.define(text, keyed(500)).unwrap();
                outcome = None;
            } else if line == last {
                break;
            }
        }
        assert!(
            matches!(outcome, Some(Err(TranslateError::OutOfOrder { .. }))),
            "{lines:?}: {outcome:?}"
        );
    }
}

#[test]
fn facts_of_other_columns_are_refused() {
    let mut translator = Translator::new("/nonexistent".into());
    translator.take(Lsn::new(1), b"BEGIN 1").unwrap();
    for line in [
        "INSERT: id[bigint]:1",
        "DELETE: note[text]:'' id[integer]:1",
    ] {
        let line = format!("table public.t: {line}");
        let Outcome::NeedsTable(text) = translator.take(Lsn::new(1), line.as_bytes()).unwrap()
        else {
            panic!()
        };
        let refused = translator.define(text, keyed(500));
        assert!(matches!(refused, Err(TranslateError::Unfit(table)) if table == "public.t"));
    }
}

#[test]
fn a_large_transaction_costs_a_bounded_amount_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = Session::new(&[keyed(500)]);
    session.translator = Translator::new(folder.path().to_owned());
    session.take("BEGIN 7");
    let note = "x".repeat(1000);
    let count = 20_000;
    for id in 0..count {
        session.take(&format!(
            "table public.t: INSERT: id[integer]:{id} note[text]:'{note}'"
        ));
    }
    let mut transaction = session
        .take("COMMIT 7 (at 2000-01-01 00:00:01+00)")
        .unwrap();
    let mut ids = 0..count;
    while let Some(message) = transaction.next().unwrap() {
        assert!(message.len() < 1100);
        if let Some(Event::Row { new, .. }) = session.reader.read(message) {
            let id = ids.next().unwrap().to_string();
            assert_eq!(new.unwrap()[0], cell(&id));
        }
    }
    assert_eq!(ids.next(), None);
}
