//! A value's text, to JSON and back by the rules of the README's table of types: nothing is lost,
//! and whatever the text is, the JSON is one.

use bytes::BytesMut;
use data_encoding::BASE64;
use proptest::prelude::*;
use rowcast_proto::change::DocumentForm;
use serde_json::value::RawValue;

use super::document;
use super::value;
use crate::pipeline::change::Kind;

type Members = std::collections::BTreeMap<String, Box<RawValue>>;

/// What a message says of a value: JSON, and the form of a document.
pub(super) struct Told {
    pub(super) json: String,
    pub(super) form: Option<DocumentForm>,
}

pub(super) fn tell(kind: &Kind, text: &str) -> Told {
    let mut out = BytesMut::new();
    let form = if *kind == Kind::Json {
        document::write(&mut out, text)
    } else {
        value::write(&mut out, kind, text);
        None
    };
    let json = String::from_utf8(out.to_vec()).unwrap();
    let read: Result<serde_json::Value, _> = serde_json::from_str(&json);
    assert!(read.is_ok(), "{kind:?} {text:?} gives {json}");
    Told { json, form }
}

/// The server's text again, as a reader of the message finds it.
fn text_again(kind: &Kind, told: &Told) -> String {
    let string = || serde_json::from_str::<String>(&told.json).ok();
    match kind {
        Kind::Json if told.form == Some(DocumentForm::Text) => string().unwrap(),
        Kind::Json => told.json.clone(),
        Kind::Array(_) | Kind::Composite(_) => string().unwrap_or_else(|| nested(kind, &told.json)),
        Kind::Bool => match told.json.as_str() {
            "true" => "t".to_owned(),
            "false" => "f".to_owned(),
            _ => string().unwrap(),
        },
        Kind::Bytea => bytea(&string().unwrap()),
        Kind::Timestamp => time(&string().unwrap(), ""),
        Kind::TimestampTz => time(&string().unwrap(), "+00"),
        Kind::Int | Kind::BigInt | Kind::Float | Kind::Text => {
            string().unwrap_or_else(|| told.json.clone())
        }
    }
}

fn bytea(base64: &str) -> String {
    let bytes = BASE64.decode(base64.as_bytes()).unwrap();
    format!("\\x{}", data_encoding::HEXLOWER.encode(&bytes))
}

/// `2026-11-23T05:33:10Z` as the server writes it.
fn time(text: &str, zone: &str) -> String {
    match text.split_once('T') {
        Some((date, time)) => format!("{date} {}{zone}", time.trim_end_matches('Z')),
        None => text.to_owned(),
    }
}

fn nested(kind: &Kind, json: &str) -> String {
    let again = |kind: &Kind, value: &RawValue| {
        let json = value.get().to_owned();
        let form = None;
        (value.get() != "null").then(|| text_again(kind, &Told { json, form }))
    };
    match kind {
        Kind::Array(element) => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(json).unwrap();
            let nests = matches!(**element, Kind::Array(_) | Kind::Json);
            let items: Vec<String> = items
                .iter()
                .map(|item| {
                    // Another dimension.
                    if item.get().starts_with('[') && !nests {
                        return nested(kind, item.get());
                    }
                    let text = again(element, item);
                    text.map_or("NULL".to_owned(), |text| as_element(&text))
                })
                .collect();
            format!("{{{}}}", items.join(","))
        }
        Kind::Composite(fields) => {
            let values: Members = serde_json::from_str(json).unwrap();
            let values: Vec<String> = fields
                .iter()
                .map(|(name, kind)| again(kind, &values[name]))
                .map(|text| text.as_deref().map(as_field).unwrap_or_default())
                .collect();
            format!("({})", values.join(","))
        }
        Kind::Bool
        | Kind::Int
        | Kind::BigInt
        | Kind::Float
        | Kind::Json
        | Kind::Bytea
        | Kind::Timestamp
        | Kind::TimestampTz
        | Kind::Text => panic!("{kind:?} holds nothing: {json}"),
    }
}

/// As `array_out` writes an element.
fn as_element(text: &str) -> String {
    let quote = text.is_empty()
        || text.eq_ignore_ascii_case("null")
        || text.contains(|c: char| matches!(c, '"' | '\\' | '{' | '}' | ',') || is_space(c));
    if !quote {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// As `record_out` writes a field.
fn as_field(text: &str) -> String {
    let quote = text.is_empty()
        || text.contains(|c: char| matches!(c, '"' | '\\' | '(' | ')' | ',') || is_space(c));
    if !quote {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""))
}

/// `isspace` of the server's `C` locale.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// Kinds that hold no others.
fn scalar() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Bool,
        Kind::Int,
        Kind::BigInt,
        Kind::Float,
        Kind::Json,
        Kind::Bytea,
        Kind::Timestamp,
        Kind::TimestampTz,
        Kind::Text,
    ])
}

