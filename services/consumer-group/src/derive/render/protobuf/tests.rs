use std::fs;
use std::path::Path;

use rowcast_proto::change::{Change, TableSchema};
use serde_json::{Value as Json, json};

use super::*;
use crate::derive::message;

fn table(id: &str, columns: &[(&str, u32, &str)]) -> Tables {
    let columns = columns.iter().map(|(name, type_oid, type_name)| Column {
        name: (*name).to_owned(),
        type_oid: *type_oid,
        type_name: (*type_name).to_owned(),
        modifier: -1,
        key: *name == "id",
    });
    let schema = TableSchema {
        id: id.to_owned(),
        schema: "public".to_owned(),
        table: "orders".to_owned(),
        replica_identity: "default".to_owned(),
        columns: columns.collect(),
    };
    let mut tables = Tables::new(None);
    tables.define(schema, "shop");
    tables
}

#[test]
fn what_capture_writes_is_written_the_same() {
    let tables = table(
        "orders-7f3a",
        &[
            ("id", 23, "int4"),
            ("status", 25, "text"),
            ("total", 1700, "numeric"),
            ("settings", 3802, "jsonb"),
            ("note", 25, "text"),
        ],
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/golden/protobuf");
    let mut samples = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let digits: String = fs::read_to_string(&path).unwrap();
        let digits: String = digits.split_whitespace().collect();
        let sample = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
        let expected = pb::Change::decode(&sample[..]).unwrap();
        let read = message::read(&sample).unwrap();
        let written = match expected.part.clone() {
            Some(part) => piece(&read, part).unwrap(),
            None => body(&read, &tables).unwrap(),
        };
        let written = pb::Change::decode(&written[..]).unwrap();
        assert_eq!(written, expected, "{}", path.display());
        samples += 1;
    }
    assert!(samples > 10, "{samples}");
}

const COLUMNS: [(&str, u32, &str); 22] = [
    ("id", 20, "int8"),
    ("small", 21, "int2"),
    ("oid", 26, "oid"),
    ("real", 700, "float4"),
    ("nan", 701, "float8"),
    ("low", 701, "float8"),
    ("paid", 16, "bool"),
    ("bytes", 17, "bytea"),
    ("total", 1700, "numeric"),
    ("at", 1184, "timestamptz"),
    ("doc", 3802, "jsonb"),
    ("null_doc", 114, "json"),
    ("text_doc", 114, "json"),
    ("numbers", 1016, "_int8"),
    ("grid", 1007, "_int4"),
    ("blobs", 1001, "_bytea"),
    ("docs", 3807, "_jsonb"),
    ("moods", 17_000, "_mood"),
    ("place", 17_001, "place"),
    ("domain", 17_002, "settings"),
    ("bounds", 1007, "_int4"),
    ("nothing", 25, "text"),
];

/// A row with a value of each kind, as a task of JSON tells it.
fn every_kind() -> Json {
    json!({
        "id": "9223372036854775807", "small": -7, "oid": 4_294_967_295_u32, "real": 1.5, "nan": "NaN",
        "low": "-Infinity", "paid": true, "bytes": "AAH/", "total": "19.90",
        "at": "2026-11-23T05:33:10.5Z", "doc": { "b": [1, null], "a": 1e300 }, "null_doc": null,
        "text_doc": "[1e400]", "numbers": [1, null, "9007199254740993"], "grid": [[1, 2], [3, null]],
        "blobs": ["AAH/", null, ""], "docs": [{ "a": [1] }, null, "x"], "moods": ["glad", null],
        "place": { "street": "Main \"St\"", "number": 7, "gone": null, "at": [1.25, "x"] },
        "domain": { "many": 12_345_678_901_234_567_890_u64 }, "bounds": "[0:1]={1,2}", "nothing": null,
    })
}

fn update() -> Json {
    json!({
        "id": "0/16B3748.3", "op": "update", "database": "shop", "schema": "public", "table": "orders",
        "lsn": "0/16B3748", "ordinal": 3, "xid": 742, "committed_at": "2026-11-23T05:33:10.123456Z",
        "schema_id": "kinds-1", "key": { "id": "9223372036854775807" }, "before": { "id": 41 },
        "before_image": "key", "after": every_kind(), "unchanged": ["large"],
        "documents": { "after": { "null_doc": "null", "text_doc": "text" } },
    })
}

