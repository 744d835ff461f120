use proptest::prelude::*;

use super::*;

fn bare<'a>(name: &'a str, type_name: &'a str, value: Value<'a>) -> Column<'a> {
    Column {
        name: Identifier::Bare(name),
        type_name,
        value,
    }
}

fn quoted<'a>(name: &'a str, type_name: &'a str, value: Value<'a>) -> Column<'a> {
    Column {
        name: Identifier::Quoted(name),
        type_name,
        value,
    }
}

fn change(line: &str) -> Change<'_> {
    match parse(line.as_bytes()) {
        Ok(Line::Change(change)) => change,
        other => panic!("{line}: {other:?}"),
    }
}

/// As PostgreSQL 10 and 15 wrote them.
const SAMPLES: [&str; 16] = [
    "BEGIN 724",
    "COMMIT 724 (at 2026-11-24 03:40:07.749169+00)",
    r#"table "my schema"."a.b": INSERT: "col umn"[integer]:1 "new-tuple"[text]:'x new-tuple: y' "q""x"[character varying]:'a''b\'"#,
    r#"table "my schema"."a.b": INSERT: "col umn"[integer]:2 "new-tuple"[text]:null "q""x"[character varying]:null"#,
    r#"table public.t: INSERT: id[integer]:1 n[numeric]:1.50 b[boolean]:true bi[bit]:B'101' vb[bit varying]:B'' ts[timestamp with time zone]:'2026-11-24 03:40:07.756975+00' ia[integer[]]:'{1,NULL,3}' e[public."My Type"]:'it''s' ea[public."My Type"[]]:'{a,it''s}' o[public."odd]"":"]:'(1,"x y")' f8[double precision]:-Infinity ch[character]:'ab   ' c["char"]:'c' by[bytea]:'\x00ff' j[jsonb]:'{"a": "b''c"}' fl[public.flag]:'t' m[money]:'$12.30' o2[oid]:77 i[interval]:'1 day 02:00:00' tt[time with time zone]:'12:00:00.123+02' big[text]:null"#,
    "table public.t: UPDATE: old-key: id[integer]:2 new-tuple: id[integer]:3 n[numeric]:NaN f8[double precision]:1e-300 big[text]:unchanged-toast-datum",
    "table public.t: UPDATE: id[integer]:3 n[numeric]:2.00 b[boolean]:false",
    "table public.t: DELETE: id[integer]:1",
    "table public.nokey: DELETE: (no-tuple-data)",
    "table public.nokey: UPDATE: old-key: new-tuple: a[integer]:1 b[text]:null",
    "table public.nokey: DELETE:",
    "table public.zero: INSERT:",
    "table public.wo: UPDATE: old-key: oid[oid]:16437 a[integer]:1 new-tuple: oid[oid]:16437 a[integer]:2 b[text]:'c'",
    "table public.t, public.nokey: TRUNCATE: (no-flags)",
    "table public.t: TRUNCATE: restart_seqs cascade",
    "message: transactional: 1 prefix: p,, sz: 18 content:abc sz: 3 content:",
];

#[test]
fn every_line_of_a_server_is_read() {
    for sample in SAMPLES {
        parse(sample.as_bytes()).unwrap_or_else(|error| panic!("{sample}: {error}"));
    }
}

#[test]
fn begin_and_commit_give_id_and_time() {
    assert_eq!(parse(SAMPLES[0].as_bytes()), Ok(Line::Begin { xid: 724 }));
    let time = chrono::DateTime::from_timestamp_micros(1_795_491_607_749_169).unwrap();
    let Ok(Line::Commit {
        xid: 724,
        committed_at,
    }) = parse(SAMPLES[1].as_bytes())
    else {
        panic!()
    };
    assert_eq!(crate::server_time::to_utc(committed_at), Some(time));
}

