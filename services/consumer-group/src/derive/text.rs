//! Values of a message as PostgreSQL would write them, which is what a policy sees, and the way back.
//!
//! A message does not say all of what PostgreSQL wrote: within a composite a time, bytes or a document cannot be told from
//! text, and stand there as they do in JSON.

use std::borrow::Cow;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use rowcast_proto::change::DocumentForm;
use serde_json::Number;
use serde_json::value::{RawValue, to_raw_value};

use super::message::RawRow;

// OIDs of built-in types (PostgreSQL, `pg_type.dat`).
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INTEGERS: [u32; 6] = [20, 21, 23, 26, 28, 29];
const FLOATS: [u32; 2] = [700, 701];
const DOCUMENTS: [u32; 2] = [114, 3802];
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;

/// Largest integer that a double and all smaller ones hold exactly: beyond, JSON has text.
const EXACT_LIMIT: u64 = 1 << 53;

/// The type of an array's elements, of those whose form in JSON is another than their text.
const fn element(array: u32) -> u32 {
    match array {
        1000 => BOOL,
        1001 => BYTEA,
        1115 => TIMESTAMP,
        1185 => TIMESTAMPTZ,
        199 => 114,
        3807 => 3802,
        _ => 0,
    }
}

/// A value's text; `None` of NULL.
pub(super) fn of_json<'a>(
    type_oid: u32,
    value: &'a RawValue,
    form: Option<DocumentForm>,
) -> Option<Cow<'a, str>> {
    let json = value.get();
    if DOCUMENTS.contains(&type_oid) {
        return match (form, json) {
            (Some(DocumentForm::Text), _) => Some(string(json)),
            (None, "null") => None,
            (Some(DocumentForm::Null | DocumentForm::Unknown) | None, _) => Some(json.into()),
        };
    }
    match json.as_bytes().first() {
        Some(b'n') => None,
        Some(b't') => Some("t".into()),
        Some(b'f') => Some("f".into()),
        Some(b'"') => Some(of_string(type_oid, string(json))),
        Some(b'[') => Some(array(element(type_oid), json).into()),
        Some(b'{') => Some(composite(json).into()),
        Some(_) | None => Some(json.into()),
    }
}

/// The text of a JSON string.
pub(super) fn string(json: &str) -> Cow<'_, str> {
    let inner = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner.filter(|inner| !inner.contains('\\')) {
        Some(inner) => inner.into(),
        None => serde_json::from_str::<String>(json).map_or(json.into(), Into::into),
    }
}

fn of_string(type_oid: u32, text: Cow<'_, str>) -> Cow<'_, str> {
    // What is no time of a calendar, as `infinity`, stands there as PostgreSQL wrote it.
    let time = |text: &str| Some(text.split_once('T')?).map(|(day, time)| format!("{day} {time}"));
    match type_oid {
        BYTEA => match BASE64.decode(text.as_bytes()) {
            Ok(bytes) => format!("\\x{}", HEXLOWER_PERMISSIVE.encode(&bytes)).into(),
            Err(_as_it_was) => text,
        },
        TIMESTAMP => time(&text).map_or(text, Into::into),
        TIMESTAMPTZ => {
            let utc = text.strip_suffix('Z').and_then(time);
            utc.map_or(text, |text| format!("{text}+00").into())
        }
        _ => text,
    }
}

/// As `array_out` writes it.
fn array(element: u32, json: &str) -> String {
    let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(json) else {
        return json.to_owned();
    };
    let is_document = DOCUMENTS.contains(&element);
    let texts = values.into_iter().map(|value| {
        if value.get().starts_with('[') && !is_document {
            return array(element, value.get());
        }
        match of_json(element, value, None) {
            None => "NULL".to_owned(),
            Some(text) if text.eq_ignore_ascii_case("null") => format!("\"{text}\""),
            Some(text) => quoted(&text, "{},", "\\\""),
        }
    });
    format!("{{{}}}", texts.collect::<Vec<_>>().join(","))
}

/// As `record_out` writes it.
fn composite(json: &str) -> String {
    let Ok(RawRow(fields)) = serde_json::from_str(json) else {
        return json.to_owned();
    };
    let texts = fields.iter().map(|(_name, value)| {
        let text = of_json(0, value, None);
        text.map_or_else(String::new, |text| quoted(&text, "(),", "\"\""))
    });
    format!("({})", texts.collect::<Vec<_>>().join(","))
}

/// In quotes where it has one of these characters, a quote, a backslash or white space, or nothing.
fn quoted(text: &str, special: &str, quote: &str) -> String {
    let is_special = |c: char| special.contains(c) || "\"\\".contains(c) || c.is_ascii_whitespace();
    if !text.is_empty() && !text.contains(is_special) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', quote))
}

/// The JSON of a text of this type, by the same rules as the task's stream, and how a document stands in it. A text that is
/// not of its type's form becomes a string.
pub(super) fn to_json(
    type_oid: u32,
    text: &str,
) -> Result<(Box<RawValue>, Option<DocumentForm>), serde_json::Error> {
    let as_it_is = |text: &str| RawValue::from_string(text.to_owned());
    let json = match type_oid {
        BOOL if text == "t" => as_it_is("true")?,
        BOOL if text == "f" => as_it_is("false")?,
        oid if INTEGERS.contains(&oid) && is_exact(text) => as_it_is(text)?,
        oid if FLOATS.contains(&oid) && is_finite(text) => as_it_is(text)?,
        oid if DOCUMENTS.contains(&oid) => {
            let form = DocumentForm::of(text);
            return Ok(match form {
                Some(DocumentForm::Text | DocumentForm::Unknown) => (to_raw_value(text)?, form),
                Some(DocumentForm::Null) | None => (as_it_is(text)?, form),
            });
        }
        BYTEA => match text
            .strip_prefix("\\x")
            .map(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()))
        {
            Some(Ok(bytes)) => to_raw_value(&BASE64.encode(&bytes))?,
            Some(Err(_)) | None => to_raw_value(text)?,
        },
        TIMESTAMP => to_raw_value(&iso(text).unwrap_or_else(|| text.to_owned()))?,
        TIMESTAMPTZ => {
            let utc = text.strip_suffix("+00").and_then(iso);
            to_raw_value(&utc.map_or_else(|| text.to_owned(), |text| format!("{text}Z")))?
        }
        _ => to_raw_value(text)?,
    };
    Ok((json, None))
}

