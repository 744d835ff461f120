//! An example of each function.

use rowcast_etl::functions;

use crate::shop::{after, value};

/// Expressions and what they give for the row.
const VALUES: [(&str, &str); 101] = [
    ("op_sum(`count`, 2)", "42"),
    ("`count` + `total`", "59.90"),
    ("op_sub(`count`, 50)", "-10"),
    ("`count` - 1 - 1", "38"),
    ("-`count` - -1", "-39"),
    ("op_mul(`total`, 2)", "39.80"),
    ("2 * `ratio`", "1"),
    ("op_div_true(`count`, 3)", "13"),
    ("`total` / 3", "6.6333333333333333"),
    ("op_mod(`count`, 7)", "5"),
    ("`count` % 7 + 1 * 2", "7"),
    ("op_eq(`count`, 40)", "t"),
    ("`city` == 'Hamburg'", "t"),
    ("`total` == 19.9", "t"),
    ("`ratio` == 0.50", "t"),
    ("`paid` == true", "t"),
    ("op_ne(`count`, 40)", "f"),
    ("op_lt(`count`, 40.5)", "t"),
    ("op_gt(`city`, 'Berlin')", "t"),
    ("op_le(`day`, DATETIME('2026-11-23'))", "t"),
    ("op_ge(`made`, `sent`)", "t"),
    ("`made` > `sent` && !`paid`", "f"),
    ("op_in(`count`, json_array('[1, 40]'))", "t"),
    ("op_in(`city`, json_array('[\"Bremen\"]'))", "f"),
    ("op_in(`total`, json_array('[19.90]'))", "t"),
    ("op_is_null(`city`)", "f"),
    ("op_is_not_null(`doc`)", "t"),
    ("is_string_value(`city`)", "t"),
    ("is_string_value(`count`)", "f"),
    ("op_and(`paid`, `count` > 1, true)", "t"),
    ("op_or(`count` > 100, `paid`)", "t"),
    ("op_not(`paid`)", "f"),
    ("`paid` ? 'yes' : 'no'", "yes"),
    ("`paid` ? 1 : 2.5", "1"),
    (
        "op_add(`city`, '-', `total`, '-', `paid`)",
        "Hamburg-19.90-t",
    ),
    ("str_format('{{{}}}: {}', `city`, `count`)", "{Hamburg}: 40"),
    ("str_format('plain')", "plain"),
    ("str_replace(`phone`, '0', 'o', 2)", "138oo001234"),
    ("str_replace(`phone`, '0', '', -1)", "1381234"),
    ("str_replace(`phone`, '0', '')", "1381234"),
    ("str_replace(`phone`, '', 'x')", "13800001234"),
    ("str_strip(`note`)", "Ab1"),
    ("str_strip(`city`, 'Hg')", "ambur"),
    ("str_strip(str_lower(`city`), 'hg')", "ambur"),
    ("str_lower(`city`)", "hamburg"),
    ("str_upper(`city`)", "HAMBURG"),
    ("str_upper('straße')", "STRASSE"),
    ("cast_string_to_long(str_strip(' 12 ')) + 1", "13"),
    ("cast_long_to_string(`count`)", "40"),
    ("cast_long_to_string(`total` * 2)", "39.80"),
    ("str_count(`phone`, '0')", "4"),
    ("str_find(`city`, 'burg')", "3"),
    ("str_find('äöü', 'ü')", "2"),
    ("str_find(`city`, 'x')", "-1"),
    ("str_contains(`city`, 'amb')", "t"),
    ("str_contains(`doc`, '\"a\"')", "t"),
    ("str_contains(`ref`, '4ef8')", "t"),
    ("str_starts_with(`city`, 'Ham')", "t"),
    ("str_ends_with(`city`, 'Ham')", "f"),
    ("regex_match(`phone`, '^1[3-9]\\\\d{9}$')", "t"),
    ("regex_match(`city`, '^burg')", "f"),
    ("str_isalpha(`city`)", "t"),
    ("str_isalpha(`note`)", "f"),
    ("str_isdigit(`phone`)", "t"),
    ("str_isdigit('')", "f"),
    ("str_mask(`phone`, 7, 10, '#')", "1380000####"),
    ("str_mask(`phone`, 0, 99, '*')", "***********"),
    ("substring_after(`city`, 'm')", "burg"),
    ("substring_after(`city`, 'x')", ""),
    ("substring_before(`city`, 'm')", "Ha"),
    ("substring_before(`city`, 'x')", ""),
    ("substring_between(`city`, 'H', 'g')", "ambur"),
    ("substring_between(`city`, 'g', 'H')", ""),
    ("DATETIME('2021-01-01 10:10:01')", "2021-01-01 10:10:01+00"),
    ("dt_now()", "2026-11-29 12:00:00+00"),
    ("dt_now_millis()", "2026-11-29 12:00:00+00"),
    ("dt_fromtimestamp(0)", "1970-01-01 00:00:00+00"),
    (
        "dt_str(dt_fromtimestamp(0, '+08:00'), 'yyyy-MM-dd HH:mm')",
        "1970-01-01 08:00",
    ),
    ("dt_fromtimestamp(0, '+08:00')", "1970-01-01 00:00:00+00"),
    ("dt_fromtimestamp_millis(-1)", "1969-12-31 23:59:59.999+00"),
    ("dt_parsetimestamp(`sent`)", "1795411990"),
    ("dt_parsetimestamp(`made`, '+01:00')", "1795408390"),
    ("dt_parsetimestamp(`sent`, '+01:00')", "1795411990"),
    ("dt_parsetimestamp_millis(`made`, 'UTC')", "1795411990250"),
    (
        "dt_str(`made`, 'yyyy-MM-dd HH:mm:ss.SSS')",
        "2026-11-23 05:33:10.250",
    ),
    ("dt_str(`day`, 'dd.MM.yy')", "23.11.26"),
    (
        "dt_strptime('23.11.2026 5', 'dd.MM.yyyy H')",
        "2026-11-23 05:00:00+00",
    ),
    ("dt_add(`day`, months=1, days=-1)", "2026-12-22 00:00:00+00"),
    (
        "dt_add(`made`, years=-2, hours=1, minutes=2, seconds=3)",
        "2024-11-23 06:35:13.25+00",
    ),
    ("dt_add(`made`, days=`small`)", "2026-11-26 05:33:10.25+00"),
    ("__TB__", "orders"),
    ("__SCHEMA__", "public"),
    ("__DB__", "shop"),
    ("__OPERATION__", "UPDATE"),
    ("__OPERATION__ == __OP_UPDATE__", "t"),
    ("__OP_INSERT__", "INSERT"),
    ("__OP_DELETE__", "DELETE"),
    ("__COMMIT_TIMESTAMP__", "2026-11-29 12:00:00+00"),
    ("__SCN__", "1/6B3748FF"),
    ("__ROW_ID__", "1/6B3748FF.5"),
    ("null", "(null)"),
];