#[test]
fn names_in_quotes_are_told_from_the_marks_around_them() {
    let change = change(SAMPLES[2]);
    assert_eq!(change.table.written, r#""my schema"."a.b""#);
    assert_eq!(change.table.schema.name(), "my schema");
    assert_eq!(change.table.table.name(), "a.b");
    let Operation::Insert { new } = change.operation else {
        panic!()
    };
    assert_eq!(
        new,
        [
            quoted("col umn", "integer", Value::Plain("1")),
            quoted("new-tuple", "text", Value::Quoted("x new-tuple: y")),
            quoted(r#"q""x"#, "character varying", Value::Quoted(r"a''b\")),
        ]
    );
    assert_eq!(new[2].name.name(), r#"q"x"#);
    assert!(new[2].name.is(r#"q"x"#) && !new[2].name.is(r#"q""x"#));
}

#[test]
fn types_and_values_of_each_kind_are_read() {
    let change = change(SAMPLES[4]);
    let Operation::Insert { new } = change.operation else {
        panic!()
    };
    let expected = [
        bare("id", "integer", Value::Plain("1")),
        bare("n", "numeric", Value::Plain("1.50")),
        bare("b", "boolean", Value::Plain("t")),
        bare("bi", "bit", Value::Plain("101")),
        bare("vb", "bit varying", Value::Plain("")),
        bare(
            "ts",
            "timestamp with time zone",
            Value::Quoted("2026-11-24 03:40:07.756975+00"),
        ),
        bare("ia", "integer[]", Value::Quoted("{1,NULL,3}")),
        bare("e", r#"public."My Type""#, Value::Quoted("it''s")),
        bare("ea", r#"public."My Type"[]"#, Value::Quoted("{a,it''s}")),
        bare("o", r#"public."odd]"":""#, Value::Quoted(r#"(1,"x y")"#)),
        bare("f8", "double precision", Value::Plain("-Infinity")),
        bare("ch", "character", Value::Quoted("ab   ")),
        bare("c", r#""char""#, Value::Quoted("c")),
        bare("by", "bytea", Value::Quoted(r"\x00ff")),
        bare("j", "jsonb", Value::Quoted(r#"{"a": "b''c"}"#)),
        // A domain over boolean is no boolean for the plugin.
        bare("fl", "public.flag", Value::Quoted("t")),
    ];
    assert_eq!(new[..expected.len()], expected);
    assert_eq!(new[20], bare("big", "text", Value::Null));
}

#[test]
fn old_and_new_rows_are_told_apart() {
    let Operation::Update {
        old: Some(old),
        new,
    } = change(SAMPLES[5]).operation
    else {
        panic!()
    };
    assert_eq!(old, [bare("id", "integer", Value::Plain("2"))]);
    assert_eq!(
        new,
        [
            bare("id", "integer", Value::Plain("3")),
            bare("n", "numeric", Value::Plain("NaN")),
            bare("f8", "double precision", Value::Plain("1e-300")),
            bare("big", "text", Value::Unchanged),
        ]
    );
    assert!(matches!(
        change(SAMPLES[6]).operation,
        Operation::Update { old: None, new } if new[2].value == Value::Plain("f")
    ));
    // An old row of nulls alone is not the same as none.
    assert_eq!(
        change(SAMPLES[10]).operation,
        Operation::Delete { old: Some(vec![]) }
    );
    assert_eq!(
        change(SAMPLES[8]).operation,
        Operation::Delete { old: None }
    );
    assert!(matches!(
        change(SAMPLES[9]).operation,
        Operation::Update { old: Some(old), new } if old.is_empty() && new.len() == 2
    ));
}

#[test]
fn a_truncate_names_its_tables_and_flags() {
    let truncate = |line: &'static str| match parse(line.as_bytes()) {
        Ok(Line::Truncate {
            tables,
            cascade,
            restart_identity,
        }) => (
            tables.iter().map(|table| table.written).collect::<Vec<_>>(),
            cascade,
            restart_identity,
        ),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        truncate(SAMPLES[13]),
        (vec!["public.t", "public.nokey"], false, false)
    );
    assert_eq!(truncate(SAMPLES[14]), (vec!["public.t"], true, true));
    let quoted = r#"table "a, b"."c: TRUNCATE:", d.e: TRUNCATE: cascade"#;
    assert_eq!(
        truncate(quoted),
        (vec![r#""a, b"."c: TRUNCATE:""#, "d.e"], true, false)
    );
}

#[test]
fn a_line_that_is_none_names_the_byte() {
    for (line, at) in [
        (&b""[..], 0),
        (b"begin 1", 0),
        (b"BEGIN", 0),
        (b"BEGIN x", 6),
        (b"BEGIN 4294967296", 6),
        (b"BEGIN 1 ", 7),
        (b"COMMIT 1", 8),
        (b"COMMIT 1 (at yesterday)", 13),
        (b"COMMIT 1 (at 2026-11-24 03:40:07+00", 35),
        (b"table a.b INSERT:", 9),
        (b"table a.B: INSERT:", 8),
        (b"table a.b: UPSERT:", 11),
        (b"table a.b: INSERT: (no-tuple-data)", 19),
        (b"table a.b: INSERT: c[int]", 25),
        (b"table a.b: INSERT: c[int:1", 26),
        (b"table a.b: INSERT: c[int]:", 26),
        (b"table a.b: INSERT: c[int]:'", 27),
        (b"table a.b: INSERT: c[int]:''' d[int]:1", 38),
        (b"table a.b: INSERT: c[int]:1  d[int]:1", 28),
        (b"table a.b: UPDATE: old-key: c[int]:1", 36),
        (b"table a.b, c.d: INSERT:", 14),
        (b"table a.b: TRUNCATE:", 20),
        (b"table a.\"b\0\": INSERT:", 10),
        (b"table a.b: INSERT: c[text]:'\xE9'", 28),
    ] {
        let error = parse(line).expect_err(&String::from_utf8_lossy(line));
        assert_eq!(error.at, at, "{}: {error}", String::from_utf8_lossy(line));
    }
}

#[test]
fn a_message_may_hold_bytes_that_are_no_text() {
    let line = b"message: transactional: 0 prefix: x, sz: 1 content:\xFF";
    assert_eq!(parse(line), Ok(Line::Message));
}

#[test]
fn a_row_of_too_many_columns_is_refused() {
    let row = |columns: usize| format!("table a.b: INSERT:{}", " c[text]:null".repeat(columns));
    assert!(parse(row(COLUMNS_MAX).as_bytes()).is_ok());
    assert!(parse(row(COLUMNS_MAX + 1).as_bytes()).is_err());
}

/// What a parser that looked ahead again and again would never finish.
#[test]
fn a_long_line_of_quotes_and_brackets_is_read_in_one_pass() {
    let long = 1 << 18;
    let quotes = format!("table a.b: INSERT: c[text]:'{}'", "''".repeat(long));
    assert!(parse(quotes.as_bytes()).is_ok());
    for line in ["'", "[", "]", "\"", "[\"", "''' "] {
        let line = format!("table a.b: INSERT: c[text]:'x' d[{}", line.repeat(long));
        assert!(parse(line.as_bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = parse(&bytes);
    }

    #[test]
    fn no_text_after_a_table_makes_it_panic(text in r#"[a\["\]:' .B(),éN-]{0,60}"#) {
        let _outcome = parse(format!("table a.b: INSERT: {text}").as_bytes());
    }

    #[test]
    fn no_changed_byte_makes_it_panic(which in 0..SAMPLES.len(), at: prop::sample::Index, byte: u8) {
        let mut sample = SAMPLES[which].as_bytes().to_vec();
        let at = at.index(sample.len());
        sample[at] = byte;
        if let Err(error) = parse(&sample) {
            prop_assert!(error.at <= sample.len());
        }
        let _outcome = parse(&sample[..at]);
    }
}