fn written(json: &Json, tables: &Tables) -> pb::Change {
    let read = message::read(&serde_json::to_vec(json).unwrap()).unwrap();
    let body = body(&read, tables).unwrap();
    let as_read = Change::read(&body).unwrap();
    assert_eq!(serde_json::to_value(&as_read).unwrap(), *json);
    pb::Change::decode(&body[..]).unwrap()
}

#[test]
fn json_says_the_same_in_protobuf() {
    let tables = table("kinds-1", &COLUMNS);
    let change = written(&update(), &tables);
    let after = change.after.unwrap().columns;
    let of = |name: &str| {
        let found = after.iter().find(|column| column.name == name).unwrap();
        found.value.clone().unwrap().kind
    };
    let list = |values: Vec<Option<Told>>| {
        let values = values.into_iter().map(|kind| pb::Value { kind });
        Some(Told::ListValue(pb::List {
            values: values.collect(),
        }))
    };
    assert_eq!(of("id"), Some(Told::IntValue(i64::MAX)));
    assert_eq!(of("oid"), Some(Told::IntValue(4_294_967_295)));
    assert!(matches!(of("nan"), Some(Told::DoubleValue(number)) if number.is_nan()));
    assert_eq!(of("low"), Some(Told::DoubleValue(f64::NEG_INFINITY)));
    assert_eq!(of("bytes"), Some(Told::BytesValue(vec![0, 1, 255].into())));
    assert_eq!(of("total"), Some(Told::TextValue("19.90".to_owned())));
    assert_eq!(of("null_doc"), Some(Told::JsonValue("null".to_owned())));
    assert_eq!(of("text_doc"), Some(Told::JsonValue("[1e400]".to_owned())));
    assert_eq!(of("nothing"), None);
    let numbers = [Some(1), None, Some(9_007_199_254_740_993)];
    let numbers = numbers.map(|number| number.map(Told::IntValue));
    assert_eq!(of("numbers"), list(numbers.to_vec()));
    let documents = [Some(r#"{"a":[1]}"#), None, Some("\"x\"")];
    let documents = documents.map(|text| text.map(|text| Told::JsonValue(text.to_owned())));
    assert_eq!(of("docs"), list(documents.to_vec()));
    let row = |numbers: [Option<i64>; 2]| list(numbers.map(|n| n.map(Told::IntValue)).to_vec());
    assert_eq!(
        of("grid"),
        list(vec![row([Some(1), Some(2)]), row([Some(3), None])])
    );
    assert!(matches!(of("place"), Some(Told::RowValue(row)) if row.columns.len() == 4));
    // A double would not bring it back.
    assert!(matches!(of("domain"), Some(Told::JsonValue(_))));
    assert_eq!(
        of("bounds"),
        Some(Told::TextValue("[0:1]={1,2}".to_owned()))
    );
}

#[test]
fn what_is_nested_deeply_is_read_again() {
    let tables = table("kinds-1", &COLUMNS);
    let mut insert = update();
    let mut deep = json!(1);
    for _level in 0..30 {
        deep = json!({ "a": [deep] });
    }
    insert["after"] = json!({ "id": 1, "place": deep });
    insert.as_object_mut().unwrap().remove("documents");
    let after = written(&insert, &tables).after.unwrap();
    let kind = after.columns[1].value.clone().unwrap().kind;
    assert!(matches!(kind, Some(Told::JsonValue(_))), "{kind:?}");
}

#[test]
fn packs_and_what_is_no_row_say_the_same() {
    let tables = table("kinds-1", &COLUMNS);
    let bare = |op: &str, rest: Json| {
        let mut message = json!({
            "id": "0/16B3748.3", "op": op, "database": "shop", "lsn": "0/16B3748", "ordinal": 3, "xid": 742,
            "committed_at": "2026-11-23T05:33:10.123456Z",
        });
        let rest = rest.as_object().unwrap().clone();
        message.as_object_mut().unwrap().extend(rest);
        message
    };
    written(
        &bare("pack", json!({ "pack": [update(), update()] })),
        &tables,
    );
    written(&bare("commit", json!({ "changes": 7 })), &tables);
    let binary = json!({ "prefix": "app", "transactional": false, "base64": "AP8=" });
    written(&bare("message", json!({ "message": binary })), &tables);
    let wrong = bare("commit", json!({ "committed_at": "yesterday" }));
    let wrong = message::read(&serde_json::to_vec(&wrong).unwrap()).unwrap();
    let error = body(&wrong, &tables).unwrap_err().to_string();
    assert!(
        error.contains("yesterday") && error.contains("0/16B3748.3"),
        "{error}"
    );
}
