//! Null, and what was not sent, in conditions and values.

use rowcast_etl::Datum;

use crate::shop::{after, value};

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
    for missing in [Datum::Null, Datum::Unchanged] {
        let changed = [("paid", missing)];
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
