//! Scripts that users of DTS have, and longer ones.

use rowcast_etl::{Cell, Datum, Event, Image, Operation, Script};

use crate::shop::{EVENT, after, compiled, left, mistakes, row, table};

#[test]
fn scripts_of_dts_run_as_they_are() {
    for (script, column, expected) in [
        ("script:e_if(op_gt(`id`, 3), e_drop())", "id", "(dropped)"),
        (
            "e_set(`new_column`, dt_now())",
            "new_column",
            "2026-11-29 12:00:00+00",
        ),
        (
            "e_set(`phone`, str_mask(`phone`, 7, 10, '#'))",
            "phone",
            "1380000####",
        ),
        (
            "e_if(str_contains(`city`, \"burg\"), e_drop())",
            "id",
            "(dropped)",
        ),
        (
            "e_if(op_lt(`made`, DATETIME('2015-02-23 23:54:55')), e_drop())",
            "id",
            "7",
        ),
        (
            "e_if(op_and(op_gt(`id`,1000), op_eq(`city`,\"Hamburg\")), e_drop())",
            "id",
            "7",
        ),
        (
            "e_set(`dts_ts`, __COMMIT_TIMESTAMP__)",
            "dts_ts",
            "2026-11-29 12:00:00+00",
        ),
    ] {
        assert_eq!(after(script, &[], column), expected, "{script}");
    }
}

#[test]
fn a_document_of_mongodb_is_refused() {
    assert_eq!(
        mistakes("e_set(`user_name`, bson_value(\"person\",\"name\"))"),
        [
            "line 1, column 20: bson_value reads documents of MongoDB, and this is PostgreSQL: \
          read a text column, or leave it out."
        ]
    );
}

#[test]
fn an_audit_tells_operation_and_time() {
    let script = "e_compose(e_switch(
        op_eq(__OPERATION__, __OP_DELETE__), e_set(`op`, 'DELETE'),
        op_eq(__OPERATION__, __OP_UPDATE__), e_set(`op`, 'UPDATE'),
        op_eq(__OPERATION__, __OP_INSERT__), e_set(`op`, 'INSERT')
    ), e_set(`ut`, __COMMIT_TIMESTAMP__))";
    let program = compiled(script);
    for (operation, expected) in [
        (Operation::Insert, "INSERT"),
        (Operation::Update, "UPDATE"),
        (Operation::Delete, "DELETE"),
    ] {
        let event = Event { operation, ..EVENT };
        let mut cells = Vec::new();
        assert!(
            program
                .run(&row(&[]), &event, Image::Row, &mut cells)
                .unwrap()
        );
        assert_eq!(cells[14], Cell::Text(expected.into()));
        assert_eq!(cells[15], Cell::Text("2026-11-29 12:00:00+00".into()));
    }
}

#[test]
fn a_policy_of_many_lines_is_read_line_by_line() {
    let program = compiled(
        "# Orders without a total are noise.
        e_keep(`total` > 0)

        e_set(`phone`, str_mask(`phone`, 3, 6, '*')); e_drop_columns(`doc`, `note`)
        e_rename(`city`, `town`)
        e_set(`label`, str_format('{} {}',
            `town`,   # under its new name
            `total`))",
    );
    let left = left(&program, &row(&[])).unwrap();
    let shown: Vec<String> = left
        .iter()
        .map(|(name, shown)| format!("{name}={shown}"))
        .collect();
    assert_eq!(shown[1], "phone=138****1234");
    assert_eq!(shown[2], "town=Hamburg");
    assert_eq!(shown.last().unwrap(), "label=Hamburg 19.90");
    assert!(!program.is_identity() && !program.keeps_every_row());
}

#[test]
fn a_column_that_was_dropped_may_be_made_again() {
    let script = "e_drop_columns(`doc`); e_set(`doc`, 'gone')
        e_drop_columns(`doc`); e_if(!`paid`, e_set(`doc`, 'again'))";
    assert_eq!(after(script, &[], "doc"), "(null)");
    let column = compiled(script).columns().last().unwrap().clone();
    assert_eq!((column.source, column.type_oid), (None, 25));
}

#[test]
fn a_script_without_statements_changes_nothing() {
    for script in [
        "",
        "script:",
        " \n# nothing\n;;",
        "e_if(false, e_drop())",
        "e_keep(true)",
    ] {
        let program = compiled(script);
        assert!(
            program.is_identity() && program.keeps_every_row(),
            "{script}"
        );
        assert!(program.read_by_conditions().is_empty());
    }
}

#[test]
fn what_is_read_outside_the_key_is_told() {
    let script = "e_keep(`id` > 1 && `total` > 1)
        e_set(`phone`, str_mask(`phone`, 0, 3, '*'))
        e_set(`city`, op_add(`city`, `note`))
        e_set(`ratio`, 1)
        e_set(`x`, `ratio`)";
    assert_eq!(compiled(script).read_by_conditions(), ["note", "total"]);
}

#[test]
fn a_row_that_leaves_borrows_what_stays() {
    let program = compiled("e_set(`city`, str_lower(`phone`)); e_drop_columns(`note`)");
    let row = row(&[]);
    let mut cells = Vec::new();
    assert!(program.run(&row, &EVENT, Image::Row, &mut cells).unwrap());
    let borrowed = |cell: &Cell<'_>| matches!(cell, Cell::Text(std::borrow::Cow::Borrowed(_)));
    assert!(cells.iter().all(borrowed));
    assert_eq!(cells[2], Cell::Text("13800001234".into()));
}

#[test]
fn a_column_in_backticks_may_have_one() {
    let table = table("odd", &[("id*", 20), ("a`b", 25)]);
    let script = Script::parse("e_set(`a``b`, 'x')").unwrap();
    let program = script.compile(&table).unwrap();
    let row = [Datum::Text("1"), Datum::Null];
    assert_eq!(left(&program, &row).unwrap()[1].1, "x");
}
