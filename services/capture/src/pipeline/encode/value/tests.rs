use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn value(kind: &Kind, text: &str) -> Value {
    let mut out = BytesMut::new();
    write(&mut out, kind, text);
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {out:?}"))
}

#[test]
fn each_kind_has_its_json_form() {
    for (kind, text, expected) in [
        (Kind::Bool, "t", json!(true)),
        (Kind::Bool, "f", json!(false)),
        (Kind::Int, "-42", json!(-42)),
        (
            Kind::BigInt,
            "9007199254740992",
            json!(9_007_199_254_740_992_u64),
        ),
        (Kind::BigInt, "9007199254740993", json!("9007199254740993")),
        (
            Kind::BigInt,
            "-9223372036854775808",
            json!("-9223372036854775808"),
        ),
        (Kind::Float, "1e-05", json!(0.00001)),
        (Kind::Float, "1.5e+300", json!(1.5e300)),
        (Kind::Float, "-0", json!(-0.0)),
        (Kind::Float, "NaN", json!("NaN")),
        (Kind::Float, "-Infinity", json!("-Infinity")),
        (Kind::Text, "19.90", json!("19.90")),
        (Kind::Json, r#"{"a": [1, null]}"#, json!({"a": [1, null]})),
        (Kind::Bytea, "\\x", json!("")),
        (Kind::Bytea, "\\xde", json!("3g==")),
        (Kind::Bytea, "\\xdead", json!("3q0=")),
        (Kind::Bytea, "\\xDEADBEEF", json!("3q2+7w==")),
        (
            Kind::Timestamp,
            "2026-11-23 05:33:10.5",
            json!("2026-11-23T05:33:10.5"),
        ),
        (Kind::Timestamp, "infinity", json!("infinity")),
        (
            Kind::TimestampTz,
            "2026-11-23 05:33:10+00",
            json!("2026-11-23T05:33:10Z"),
        ),
        (
            Kind::TimestampTz,
            "0044-03-15 12:00:00+00 BC",
            json!("0044-03-15 12:00:00+00 BC"),
        ),
    ] {
        assert_eq!(value(&kind, text), expected, "{kind:?} {text}");
    }
}

#[test]
fn arrays_and_composites_nest() {
    let ints = Kind::Array(Box::new(Kind::Int));
    assert_eq!(value(&ints, "{{1,2},{NULL,4}}"), json!([[1, 2], [null, 4]]));
    assert_eq!(value(&ints, "{}"), json!([]));
    assert_eq!(value(&ints, "[0:1]={1,2}"), json!("[0:1]={1,2}"));
    let texts = Kind::Array(Box::new(Kind::Text));
    assert_eq!(
        value(&texts, r#"{a,"b,c","NULL",NULL}"#),
        json!(["a", "b,c", "NULL", null])
    );
    let point =
        Kind::Composite(vec![("x".to_owned(), Kind::Int), ("tags".to_owned(), texts)].into());
    assert_eq!(
        value(&point, r#"(1,"{a,""b c""}")"#),
        json!({"x": 1, "tags": ["a", "b c"]})
    );
    assert_eq!(value(&point, "(,)"), json!({"x": null, "tags": null}));
    assert_eq!(value(&point, "(1)"), json!("(1)"));
}

#[test]
fn a_text_that_is_not_of_its_type_becomes_a_string() {
    for kind in [
        Kind::Bool,
        Kind::Int,
        Kind::BigInt,
        Kind::Float,
        Kind::Bytea,
        Kind::Timestamp,
    ] {
        let long = "9".repeat(400);
        for text in [
            "",
            "x",
            "01x",
            "--1",
            "1.",
            ".5",
            "\\xabc",
            "\\xzz",
            "01",
            "-00",
            "0000000775726466",
            "1e999",
            &long,
        ] {
            assert_eq!(value(&kind, text), json!(text), "{kind:?} {text:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_of_any_kind_is_valid_json(text: String, which in 0_usize..8) {
        let kinds = [
            Kind::Bool, Kind::Int, Kind::BigInt, Kind::Float, Kind::Bytea, Kind::Timestamp,
            Kind::TimestampTz, Kind::Array(Box::new(Kind::Text)),
        ];
        value(&kinds[which], &text);
    }

    #[test]
    fn every_float_that_postgres_prints_stays_a_number(number: f64) {
        prop_assume!(number.is_finite());
        // PostgreSQL writes an exponent with its sign and at least two digits.
        let text = format!("{number:e}").replace('e', "e+").replace("e+-", "e-");
        prop_assert_eq!(value(&Kind::Float, &text).as_f64(), Some(number));
    }
}
