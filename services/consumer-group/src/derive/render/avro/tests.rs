use apache_avro::Reader;
use rowcast_proto::change::Column;
use serde_json::{Value, json};

use super::*;
use crate::derive::message;

fn table(columns: &[(&str, u32, &str)]) -> TableSchema {
    let columns = columns.iter().map(|(name, type_oid, type_name)| Column {
        name: (*name).to_owned(),
        type_oid: *type_oid,
        type_name: (*type_name).to_owned(),
        modifier: -1,
        key: *name == "id",
    });
    TableSchema {
        id: "kinds-1".to_owned(),
        schema: "public".to_owned(),
        table: "kinds".to_owned(),
        replica_identity: "default".to_owned(),
        columns: columns.collect(),
    }
}

const COLUMNS: [(&str, u32, &str); 19] = [
    ("id", 23, "int4"),
    ("large", 20, "int8"),
    ("real", 700, "float4"),
    ("double", 701, "float8"),
    ("paid", 16, "bool"),
    ("bytes", 17, "bytea"),
    ("total", 1700, "numeric"),
    ("doc", 3802, "jsonb"),
    ("null_doc", 114, "json"),
    ("text_doc", 114, "json"),
    ("numbers", 1016, "_int8"),
    ("grid", 1007, "_int4"),
    ("words", 1009, "_text"),
    ("docs", 3807, "_jsonb"),
    ("moods", 17_000, "_mood"),
    ("place", 17_001, "place"),
    ("2nd name", 25, "text"),
    ("nothing", 25, "text"),
    ("unsent", 25, "text"),
];

fn row() -> Value {
    json!({
        "id": 42, "large": "9223372036854775807", "real": 0.1, "double": 1e300, "paid": true, "bytes": "AAH/",
        "total": "19.90", "doc": { "a": [1] }, "null_doc": null, "text_doc": "[1e400]",
        "numbers": [1, null, "9007199254740993"], "grid": [[1, 2], [3, 4]], "words": ["a \"b\"", "null", null],
        "docs": [{ "a": 1 }, "x", null], "moods": ["glad", null], "place": { "street": "Main St", "number": 7 },
        "2nd name": "n", "nothing": null,
    })
}

fn message(op: &str, rest: &Value) -> Value {
    let mut message = json!({
        "id": "0/16B3748.3", "op": op, "database": "shop", "lsn": "0/16B3748", "ordinal": 3, "xid": 742,
        "committed_at": "2026-11-23T05:33:10.123456Z",
    });
    let rest = rest.as_object().unwrap().clone();
    message.as_object_mut().unwrap().extend(rest);
    message
}

fn update(after: &Value) -> Value {
    message(
        "update",
        &json!({
            "schema": "public", "table": "kinds", "schema_id": "kinds-1", "key": { "id": 42 },
            "before": { "id": 41 }, "before_image": "key", "after": after, "unchanged": ["unsent"],
            "documents": { "after": { "null_doc": "null", "text_doc": "text" } },
        }),
    )
}

/// The body of a message, and what another library reads in it.
fn written(avro: &mut Avro, json: &Value) -> (Vec<u8>, Vec<Value>) {
    let mut tables = Tables::new(None);
    tables.define(table(&COLUMNS), "shop");
    let read = message::read(&serde_json::to_vec(json).unwrap()).unwrap();
    let body = avro.body(&read, &tables).unwrap().unwrap();
    let records = Reader::new(&body[..]).unwrap();
    let records = records.map(|record| Value::try_from(record.unwrap()).unwrap());
    let records = records.collect();
    (body, records)
}