/// Scripts of actions, a column and what it then has.
const ACTIONS: [(&str, &str, &str); 21] = [
    ("e_if(`paid`, e_set(`city`, 'x'))", "city", "x"),
    ("e_if(!`paid`, e_set(`city`, 'x'))", "city", "Hamburg"),
    (
        "e_if_else(`paid`, e_set(`city`, 'x'), e_drop())",
        "city",
        "x",
    ),
    (
        "e_if_else(!`paid`, e_set(`city`, 'x'), e_drop())",
        "city",
        "(dropped)",
    ),
    (
        "e_switch(`count` < 9, e_drop(), `count` < 50, e_set(`size`, 'M'))",
        "size",
        "M",
    ),
    (
        "e_switch(`count` < 9, e_drop(), default=e_set(`size`, 'L'))",
        "size",
        "L",
    ),
    (
        "e_switch(`count` < 9, e_set(`size`, 'S'))",
        "size",
        "(null)",
    ),
    (
        "e_compose(e_set(`city`, 'x'), e_set(`city`, op_add(`city`, 'y')))",
        "city",
        "xy",
    ),
    ("e_drop()", "city", "(dropped)"),
    ("e_keep(`count` > 50)", "city", "(dropped)"),
    ("e_keep(`count` < 50)", "city", "Hamburg"),
    ("e_set(`new`, 1, NEW)", "new", "1"),
    ("e_set(`copy`, `total`)", "copy", "19.90"),
    ("e_drop_columns(`city`, `doc`)", "city", "(no such column)"),
    ("e_drop_columns(`city`, `doc`)", "ref", super::shop::ROW[13]),
    ("e_keep_columns(`id`, `city`)", "phone", "(no such column)"),
    ("e_keep_columns(`id`, `city`)", "city", "Hamburg"),
    (
        "e_rename(`city`, `town`); e_set(`town`, str_upper(`town`))",
        "town",
        "HAMBURG",
    ),
    ("e_rename(`city`, `town`)", "city", "(no such column)"),
    (
        "tail_replace_string_field('0', '-', true)",
        "phone",
        "138----1234",
    ),
    (
        "tail_replace_string_field('0', '-', false)",
        "phone",
        "138-0001234",
    ),
];

#[test]
fn every_value_is_what_it_says() {
    for (expression, expected) in VALUES {
        assert_eq!(value(expression, &[]), expected, "{expression}");
    }
}

#[test]
fn every_action_does_what_it_says() {
    for (script, column, expected) in ACTIONS {
        assert_eq!(after(script, &[], column), expected, "{script}");
    }
}

#[test]
fn every_function_has_an_example() {
    let values = VALUES.iter().map(|(expression, _)| *expression);
    let examples: Vec<&str> = values
        .chain(ACTIONS.iter().map(|(script, ..)| *script))
        .collect();
    for function in functions() {
        // It is refused wherever it stands.
        if function.name == "bson_value" {
            continue;
        }
        let call = format!("{}(", function.name);
        let called = examples.iter().any(|example| example.contains(&call));
        assert!(called, "{} has no example", function.name);
    }
}
