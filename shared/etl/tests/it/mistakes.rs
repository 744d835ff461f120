//! What is told of scripts that are wrong, word by word where people rely on it.

use rowcast_etl::Script;

use crate::shop::mistakes;

/// Scripts, and the one thing that is wrong with each.
const MISTAKES: [(&str, &str); 46] = [
    // Syntax.
    (
        "e_drop(",
        "line 1, column 8: Write a value or an action instead of the end of the script.",
    ),
    (
        "e_drop() e_drop()",
        "line 1, column 10: A statement ends before e_drop: put ';' or a new line between statements.",
    ),
    (
        "e_if(`paid` e_drop())",
        "line 1, column 13: Write ',' or ')' behind an argument of e_if instead of e_drop.",
    ),
    (
        "e_keep(`paid` ? true)",
        "line 1, column 21: Write ':' between the two values of '? :' instead of ')'.",
    ),
    (
        "e_drop",
        "line 1, column 1: e_drop is a function: write its arguments in brackets.",
    ),
    (
        "e_keep(paid)",
        "line 1, column 8: paid is not known: write a column in backticks, a text in quotes.",
    ),
    (
        "e_keep(__TABLE__ == 'a')",
        "line 1, column 8: __TABLE__ is not known: did you mean __TB__?",
    ),
    (
        "e_drop(); str_masks(`a`)",
        "line 1, column 11: There is no function str_masks: did you mean str_mask?",
    ),
    (
        "launch_rocket()",
        "line 1, column 1: There is no function launch_rocket: the documentation lists those that are.",
    ),
    // Number and names of arguments.
    (
        "e_keep(str_lower())",
        "line 1, column 8: str_lower takes 1 argument and has 0: write str_lower(s) -> text.",
    ),
    (
        "e_if(true)",
        "line 1, column 1: e_if takes 2 arguments and has 1: write e_if(cond, action).",
    ),
    (
        "e_set(`x`, dt_now(1))",
        "line 1, column 12: dt_now takes no arguments and has 1: write dt_now() -> datetime.",
    ),
    (
        "e_set(`x`, op_and(true))",
        "line 1, column 12: op_and takes 2 or more arguments and has 1: write op_and(a, b, ...) -> bool.",
    ),
    (
        "e_set(`x`, dt_add(`day`, weeks=1))",
        "line 1, column 26: dt_add takes no argument weeks: write dt_add(v, years=n, months=n, days=n, hours=n, minutes=n, seconds=n) -> datetime.",
    ),
    (
        "e_set(`x`, dt_add(`day`))",
        "line 1, column 12: dt_add adds nothing: name what it adds, as days=1.",
    ),
    (
        "e_switch(true, e_drop(), false)",
        "line 1, column 1: e_switch takes a condition and an action by turns: add what is missing, or write the last action as default=.",
    ),
    // Places.
    (
        "str_lower(`city`)",
        "line 1, column 1: This is a value where an action is needed: set a column by e_set, or drop the row by e_drop().",
    ),
    (
        "e_if(`paid`, true)",
        "line 1, column 14: This is a value where an action is needed: set a column by e_set, or drop the row by e_drop().",
    ),
    (
        "e_keep(e_drop())",
        "line 1, column 8: e_drop is an action where a value is needed: put it alone, or as an action of e_if.",
    ),
    (
        "e_set('city', 1)",
        "line 1, column 7: Name a column here, in backticks.",
    ),
    (
        "e_set(`x`, NEW)",
        "line 1, column 12: NEW is a mark of e_set: write a value here.",
    ),
    (
        "e_set(`x`, json_array('[1]'))",
        "line 1, column 12: json_array is the list of op_in: write op_in(`column`, json_array('[1, 2]')).",
    ),
    // Types.
    (
        "e_keep(`count`)",
        "line 1, column 8: This is an integer where a condition is needed: compare it with something.",
    ),
    (
        "e_keep(`count` == 'x')",
        "line 1, column 8: op_eq cannot compare an integer with a text: make both of one type.",
    ),
    (
        "e_keep(`made` < '2020-01-01')",
        "line 1, column 8: op_lt cannot compare a datetime with a text: write the text as DATETIME('2021-01-01 10:10:01').",
    ),
    (
        "e_keep(`paid` > true)",
        "line 1, column 8: op_gt cannot order two booleans: compare them by == or !=.",
    ),
    (
        "e_keep(`city` == null)",
        "line 1, column 8: Nothing is equal to null, or less, or greater: ask with op_is_null or op_is_not_null.",
    ),
    (
        "e_set(`x`, str_lower(`total`))",
        "line 1, column 22: str_lower needs a text, and this is a decimal: make a text of it by cast_long_to_string.",
    ),
    (
        "e_set(`x`, str_lower(`made`))",
        "line 1, column 22: str_lower needs a text, and this is a datetime: make a text of it by dt_str.",
    ),
    (
        "e_set(`x`, `city` + 1)",
        "line 1, column 12: op_sum needs a number, and this is a text: make an integer of it by cast_string_to_long.",
    ),
    (
        "e_set(`x`, dt_str(`city`, 'yyyy'))",
        "line 1, column 19: dt_str needs a datetime, and this is a text: make one by DATETIME, dt_strptime or dt_fromtimestamp.",
    ),
    (
        "e_set(`x`, `paid` ? 1 : 'a')",
        "line 1, column 12: The two values of '? :' are an integer and a text: make both of one type.",
    ),
    (
        "e_keep(op_in(`count`, json_array('[\"1\"]')))",
        "line 1, column 34: op_in cannot find an integer in a list with a text: make both of one type.",
    ),
    (
        "e_set(`x`, str_mask(`city`, 0, 1, '##'))",
        "line 1, column 35: str_mask needs a text of one character, written out, and this is a text: give it something else.",
    ),
    // Constants.
    (
        "e_set(`x`, dt_fromtimestamp(0, 'Asia/Shanghai'))",
        "line 1, column 32: Time zone 'Asia/Shanghai' is not known: write 'UTC' or an offset as '+08:00'.",
    ),
    (
        "e_set(`x`, DATETIME('yesterday'))",
        "line 1, column 21: 'yesterday' is no date and time: write it as '2021-01-01 10:10:01'.",
    ),
    (
        "e_set(`x`, dt_str(`made`, 'yyyy-QQ'))",
        "line 1, column 27: The format has 'QQ': write yyyy, yy, MM, dd, HH, hh, mm, ss, SSS, a and XXX, and other letters in single quotes.",
    ),
    (
        "e_keep(regex_match(`city`, '(a'))",
        "line 1, column 28: The regular expression is wrong: unclosed group.",
    ),
    (
        "e_keep(regex_match(`city`, '(\\\\w{200}){200}'))",
        "line 1, column 28: The regular expression is too large: repeat less in it.",
    ),
    (
        "e_set(`x`, str_format('{}', 1, 2))",
        "line 1, column 12: The format has 1 times {} for 2 values: write one for each value.",
    ),
    (
        "e_set(`x`, str_format('{', 1))",
        "line 1, column 23: The format has a brace alone: write {} for a value, {{ and }} for braces.",
    ),
    (
        "e_set(`x`, 1 / 0)",
        "line 1, column 12: This has no value, for a number is divided by zero: correct it.",
    ),
    // Tables.
    (
        "e_keep(`totl` > 1)",
        "line 1, column 8: There is no column `totl` in public.orders, but there is `total`: correct the name, or put what is for another table under a condition of __TB__.",
    ),
    (
        "e_rename(`city`, `town`); e_keep(`city` == 'x')",
        "line 1, column 34: Column `city` of public.orders was dropped or renamed before: use it before that.",
    ),
    (
        "e_rename(`city`, `note`)",
        "line 1, column 18: Column `note` is there already: choose another name.",
    ),
    (
        "e_set(`city`, 'x', NEW)",
        "line 1, column 7: Column `city` is there already: take NEW away, or choose another name.",
    ),
];