/// `None` for what ISO 8601 does not have: infinities, and dates before Christ.
fn iso(text: &str) -> Option<String> {
    let (day, time) = text.split_once(' ')?;
    (!text.ends_with(" BC") && time.contains(':')).then(|| format!("{day}T{time}"))
}

fn is_exact(text: &str) -> bool {
    let read: Result<i64, _> = text.parse();
    read.is_ok_and(|number| number.unsigned_abs() <= EXACT_LIMIT && number.to_string() == text)
}

fn is_finite(text: &str) -> bool {
    serde_json::from_str::<Number>(text).is_ok() && text.parse().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u32 = 25;

    /// JSON as the task's stream has it, and the text that PostgreSQL has written.
    const BOTH_WAYS: [(u32, &str, &str); 16] = [
        (BOOL, "true", "t"),
        (23, "-42", "-42"),
        (20, "\"9223372036854775807\"", "9223372036854775807"),
        (701, "1e+300", "1e+300"),
        (701, "\"NaN\"", "NaN"),
        (1700, "\"19.90\"", "19.90"),
        (TEXT, r#""a\"b\u0001\\""#, "a\"b\u{1}\\"),
        (BYTEA, "\"AAH/\"", "\\x0001ff"),
        (
            TIMESTAMP,
            "\"2026-11-23T05:33:10.5\"",
            "2026-11-23 05:33:10.5",
        ),
        (
            TIMESTAMPTZ,
            "\"2026-11-23T05:33:10Z\"",
            "2026-11-23 05:33:10+00",
        ),
        (TIMESTAMPTZ, "\"infinity\"", "infinity"),
        (
            TIMESTAMP,
            "\"0044-03-15 12:00:00 BC\"",
            "0044-03-15 12:00:00 BC",
        ),
        (1082, "\"2026-11-23\"", "2026-11-23"),
        (3802, r#"{"b": 1, "a": null}"#, r#"{"b": 1, "a": null}"#),
        (
            2950,
            "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        (BOOL, "\"x\"", "x"),
    ];

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn a_value_has_the_text_that_postgresql_wrote_and_gives_the_same_value_again() {
        for (oid, json, text) in BOTH_WAYS {
            assert_eq!(of_json(oid, &raw(json), None).unwrap(), text);
            let (written, form) = to_json(oid, text).unwrap();
            assert_eq!((written.get(), form), (json, None));
        }
    }

    #[test]
    fn arrays_and_composites_are_written_as_postgresql_does() {
        for (oid, json, text) in [
            (1007, "[1,null,3]", "{1,NULL,3}"),
            (1007, "[[1,2],[3,4]]", "{{1,2},{3,4}}"),
            (
                1009,
                r#"["a b","","NULL","x,y","q\"","\\","plain"]"#,
                r#"{"a b","","NULL","x,y","q\"","\\",plain}"#,
            ),
            (1000, "[true,false]", "{t,f}"),
            (
                1185,
                "[\"2026-11-23T05:33:10Z\"]",
                "{\"2026-11-23 05:33:10+00\"}",
            ),
            (3807, r#"[{"a": 1}]"#, r#"{"{\"a\": 1}"}"#),
            (1009, "[]", "{}"),
            (
                99_999,
                r#"{"b":1,"a":"x y","c":null,"d":""}"#,
                r#"(1,"x y",,"")"#,
            ),
        ] {
            assert_eq!(of_json(oid, &raw(json), None).unwrap(), text, "{json}");
        }
    }

    #[test]
    fn null_of_a_document_is_a_document() {
        assert_eq!(of_json(TEXT, &raw("null"), None), None);
        assert_eq!(of_json(114, &raw("null"), None), None);
        let null = Some(DocumentForm::Null);
        assert_eq!(of_json(114, &raw("null"), null).unwrap(), "null");
        let text = Some(DocumentForm::Text);
        assert_eq!(of_json(114, &raw("\"[1e400]\""), text).unwrap(), "[1e400]");
        let (json, form) = to_json(114, "[1e400]").unwrap();
        assert_eq!((json.get(), form), ("\"[1e400]\"", text));
        let (json, form) = to_json(114, "null").unwrap();
        assert_eq!((json.get(), form), ("null", null));
    }
}