#[test]
fn a_row_has_the_types_of_its_columns() {
    let (_body, records) = written(&mut Avro::new(), &update(&row()));
    let [change] = &records[..] else {
        panic!("{records:?}");
    };
    assert_eq!(change["op"], "update");
    assert_eq!(change["id"], "0/16B3748.3");
    assert_eq!(change["table"], "kinds");
    assert_eq!(
        (&change["lsn"], &change["ordinal"]),
        (&json!("0/16B3748"), &json!(3))
    );
    assert_eq!(
        (&change["xid"], &change["schema_id"]),
        (&json!(742), &json!("kinds-1"))
    );
    assert_eq!(change["committed_at"], json!(1_795_411_990_123_456_i64));
    assert_eq!(change["key"], json!({ "id": 42 }));
    assert_eq!(
        (&change["before"]["id"], &change["before"]["large"]),
        (&json!(41), &Value::Null)
    );
    assert_eq!(
        (&change["before_image"], &change["unchanged"]),
        (&json!("key"), &json!(["unsent"]))
    );
    let after = &change["after"];
    assert_eq!(after["large"], json!(i64::MAX));
    assert!((after["real"].as_f64().unwrap() - 0.1).abs() < 1e-7);
    assert_eq!(
        (&after["double"], &after["paid"]),
        (&json!(1e300), &json!(true))
    );
    assert_eq!(after["bytes"], json!([0, 1, 255]));
    assert_eq!(after["total"], "19.90");
    assert_eq!(after["doc"], r#"{"a":[1]}"#);
    assert_eq!(after["null_doc"], "null");
    assert_eq!(after["text_doc"], "[1e400]");
    assert_eq!(
        after["numbers"],
        json!([1, null, 9_007_199_254_740_993_i64])
    );
    assert_eq!(after["grid"], "[[1,2],[3,4]]");
    assert_eq!(after["words"], json!(["a \"b\"", "null", null]));
    assert_eq!(after["docs"], json!([r#"{"a":1}"#, "\"x\"", null]));
    assert_eq!(after["moods"], json!(["glad", null]));
    let place: Value = serde_json::from_str(after["place"].as_str().unwrap()).unwrap();
    assert_eq!(place, json!({ "street": "Main St", "number": 7 }));
    assert_eq!(after["_2nd_name"], "n");
    assert_eq!(
        (&after["nothing"], &after["unsent"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(after.as_object().unwrap().len(), COLUMNS.len());
}

#[test]
fn the_same_change_gives_the_same_bytes() {
    let (first, _records) = written(&mut Avro::new(), &update(&row()));
    let mut avro = Avro::new();
    let (second, _records) = written(&mut avro, &update(&row()));
    let (third, _records) = written(&mut avro, &update(&row()));
    assert_eq!(first, second);
    assert_eq!(first, third);
}

#[test]
fn fields_say_what_they_are_in_postgresql() {
    let schema: Value =
        serde_json::from_str(&schema::change(&table(&COLUMNS), Width::Narrow)).unwrap();
    let fields = schema["fields"].as_array().unwrap();
    let before = fields
        .iter()
        .find(|field| field["name"] == "before")
        .unwrap();
    let columns = before["type"][1]["fields"].as_array().unwrap();
    let expected = json!({
        "name": "_2nd_name", "type": ["null", "string"], "default": null, "column": "2nd name",
        "postgresql": "text",
    });
    assert!(columns.contains(&expected), "{columns:?}");
    assert_eq!(columns[0]["type"], json!(["null", "int"]));
}

#[test]
fn a_value_that_does_not_fit_its_type_is_told_as_text() {
    let mut after = row();
    after["id"] = json!("2147483648");
    after["paid"] = json!("perhaps");
    let (body, records) = written(&mut Avro::new(), &update(&after));
    assert_eq!(records[0]["after"]["id"], "2147483648");
    assert_eq!(records[0]["after"]["paid"], "perhaps");
    assert_eq!(records[0]["after"]["large"], json!(i64::MAX));
    let (usual, _records) = written(&mut Avro::new(), &update(&row()));
    assert_ne!(body[body.len() - 16..], usual[usual.len() - 16..]);
}

#[test]
fn numbers_that_json_has_not_are_numbers() {
    let mut tables = Tables::new(None);
    tables.define(table(&COLUMNS), "shop");
    let mut after = row();
    after["real"] = json!("-Infinity");
    after["double"] = json!("NaN");
    let read = message::read(&serde_json::to_vec(&update(&after)).unwrap()).unwrap();
    let body = Avro::new().body(&read, &tables).unwrap().unwrap();
    let record = Reader::new(&body[..]).unwrap().next().unwrap().unwrap();
    let seen = format!("{record:?}");
    assert!(
        seen.contains("Float(-inf)") && seen.contains("Double(NaN)"),
        "{seen}"
    );
}

#[test]
fn a_pack_is_a_file_of_its_rows() {
    let mut second = update(&row());
    second["ordinal"] = json!(4);
    let pack = message("pack", &json!({ "pack": [update(&row()), second] }));
    let (_body, records) = written(&mut Avro::new(), &pack);
    let ordinals: Vec<&Value> = records.iter().map(|record| &record["ordinal"]).collect();
    assert_eq!(ordinals, [&json!(3), &json!(4)]);
}

#[test]
fn what_is_no_row_is_an_event() {
    let mut avro = Avro::new();
    let mut told = |op: &str, rest: Value| {
        let (_body, mut records) = written(&mut avro, &message(op, &rest));
        records.remove(0)
    };
    let commit = told("commit", json!({ "changes": 7 }));
    assert_eq!(
        (&commit["op"], &commit["changes"]),
        (&json!("commit"), &json!(7))
    );
    assert_eq!(commit["gap"], Value::Null);
    let ddl = json!({ "command": "ALTER TABLE", "object_type": "table", "object": "public.kinds", "text": "x", "user": "u", "rewritten": true });
    let ddl = told(
        "ddl",
        json!({ "schema": "public", "table": "kinds", "ddl": ddl }),
    );
    assert_eq!(ddl["ddl"]["command"], "ALTER TABLE");
    assert_eq!(
        (&ddl["ddl"]["dropped"], &ddl["ddl"]["rewritten"]),
        (&json!(false), &json!(true))
    );
    let binary = json!({ "prefix": "app", "transactional": false, "base64": "AP8=" });
    let logical = told("message", json!({ "message": binary }));
    assert_eq!(logical["message"]["base64"], "AP8=");
    let gap = json!({ "code": "Gap", "cause": "gone", "from": "0/10", "to": "0/20" });
    assert_eq!(told("gap", json!({ "gap": gap.clone() }))["gap"], gap);
    let truncate = told(
        "truncate",
        json!({ "cascade": true, "restart_identity": false }),
    );
    assert_eq!(
        (&truncate["cascade"], &truncate["restart_identity"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        told("heartbeat", json!({ "xid": null }))["xid"],
        Value::Null
    );
    assert_eq!(told("begin", json!({}))["xid"], 742);
}

#[test]
fn what_is_not_of_the_shape_is_refused() {
    let mut after = row();
    after["colour"] = json!("red");
    let read = message::read(&serde_json::to_vec(&update(&after)).unwrap()).unwrap();
    let mut tables = Tables::new(None);
    let mut avro = Avro::new();
    let error = avro.body(&read, &tables).unwrap_err().to_string();
    assert!(error.contains("kinds-1 is not known"), "{error}");
    tables.define(table(&COLUMNS), "shop");
    let error = avro.body(&read, &tables).unwrap_err().to_string();
    assert!(error.contains("colour"), "{error}");
}
