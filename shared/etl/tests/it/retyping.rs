//! The types of columns that a script sets.

use rowcast_etl::{Datum, Script};

use crate::shop::{after, compiled, left, mistakes, table};

/// The type of a column after a script, and whether it is another than before.
fn type_after(script: &str, column: &str) -> (u32, bool) {
    let program = compiled(script);
    let mut columns = program.columns().iter();
    let found = columns.find(|out| out.name == column).unwrap();
    (found.type_oid, found.retyped)
}

#[test]
fn a_set_column_has_the_type_of_the_value() {
    for (script, column, expected) in [
        ("e_set(`city`, 'x')", "city", (1043, false)),
        ("e_set(`ref`, 'x')", "ref", (25, true)),
        ("e_set(`doc`, 'x')", "doc", (25, true)),
        ("e_set(`doc`, null)", "doc", (3802, false)),
        ("e_set(`count`, 1)", "count", (20, true)),
        ("e_set(`count`, 1.5)", "count", (1700, true)),
        ("e_set(`total`, `total` * `ratio`)", "total", (701, true)),
        ("e_set(`city`, `paid`)", "city", (16, true)),
        ("e_set(`paid`, 'yes')", "paid", (25, true)),
        ("e_set(`day`, dt_now())", "day", (1082, false)),
        ("e_set(`made`, dt_now())", "made", (1114, false)),
        ("e_set(`city`, dt_now())", "city", (1184, true)),
        ("e_set(`new`, dt_now())", "new", (1184, false)),
        ("e_set(`new`, `count`)", "new", (20, false)),
        ("e_set(`new`, `doc`)", "new", (25, false)),
        ("e_set(`new`, null)", "new", (25, false)),
    ] {
        assert_eq!(type_after(script, column), expected, "{script}");
    }
}

#[test]
fn a_datetime_is_written_as_the_column_is() {
    let moment = "dt_fromtimestamp(0, '+08:00')";
    for (column, expected) in [
        ("day", "1970-01-01"),
        ("made", "1970-01-01 08:00:00"),
        ("sent", "1970-01-01 00:00:00+00"),
        ("new", "1970-01-01 00:00:00+00"),
    ] {
        let script = format!("e_set(`{column}`, {moment})");
        assert_eq!(after(&script, &[], column), expected);
    }
}

#[test]
fn a_column_that_may_keep_its_value_takes_a_type_for_both() {
    for (script, column, expected) in [
        ("e_if(`paid`, e_set(`city`, 'x'))", "city", (1043, false)),
        ("e_if(`paid`, e_set(`ref`, 'x'))", "ref", (25, true)),
        ("e_if(`paid`, e_set(`count`, 1))", "count", (20, true)),
        ("e_if(`paid`, e_set(`count`, 1.5))", "count", (1700, true)),
        (
            "e_if(`paid`, e_set(`total`, `ratio`))",
            "total",
            (701, true),
        ),
        ("e_if(`paid`, e_set(`doc`, null))", "doc", (3802, false)),
        ("e_if(`paid`, e_set(`made`, `sent`))", "made", (1114, false)),
        (
            "e_if_else(`paid`, e_set(`doc`, 'a'), e_set(`doc`, 'b'))",
            "doc",
            (25, true),
        ),
        (
            "e_if_else(`paid`, e_set(`doc`, 'a'), e_drop())",
            "doc",
            (25, true),
        ),
        (
            "e_if_else(`paid`, e_set(`new`, 1), e_set(`new`, null))",
            "new",
            (20, false),
        ),
        (
            "e_if_else(`paid`, e_set(`new`, null), e_set(`new`, 1.5))",
            "new",
            (1700, false),
        ),
        ("e_if(true, e_set(`doc`, 'a'))", "doc", (25, true)),
    ] {
        assert_eq!(type_after(script, column), expected, "{script}");
    }
}

#[test]
fn a_column_of_two_types_is_refused() {
    for script in [
        "e_if(`paid`, e_set(`doc`, 'x'))",
        "e_if(`paid`, e_set(`count`, 'x'))",
        "e_if(`paid`, e_set(`city`, 1))",
        "e_if(`paid`, e_set(`city`, true))",
        "e_if(`paid`, e_set(`made`, 'x'))",
        "e_switch(`paid`, e_set(`new`, 1), default=e_set(`new`, 'x'))",
    ] {
        let told = mistakes(script);
        assert_eq!(told.len(), 1, "{script}: {told:?}");
        assert!(
            told[0].contains("would have values of two types"),
            "{script}: {told:?}"
        );
    }
    assert_eq!(
        mistakes("e_if(`paid`, e_set(`doc`, 'x'))"),
        [
            "line 1, column 14: Column `doc` would have values of two types, by whether the \
          condition is true: set it without a condition, or to `cond ? a : b` with both of one \
          type."
        ]
    );
}

#[test]
fn a_type_that_nobody_knows_is_read_as_text_and_not_mixed() {
    let table = table("moods", &[("id*", 20), ("mood", 99_999)]);
    let compile = |text| Script::parse(text).unwrap().compile(&table);
    let program = compile("e_keep(`mood` == 'sad'); e_set(`mood`, 'happy')").unwrap();
    let row = [Datum::Text("1"), Datum::Text("sad")];
    assert_eq!(left(&program, &row).unwrap()[1].1, "happy");
    assert_eq!(program.columns()[1].type_oid, 25);
    assert!(compile("e_if(`id` > 1, e_set(`mood`, 'happy'))").is_err());
}

#[test]
fn what_was_set_is_read_as_its_new_type() {
    let script = "e_set(`city`, 40)\ne_keep(`city` == `count`)\ne_set(`made`, `made`)
        e_if(`paid`, e_set(`total`, 2))\ne_set(`sum`, `total` + `city`)";
    assert_eq!(after(script, &[], "sum"), "42");
}

#[test]
fn where_columns_come_from_is_told() {
    let program = compiled("e_drop_columns(`phone`); e_rename(`id`, `key`); e_set(`x`, 1)");
    let columns = program.columns();
    assert_eq!(
        (columns[0].name.as_str(), columns[0].source),
        ("key", Some(0))
    );
    assert_eq!(
        (columns[1].name.as_str(), columns[1].source),
        ("city", Some(2))
    );
    let last = columns.last().unwrap();
    assert_eq!((last.name.as_str(), last.source), ("x", None));
}
