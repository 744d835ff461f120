//! Null, and what was not sent, in conditions and values.

use rowcast_etl::{Datum, Image};

use crate::shop::{EVENT, after, compiled, row, value};

#[test]
fn what_is_not_known_makes_conditions_unknown() {
    for (missing, shown) in [(Datum::Null, "(null)"), (Datum::Unchanged, "(unchanged)")] {
        let changed = [("paid", missing), ("city", missing), ("count", missing)];
        for (expression, expected) in [
            ("`paid`", shown),
            ("!`paid`", shown),
            ("`count` > 1", shown),
            ("`count` != `count`", shown),
            ("op_in(`count`, json_array('[1, 2]'))", shown),
            ("`paid` && true", shown),
            ("`paid` && `id` == 0", "f"),
            ("`id` == 0 && `paid`", "f"),
            ("`paid` || `id` == 0", shown),
            ("`paid` || `id` == 7", "t"),
            ("str_contains(`city`, 'a')", shown),
            ("str_lower(`city`)", shown),
            ("op_add('a', `city`)", shown),
            ("str_format('{}', `city`)", shown),
            ("`count` + 1", shown),
            ("dt_add(`made`, days=`count`)", shown),
            ("is_string_value(`city`)", shown),
        ] {
            assert_eq!(
                value(expression, &changed),
                expected,
                "{expression} {shown}"
            );
        }
    }
}

#[test]
fn only_what_is_true_acts() {
    let changed = [("paid", Datum::Null)];
    for (script, expected) in [
        ("e_if(`paid`, e_drop())", "7"),
        ("e_if(!`paid`, e_drop())", "7"),
        ("e_if_else(`paid`, e_set(`x`, 1), e_drop())", "(dropped)"),
        ("e_switch(`paid`, e_drop(), !`paid`, e_drop())", "7"),
        ("e_keep(`paid`)", "(dropped)"),
        ("e_keep(!`paid`)", "(dropped)"),
    ] {
        assert_eq!(after(script, &changed, "id"), expected, "{script}");
    }
}

/// Neither is what may be secret told, nor what was meant to be told left out.
#[test]
fn a_row_is_not_judged_by_what_was_not_sent() {
    let changed = row(&[("city", Datum::Unchanged)]);
    for script in [
        "e_if(str_contains(`city`, 'a'), e_drop())",
        "e_keep(`city` == 'a')",
        "e_switch(`city` == 'a', e_drop(), default=e_set(`phone`, 'x'))",
    ] {
        let mut cells = Vec::new();
        let failure = compiled(script).run(&changed, &EVENT, Image::Row, &mut cells);
        let told = failure.unwrap_err();
        assert_eq!(told.name.as_deref(), Some("city"), "{script}");
        assert!(told.reason.contains("not sent"), "{told}");
    }
    // What the rest decides needs none of it.
    let script = "e_keep(`id` == 7 || `city` == 'a')";
    let mut cells = Vec::new();
    let kept = compiled(script).run(&changed, &EVENT, Image::Row, &mut cells);
    assert_eq!(kept, Ok(true));
}

#[test]
fn a_key_is_judged_by_itself_alone() {
    let key: Vec<Datum<'_>> = row(&[])
        .into_iter()
        .enumerate()
        .map(|(number, datum)| if number == 0 { datum } else { Datum::Unchanged })
        .collect();
    for (script, kept) in [
        ("e_if(`city` == 'a', e_drop())", true),
        ("e_keep(`city` == 'a')", true),
        ("e_switch(`city` == 'a', e_drop(), default=e_drop())", true),
        ("e_keep(`id` == 7)", true),
        ("e_keep(`id` == 8)", false),
        ("e_if(`id` == 7, e_drop())", false),
    ] {
        let mut cells = Vec::new();
        let judged = compiled(script).run(&key, &EVENT, Image::Key, &mut cells);
        assert_eq!(judged, Ok(kept), "{script}");
    }
}

#[test]
fn null_is_told_from_what_was_not_sent() {
    let null = [("city", Datum::Null)];
    assert_eq!(value("op_is_null(`city`)", &null), "t");
    assert_eq!(value("op_is_not_null(`city`)", &null), "f");
    assert_eq!(value("op_is_null(`city`) ? 'none' : `city`", &null), "none");
    assert_eq!(value("str_contains(`city`, 'x') ? 1 : 2", &null), "2");
    let unchanged = [("city", Datum::Unchanged)];
    assert_eq!(value("op_is_null(`city`)", &unchanged), "(unchanged)");
    assert_eq!(value("op_is_not_null(`city`)", &unchanged), "(unchanged)");
    assert_eq!(
        value("op_is_null(`city`) ? 'none' : `city`", &unchanged),
        "(unchanged)"
    );
}

#[test]
fn a_masked_column_that_was_not_sent_stays_unchanged() {
    let unchanged = [("phone", Datum::Unchanged)];
    for script in [
        "e_set(`phone`, str_mask(`phone`, 0, 9, '*'))",
        "e_set(`phone`, op_add('x', `phone`))",
        "tail_replace_string_field('1', '2', true)",
    ] {
        assert_eq!(
            after(script, &unchanged, "phone"),
            "(unchanged)",
            "{script}"
        );
    }
    assert_eq!(after("e_set(`phone`, 'x')", &unchanged, "phone"), "x");
}

#[test]
fn a_list_with_null_never_says_no() {
    assert_eq!(value("op_in(`count`, json_array('[40, null]'))", &[]), "t");
    assert_eq!(
        value("op_in(`count`, json_array('[41, null]'))", &[]),
        "(null)"
    );
    assert_eq!(value("op_in(`count`, json_array('[]'))", &[]), "f");
}

#[test]
fn the_second_condition_is_not_looked_at_if_the_first_decides() {
    let zero = [("count", Datum::Text("0"))];
    assert_eq!(value("`count` != 0 && 10 / `count` > 1", &zero), "f");
    assert_eq!(value("`count` == 0 || 10 / `count` > 1", &zero), "t");
}