#[test]
fn a_mistake_is_told_with_its_place_and_what_to_do() {
    for (script, expected) in MISTAKES {
        assert_eq!(mistakes(script), [expected], "{script}");
    }
}

#[test]
fn the_key_stays_as_it_is() {
    let key = "Column `id` belongs to the key of public.orders, by which changes are told apart";
    for (script, column, rest) in [
        (
            "e_set(`id`, 1)",
            7,
            ", so it is not set: leave it as it is.",
        ),
        (
            "e_if(`paid`, e_set(`id`, 1))",
            20,
            ", so it is not set: leave it as it is.",
        ),
        (
            "e_drop_columns(`city`, `id`)",
            24,
            ", so it is not dropped: leave it as it is.",
        ),
        (
            "e_keep_columns(`city`)",
            1,
            ": name it among those that are kept.",
        ),
        ("e_rename(`id`, `key`); e_set(`key`, 1)", 30, ""),
    ] {
        let told = mistakes(script);
        let expected = match rest {
            "" => "line 1, column 30: Column `key` belongs to the key".to_owned(),
            rest => format!("line 1, column {column}: {key}{rest}"),
        };
        assert!(
            told.len() == 1 && told[0].starts_with(&expected),
            "{script}: {told:?}"
        );
    }
}

#[test]
fn columns_are_not_projected_under_a_condition() {
    for action in [
        "e_drop_columns(`city`)",
        "e_keep_columns(`id`)",
        "e_rename(`city`, `town`)",
    ] {
        assert_eq!(
            mistakes(&format!("e_if(`paid`, {action})")),
            [
                "line 1, column 14: Columns are dropped, kept and renamed for all rows of a table: \
              do it without a condition, or under one of __TB__, __SCHEMA__ and __DB__ alone."
            ]
        );
    }
}

#[test]
fn several_mistakes_are_told_in_their_order() {
    let told = mistakes("e_keep(paid)\ne_drop()\n  e_drops()");
    assert_eq!(told.len(), 2);
    assert!(told[0].starts_with("line 1, column 8: paid"), "{told:?}");
    assert!(
        told[1].starts_with("line 3, column 3: There is no function e_drops"),
        "{told:?}"
    );
    let told = mistakes("e_keep(`a` > 1 && `b` == 'x')\ne_set(`id`, `c`)");
    assert_eq!(told.len(), 3);
    assert!(mistakes(&"a;".repeat(1000)).len() <= 50);
}

#[test]
fn a_mistake_that_no_table_mends_is_told_without_one() {
    for script in [
        "e_if(op_eq(__TB__, 'x'), e_keep(str_lower(1) == 'a'))",
        "e_if(false, e_keep(1))",
        "e_keep(true || 1 + 'a' > 1)",
        "e_set(`x`, `a` + 'text')",
    ] {
        assert_eq!(Script::parse(script).unwrap_err().len(), 1, "{script}");
    }
}

#[test]
fn programs_read_the_place_in_bytes_and_the_code() {
    let wrong = Script::parse("# é\ne_keep(paid)").unwrap_err();
    let told = serde_json::to_value(&wrong[0]).unwrap();
    let message = "paid is not known: write a column in backticks, a text in quotes.";
    assert_eq!(
        told,
        serde_json::json!({
            "from": 12, "to": 16, "line": 2, "column": 8, "code": "unknown_name",
            "message": message
        })
    );
}
