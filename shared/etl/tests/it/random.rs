//! No text and no data make a script panic.

use proptest::prelude::*;
use rowcast_etl::{Datum, Event, Image, Operation, Script};

use crate::shop::{EVENT, ROW, orders};

/// Scripts in which most things fit, by types.
fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        condition().prop_map(|cond| format!("e_keep({cond})")),
        (condition(), text())
            .prop_map(|(cond, text)| { format!("e_if({cond}, e_set(`city`, {text}))") }),
        number().prop_map(|number| format!("e_set(`total`, {number})")),
        moment().prop_map(|moment| format!("e_set(`made`, {moment})")),
        text().prop_map(|text| format!("e_set(`new`, {text})")),
        (condition(), moment(), number()).prop_map(|(cond, moment, number)| {
            format!("e_switch({cond}, e_set(`at`, {moment}), default=e_set(`n`, {number}))")
        }),
        Just("tail_replace_string_field('1', 'é', true)".to_owned()),
        Just("e_drop_columns(`note`)".to_owned()),
    ]
}

fn leaf(leaves: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(leaves).prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = String> {
    let leaf = leaf(&[
        "`count`", "`small`", "`total`", "`ratio`", "`id`", "0", "-2.50", "7",
    ]);
    leaf.prop_recursive(3, 12, 2, |inner| {
        let operator = proptest::sample::select(vec!["+", "-", "*", "/", "%"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            (condition_leaf(), inner.clone(), inner)
                .prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")),
            Just("str_find(`city`, `note`)".to_owned()),
            Just("dt_parsetimestamp_millis(`made`, '-03:30')".to_owned()),
            Just("cast_string_to_long(`phone`)".to_owned()),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    let leaf = leaf(&[
        "`phone`",
        "`city`",
        "`note`",
        "`ref`",
        "`doc`",
        "'é'",
        "''",
        "__ROW_ID__",
    ]);
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("str_replace({a}, {b}, {c}, `small`)")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("op_add({a}, {b}, `total`)")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("str_strip({a}, {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("substring_between({a}, {b}, {c})")),
            inner.prop_map(|a| format!("str_mask(str_upper({a}), `small`, `count`, 'ß')")),
            Just("dt_str(`sent`, 'yyyy-MM-dd hh:mm:ss.SSSSSS a XXX')".to_owned()),
            Just("cast_long_to_string(`ratio`)".to_owned()),
        ]
    })
}

fn moment() -> impl Strategy<Value = String> {
    let leaf = leaf(&[
        "`made`",
        "`sent`",
        "`day`",
        "dt_now()",
        "dt_fromtimestamp(`id`, '+08:00')",
    ]);
    leaf.prop_recursive(2, 4, 1, |inner| {
        prop_oneof![
            inner.prop_map(|a| format!("dt_add({a}, years=`small`, months=`count`, seconds=`id`)")),
            Just("dt_strptime(`note`, 'yyyy-M-d')".to_owned()),
        ]
    })
}

fn condition_leaf() -> impl Strategy<Value = String> {
    leaf(&[
        "`paid`",
        "op_is_null(`city`)",
        "true",
        "__OPERATION__ == __OP_DELETE__",
    ])
}

fn condition() -> impl Strategy<Value = String> {
    let comparison = proptest::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        condition_leaf(),
        (number(), comparison.clone(), number()).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
        (text(), comparison.clone(), text()).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
        (moment(), comparison, moment()).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
        text().prop_map(|a| format!("regex_match({a}, '^[a-z]+[0-9]?$')")),
        number().prop_map(|a| format!("op_in({a}, json_array('[1, 2.5, null]'))")),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("op_or({a}, {b}, `paid`)")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

/// Data of every kind, seldom what a column would have.
fn datum() -> impl Strategy<Value = Option<Option<String>>> {
    let texts = [
        "t",
        "f",
        "0",
        "-1",
        "3",
        "9223372036854775807",
        "-9223372036854775808",
        "1.50",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e308",
        "2026-11-23",
        "2026-11-23 05:33:10.25",
        "2026-11-23 05:33:10+00",
        "0044-03-15 BC",
        "294276-12-31 23:59:59.999999+00",
        "infinity",
        "-infinity",
        "5874897-12-31",
        "",
        "é",
        "abc1",
    ];
    prop_oneof![
        6 => proptest::sample::select(texts.to_vec()).prop_map(|text| Some(Some(text.to_owned()))),
        2 => any::<String>().prop_map(|text| Some(Some(text))),
        1 => Just(Some(None)),
        1 => Just(None),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _parsed = Script::parse(&text);
    }

    #[test]
    fn no_mixture_of_pieces_makes_the_parser_panic(
        pieces in proptest::collection::vec(leaf(&[
            "e_if", "e_set", "op_in", "json_array", "str_format", "dt_add", "(", ")", ",", "`a`",
            "'{}'", "'[1]'", "1.5", "-", "!", "?", ":", "==", "&&", "days", "=", "NEW", "null",
            "__TB__", "\n", ";", "#", "\"", "`", "é",
        ]), 0..40)
    ) {
        let text = pieces.join(" ");
        if let Ok(script) = Script::parse(&text) {
            let _compiled = script.compile(&orders());
        }
    }

    #[test]
    fn no_data_make_a_script_panic(
        statements in proptest::collection::vec(statement(), 1..5),
        data in proptest::collection::vec(proptest::option::weighted(0.1, datum()), 14),
        operation in proptest::sample::select(
            vec![Operation::Insert, Operation::Update, Operation::Delete]),
        committed_at in any::<i64>(),
    ) {
        let text = statements.join("\n");
        let script = match Script::parse(&text) {
            Ok(script) => script,
            Err(wrong) => {
                // Only what is constant may be wrong, as a division by zero.
                prop_assert!(wrong.iter().all(|one| one.code == "value"), "{text}: {wrong:?}");
                return Ok(());
            }
        };
        let Ok(program) = script.compile(&orders()) else { return Ok(()) };
        let row: Vec<Datum<'_>> = data.iter().zip(ROW).map(|(datum, usual)| match datum {
            None => Datum::Text(usual),
            Some(None) => Datum::Unchanged,
            Some(Some(None)) => Datum::Null,
            Some(Some(Some(text))) => Datum::Text(text),
        }).collect();
        let event = Event { operation, committed_at, ..EVENT };
        let mut cells = Vec::new();
        if program.run(&row, &event, Image::Row, &mut cells) == Ok(true) {
            prop_assert_eq!(cells.len(), program.columns().len());
        }
    }
}
