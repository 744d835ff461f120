//! What is told of rows that a script cannot be run over. Their values are not.

use rowcast_etl::{Datum, Image, RunError};

use crate::shop::{EVENT, compiled, row};

fn failure(script: &str, changed: &[(&str, Datum<'static>)]) -> RunError {
    let mut cells = Vec::new();
    compiled(script)
        .run(&row(changed), &EVENT, Image::Row, &mut cells)
        .unwrap_err()
}

/// Scripts, a column, its data, and what is told.
const FAILURES: [(&str, &str, &str, &str); 11] = [
    (
        "e_keep(`count` > 1)",
        "count",
        "secret",
        "line 1, column 8, column `count`: a value cannot be read as an integer",
    ),
    (
        "e_keep(`total` > 1)",
        "total",
        "1e5",
        "line 1, column 8, column `total`: a value cannot be read as a decimal",
    ),
    (
        "e_keep(`made` > `sent`)",
        "sent",
        "soon",
        "line 1, column 17, column `sent`: a value cannot be read as a datetime",
    ),
    (
        "\ne_keep(1 / `count` > 1)",
        "count",
        "0",
        "line 2, column 8, column `count`: a number is divided by zero",
    ),
    (
        "e_set(`x`, `id` * 2)",
        "id",
        "9223372036854775807",
        "line 1, column 12, column `id`: a number is too large for an integer",
    ),
    (
        "e_set(`x`, `ratio` * 1000)",
        "ratio",
        "1e308",
        "line 1, column 12, column `ratio`: a number is too large for a float",
    ),
    (
        "e_set(`x`, cast_string_to_long(`city`))",
        "city",
        "secret",
        "line 1, column 12, column `city`: a value cannot be read as an integer",
    ),
    (
        "e_set(`x`, dt_strptime(`city`, 'yyyy'))",
        "city",
        "secret",
        "line 1, column 12, column `city`: a text is not of the format",
    ),
    (
        "e_set(`x`, dt_parsetimestamp(`day`))",
        "day",
        "infinity",
        "line 1, column 12, column `day`: a datetime is out of reach",
    ),
    (
        "e_set(`x`, dt_fromtimestamp(`id`))",
        "id",
        "9223372036854775807",
        "line 1, column 12, column `id`: a datetime is out of reach",
    ),
    (
        "e_set(`x`, dt_add(`day`, years=`id`))",
        "id",
        "9223372036854775807",
        "line 1, column 12, column `day`: a datetime is out of reach",
    ),
];

#[test]
fn a_failure_names_place_and_column() {
    for (script, column, text, expected) in FAILURES {
        let failure = failure(script, &[(column, Datum::Text(text))]);
        assert_eq!(failure.to_string(), expected, "{script}");
    }
}

#[test]
fn a_decimal_has_so_many_digits() {
    let squares =
        "e_set(`x`, `total` * `total`)\n".to_owned() + &"e_set(`x`, `x` * `x`)\n".repeat(20);
    let failure = failure(&squares, &[]);
    assert_eq!(failure.reason, "a decimal has more than 1000 digits");
    assert_eq!(failure.name.as_deref(), Some("x"));
}

#[test]
fn a_text_grows_only_so_far() {
    let doubled = "e_set(`city`, op_add(`city`, `city`))\n".repeat(40);
    let failure = failure(&doubled, &[]);
    assert_eq!(failure.reason, "a text would have more than 67108864 bytes");
    assert_eq!(failure.name.as_deref(), Some("city"));
}

#[test]
fn a_row_of_another_shape_is_refused() {
    let mut cells = Vec::new();
    let failure = compiled("e_drop()").run(&[Datum::Null], &EVENT, Image::Row, &mut cells);
    assert_eq!(
        failure.unwrap_err().to_string(),
        "line 1, column 1: the row has 1 columns where the table has 14"
    );
}
