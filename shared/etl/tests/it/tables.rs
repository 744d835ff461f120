//! One script for many tables: what is for another one is left out.

use rowcast_etl::Script;

use crate::shop::{compiled, mistakes, orders, table};

/// Conditions that no row of the orders fulfils, of a column that they do not have.
const ELSEWHERE: [&str; 9] = [
    "op_eq(__TB__, 'people')",
    "__TB__ == 'people' && `age` > 3",
    "`age` > 3 && __TB__ == 'people'",
    "op_and(`age` > 3, `paid`, __SCHEMA__ == 'other')",
    "!(__TB__ == 'orders' || `age` > 3)",
    "op_in(__TB__, json_array('[\"people\", \"pets\"]'))",
    "str_starts_with(__TB__, 'pe')",
    "__TB__ == 'people' ? `age` > 3 : false",
    "__DB__ != 'shop'",
];

#[test]
fn what_is_for_another_table_is_left_out() {
    for condition in ELSEWHERE {
        for script in [
            format!("e_if({condition}, e_set(`age`, `age` + 1))"),
            format!("e_switch({condition}, e_keep(`age` > 1))"),
            format!("e_if({condition}, e_drop_columns(`age`))"),
        ] {
            let program = compiled(&script);
            assert!(
                program.is_identity() && program.keeps_every_row(),
                "{script}"
            );
        }
    }
}

#[test]
fn what_is_for_this_table_needs_no_condition_any_more() {
    for script in [
        "e_if(__TB__ == 'orders', e_drop_columns(`doc`))",
        "e_if_else(__TB__ == 'people', e_keep(`age` > 1), e_drop_columns(`doc`))",
        "e_switch(__TB__ == 'people', e_drop(), __TB__ == 'orders', e_drop_columns(`doc`), default=e_drop())",
        "e_if(__TB__ == 'orders' || `age` > 1, e_drop_columns(`doc`))",
    ] {
        let program = compiled(script);
        assert_eq!(program.columns().len(), 13, "{script}");
        assert!(program.keeps_every_row() && program.read_by_conditions().is_empty());
    }
}

#[test]
fn a_table_may_be_dropped_whole() {
    let script = Script::parse("e_keep(__TB__ == 'orders')").unwrap();
    assert!(script.compile(&orders()).unwrap().is_identity());
    let people = script.compile(&table("people", &[("id*", 20)])).unwrap();
    assert!(!people.is_identity() && !people.keeps_every_row());
}

#[test]
fn a_column_of_another_table_is_told() {
    assert_eq!(
        mistakes("e_if(`paid`, e_keep(`age` > 3))"),
        [
            "line 1, column 21: There is no column `age` in public.orders: correct the \
          name, or put what is for another table under a condition of __TB__."
        ]
    );
}