pub(super) fn any_kind() -> impl Strategy<Value = Kind> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            // An array's element is no array: only a domain over one can be.
            inner.clone().prop_map(|kind| Kind::Array(Box::new(kind))),
            prop::collection::vec(inner, 1..4).prop_map(|kinds| {
                let named = kinds.into_iter().enumerate();
                Kind::Composite(named.map(|(n, kind)| (format!("f{n}"), kind)).collect())
            }),
        ]
    })
}

fn document_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just(" null".to_owned()),
        Just("true".to_owned()),
        Just("1e400".to_owned()),
        Just("2.50".to_owned()),
        Just(r#""\ud800""#.to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            inner.prop_map(|item| format!("{{\"a\": {item}, \"a\":1}}")),
        ]
    })
}

/// A text that the server could write for this kind.
pub(super) fn text_of(kind: &Kind) -> BoxedStrategy<String> {
    match kind {
        Kind::Bool => prop_oneof![Just("t".to_owned()), Just("f".to_owned())].boxed(),
        Kind::Int => any::<i32>().prop_map(|n| n.to_string()).boxed(),
        Kind::BigInt => any::<i64>().prop_map(|n| n.to_string()).boxed(),
        Kind::Float => prop_oneof![
            any::<f64>().prop_map(|n| format!("{n:?}")),
            Just("Infinity".to_owned()),
        ]
        .boxed(),
        Kind::Json => document_text().boxed(),
        Kind::Bytea => any::<Vec<u8>>()
            .prop_map(|bytes| format!("\\x{}", data_encoding::HEXLOWER.encode(&bytes)))
            .boxed(),
        Kind::Timestamp => time_text("").boxed(),
        Kind::TimestampTz => time_text("+00").boxed(),
        Kind::Text => any::<String>().boxed(),
        Kind::Array(element) => array_text(element),
        Kind::Composite(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(_name, kind)| prop::option::of(text_of(kind)))
                .collect();
            fields
                .prop_map(|values| {
                    let values: Vec<String> = values
                        .iter()
                        .map(|text| text.as_deref().map(as_field).unwrap_or_default())
                        .collect();
                    format!("({})", values.join(","))
                })
                .boxed()
        }
    }
}

fn time_text(zone: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        (1_u32..294_276, 1_u32..=12, 0_u32..24, 0_u32..1_000_000).prop_map(
            move |(year, month, hour, micros)| {
                format!("{year:04}-{month:02}-28 {hour:02}:59:00.{micros:06}{zone}")
            }
        ),
        Just("infinity".to_owned()),
        Just(format!("0044-03-15 12:00:00{zone} BC")),
    ]
}

/// Of no, one or two dimensions, or with bounds of its own.
fn array_text(element: &Kind) -> BoxedStrategy<String> {
    let item = prop::option::of(text_of(element))
        .prop_map(|text| text.as_deref().map_or("NULL".to_owned(), as_element));
    let row = |columns| prop::collection::vec(item.clone(), columns);
    let braces = |items: Vec<String>| format!("{{{}}}", items.join(","));
    prop_oneof![
        row(0..4).prop_map(braces),
        prop::collection::vec(row(2..3).prop_map(braces), 1..3).prop_map(braces),
        row(2..3).prop_map(move |items| format!("[5:6]={}", braces(items))),
    ]
    .boxed()
}

proptest! {
    #[test]
    fn what_the_server_writes_comes_back(
        (kind, text) in any_kind().prop_flat_map(|kind| (Just(kind.clone()), text_of(&kind)))
    ) {
        prop_assert_eq!(text_again(&kind, &tell(&kind, &text)), text);
    }

    #[test]
    fn a_text_that_is_not_of_its_kind_comes_back(kind in scalar(), text: String) {
        // A time is known by its 'T', and bytes by having no other form: only there could a text that
        // the server never writes be read as another.
        prop_assume!(!matches!(kind, Kind::Bytea | Kind::Timestamp | Kind::TimestampTz));
        prop_assert_eq!(text_again(&kind, &tell(&kind, &text)), text);
    }

    #[test]
    fn no_text_of_any_kind_gives_what_is_no_json(kind in any_kind(), text in r#"[\[\]{}(),"\\:=a0.eNUL ]{0,24}|[-+0-9.e]{0,12}"#) {
        tell(&kind, &text);
    }

    #[test]
    fn a_text_of_one_kind_under_another_is_json(
        kind in any_kind(),
        text in any_kind().prop_flat_map(|kind| text_of(&kind)),
    ) {
        tell(&kind, &text);
    }
}
