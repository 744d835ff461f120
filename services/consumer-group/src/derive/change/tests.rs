mod formats;

use rowcast_proto::change::{Column, TableSchema};
use rowcast_proto::message::EtlPolicy;
use serde_json::{Value, json};

use super::*;
use crate::derive::message;
use crate::derive::render::Renderer;

/// Paid orders alone, without the card's number.
const POLICY: &str =
    "e_keep(op_eq(`status`, 'paid'))\ne_set(`card`, '***')\ne_drop_columns(`note`)";

fn schema() -> TableSchema {
    let column = |name: &str, type_oid, type_name: &str, key| Column {
        name: name.to_owned(),
        type_oid,
        type_name: type_name.to_owned(),
        modifier: -1,
        key,
    };
    TableSchema {
        id: "orders-1".to_owned(),
        schema: "public".to_owned(),
        table: "orders".to_owned(),
        replica_identity: "default".to_owned(),
        columns: vec![
            column("id", 20, "int8", true),
            column("status", 25, "text", false),
            column("card", 25, "text", false),
            column("note", 25, "text", false),
            column("total", 1700, "numeric", false),
        ],
    }
}

fn deriver(script: &str, on_error: RowErrorAction, format: GroupFormat) -> Deriver {
    let etl = (!script.is_empty()).then(|| EtlPolicy {
        script: script.to_owned(),
        on_error: on_error.into(),
    });
    let group = "g111111111111".parse().unwrap();
    let derived = Derived {
        etl,
        format,
        version: 0,
    };
    let mut deriver = Deriver::new(group, &derived);
    deriver.tables.define(schema(), "shop");
    deriver
}

/// A message of the task's stream, with what all of them have.
fn message(ordinal: u64, op: &str, rest: Value) -> Value {
    let mut message = json!({
        "id": format!("0/16B3748.{ordinal}"), "op": op, "database": "shop", "schema": "public",
        "table": "orders", "lsn": "0/16B3748", "ordinal": ordinal, "xid": 742,
        "committed_at": "2026-11-23T05:33:10.123456Z", "schema_id": "orders-1",
    });
    let (Value::Object(members), Value::Object(rest)) = (&mut message, rest) else {
        panic!("no object");
    };
    members.extend(rest);
    message
}

fn row(status: &str) -> Value {
    json!({ "id": 1, "status": status, "card": "4111", "note": "n", "total": "19.90" })
}

fn unit(op: &str, message: &Value) -> Unit {
    let payload = Bytes::from(serde_json::to_vec(message).unwrap());
    Unit {
        first: 1,
        last: 1,
        subject: format!("rowcast.change.t000000000000.007.public.orders.{op}"),
        message: message::read(&payload).unwrap(),
        payload,
        taken: None,
    }
}

/// What is made of a message, as it is stored: subject without the group, and body.
fn told(deriver: &mut Deriver, op: &str, message: &Value) -> Vec<(String, Value)> {
    let made = deriver.take(&unit(op, message)).unwrap();
    let mut renderer = Renderer::new("t000000000000".parse().unwrap(), deriver.format, 1 << 20);
    let outs = made.outs.iter();
    let rendered = outs.flat_map(|out| renderer.render(out, &deriver.tables).unwrap());
    let told = rendered.map(|one| {
        let subject = one.subject.strip_prefix("rowcast.derived.g111111111111.");
        (
            subject.unwrap().to_owned(),
            serde_json::from_slice(&one.payload).unwrap(),
        )
    });
    told.collect()
}

fn plain(script: &str) -> Deriver {
    deriver(script, RowErrorAction::Park, GroupFormat::Json)
}

#[test]
fn a_row_is_told_as_the_policy_makes_it() {
    let mut deriver = plain(POLICY);
    let insert = message(
        1,
        "insert",
        json!({ "key": {"id": 1}, "after": row("paid") }),
    );
    let told = told(&mut deriver, "insert", &insert);
    let [(subject, body)] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(subject, "007.public.orders.insert");
    assert_eq!(
        body["after"],
        json!({ "id": 1, "status": "paid", "card": "***", "total": "19.90" })
    );
    assert_eq!(
        (&body["id"], &body["key"]),
        (&json!("0/16B3748.1"), &json!({ "id": 1 }))
    );
    assert_ne!(body["schema_id"], "orders-1");
}

#[test]
fn updates_and_deletes_are_judged_by_the_row_that_there_is() {
    let mut deriver = plain(POLICY);
    // It was told before, and is not any more: what it is now decides.
    let leaves = message(
        1,
        "update",
        json!({
            "key": {"id": 1}, "before": row("paid"), "before_image": "full", "after": row("open"),
        }),
    );
    assert_eq!(told(&mut deriver, "update", &leaves), []);
    // What it was before is not told, for it was not.
    let comes = message(
        2,
        "update",
        json!({
            "key": {"id": 1}, "before": row("open"), "before_image": "full", "after": row("paid"),
        }),
    );
    let comes = told(&mut deriver, "update", &comes);
    assert_eq!(comes[0].1["before_image"], "none");
    assert_eq!(comes[0].1.get("before"), None);
    // Of a key alone the policy can say nothing.
    let deleted = message(
        3,
        "delete",
        json!({
            "key": {"id": 1}, "before": {"id": 1}, "before_image": "key",
        }),
    );
    let deleted = told(&mut deriver, "delete", &deleted);
    assert_eq!(deleted[0].1["before"], json!({ "id": 1 }));
    let gone = message(
        4,
        "delete",
        json!({
            "key": {"id": 1}, "before": row("open"), "before_image": "full",
        }),
    );
    assert_eq!(told(&mut deriver, "delete", &gone), []);
    assert_eq!(deriver.left_out, 2);
}

#[test]
fn what_was_not_sent_stays_so() {
    let mut deriver = plain("e_set(`card`, str_mask(`card`, 0, 1, '*'))");
    let update = message(
        1,
        "update",
        json!({
            "key": {"id": 1}, "before_image": "none",
            "after": {"id": 1, "status": "paid", "total": "19.90"}, "unchanged": ["card", "note"],
        }),
    );
    let told = told(&mut deriver, "update", &update);
    assert_eq!(told[0].1["unchanged"], json!(["card", "note"]));
    assert_eq!(
        told[0].1["after"],
        json!({ "id": 1, "status": "paid", "total": "19.90" })
    );
}

#[test]
fn a_commit_counts_what_is_told_of_its_own_transaction() {
    let mut deriver = plain(POLICY);
    for (ordinal, status) in [(1, "open"), (2, "paid"), (3, "open")] {
        let insert = message(
            ordinal,
            "insert",
            json!({ "key": {"id": 1}, "after": row(status) }),
        );
        deriver.take(&unit("insert", &insert)).unwrap();
    }
    let commit = message(4, "commit", json!({ "changes": 3 }));
    assert_eq!(told(&mut deriver, "commit", &commit)[0].1["changes"], 1);
    let mut next = message(1, "commit", json!({ "changes": 5 }));
    next["lsn"] = json!("0/16B4000");
    next["id"] = json!("0/16B4000.1");
    assert_eq!(told(&mut deriver, "commit", &next)[0].1["changes"], 5);
}

#[test]
fn a_pack_keeps_what_is_told_and_ends_with_the_last_of_it() {
    let pack = |statuses: &[&str]| {
        let rows = statuses.iter().zip(1..);
        let rows = rows.map(|(status, ordinal)| {
            message(
                ordinal,
                "insert",
                json!({ "key": {"id": 1}, "after": row(status) }),
            )
        });
        let rows: Vec<Value> = rows.collect();
        message(rows.len() as u64, "pack", json!({ "pack": rows }))
    };
    let mut deriver = plain(POLICY);
    let some = told(
        &mut deriver,
        "pack",
        &pack(&["paid", "open", "paid", "open"]),
    );
    assert_eq!(some[0].0, "007.public.orders.pack");
    assert_eq!(some[0].1["id"], "0/16B3748.3");
    assert_eq!(some[0].1["pack"].as_array().unwrap().len(), 2);
    let one = told(&mut deriver, "pack", &pack(&["open", "paid", "open"]));
    assert_eq!(one[0].0, "007.public.orders.insert");
    assert_eq!(one[0].1["id"], "0/16B3748.2");
    assert_eq!(told(&mut deriver, "pack", &pack(&["open", "open"])), []);
    assert_eq!(deriver.left_out, 6);
}

#[test]
fn a_shape_is_told_as_the_rows_that_follow_are() {
    let mut deriver = plain(POLICY);
    let shape = message(0, "schema", json!({ "definition": schema() }));
    let shape = told(&mut deriver, "schema", &shape).remove(0).1;
    let names: Vec<&str> = shape["definition"]["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["id", "status", "card", "total"]);
    let truncate = message(1, "truncate", json!({ "cascade": false }));
    let truncate = told(&mut deriver, "truncate", &truncate).remove(0).1;
    assert_eq!(truncate["schema_id"], shape["definition"]["id"]);
    assert_eq!(truncate["schema_id"], shape["schema_id"]);
}

#[test]
fn where_the_policy_was_changed_the_shape_of_a_row_is_told_before_it() {
    let insert = message(
        3,
        "insert",
        json!({ "key": {"id": 1}, "after": row("paid") }),
    );
    let first = unit("insert", &insert);
    let at: Position = "0/16B3748.2".parse().unwrap();
    let mut changed = plain(POLICY);
    assert!(!changed.introduces());
    changed.policy = 1;
    assert!(changed.introduces());
    let shape = changed.introduced("orders-1", at, &first.message).unwrap();
    assert_eq!(
        shape.subject,
        "rowcast.derived.g111111111111.tx.public.orders.schema"
    );
    assert_eq!(
        (shape.message.op, shape.message.id),
        (Operation::Schema, at)
    );
    let told = changed.take(&first).unwrap().outs.remove(0);
    assert_eq!(shape.message.schema_id, told.message.schema_id);
    let told = shape.message.definition.unwrap();
    let names = told.columns.iter().map(|column| column.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["id", "status", "card", "total"]);
    // Also where there is no policy any more: what was told last is the shape that the one before has made.
    let mut other = insert.clone();
    other["schema_id"] = json!("items-1");
    let other = unit("insert", &other);
    let mut none = plain("");
    assert!(none.wants(&other.message).is_empty());
    none.policy = 2;
    assert_eq!(none.wants(&other.message), ["items-1"]);
    let mut debezium = deriver(POLICY, RowErrorAction::Park, GroupFormat::Debezium);
    debezium.policy = 1;
    assert!(
        debezium
            .introduced("orders-1", at, &first.message)
            .is_none()
    );
}

#[test]
fn a_row_that_the_policy_fails_on_is_missing_left_out_or_stops() {
    let script = "e_keep(1 / (`id` - 1) > 0)";
    let insert = message(
        1,
        "insert",
        json!({ "key": {"id": 1}, "after": row("paid") }),
    );
    let mut parks = plain(script);
    let made = parks.take(&unit("insert", &insert)).unwrap();
    assert_eq!(made.to_park.len(), 1);
    assert_eq!(made.outs[0].message.op, Operation::Gap);
    assert_eq!(
        made.outs[0].subject,
        "rowcast.derived.g111111111111.tx.public.orders.gap"
    );
    assert_eq!(parks.left_out, 0);
    let mut drops = deriver(script, RowErrorAction::Drop, GroupFormat::Json);
    assert_eq!(told(&mut drops, "insert", &insert), []);
    assert_eq!(drops.left_out, 1);
    let mut stops = deriver(script, RowErrorAction::Stop, GroupFormat::Json);
    let stop = stops.take(&unit("insert", &insert)).unwrap_err();
    assert!(stop.0.contains("divided by zero"), "{stop}");
}

#[test]
fn a_table_that_the_policy_does_not_fit_stops_the_group() {
    let mut deriver = plain("e_keep(op_eq(`colour`, 'red'))");
    let insert = message(
        1,
        "insert",
        json!({ "key": {"id": 1}, "after": row("paid") }),
    );
    let stop = deriver.take(&unit("insert", &insert)).unwrap_err();
    assert!(stop.0.contains("colour"), "{stop}");
}

#[test]
fn what_no_version_knew_is_not_told() {
    let mut deriver = plain("");
    let future = message(1, "merge", json!({ "after": row("paid") }));
    assert!(deriver.take(&unit("merge", &future)).is_err());
}

#[test]
fn debezium_is_told_rows_markers_and_what_is_missing() {
    let mut deriver = deriver("", RowErrorAction::Park, GroupFormat::Debezium);
    let mut after = row("paid");
    after["id"] = json!("9223372036854775807");
    let update = message(
        1,
        "update",
        json!({
            "key": {"id": 1}, "before_image": "none", "after": after, "unchanged": ["note"],
        }),
    );
    let told_update = told(&mut deriver, "update", &update).remove(0).1;
    assert_eq!(told_update["op"], "u");
    assert_eq!(told_update["before"], Value::Null);
    assert_eq!(
        told_update["after"]["id"],
        json!(9_223_372_036_854_775_807_i64)
    );
    assert_eq!(told_update["after"]["note"], "__debezium_unavailable_value");
    assert_eq!(told_update["ts_ms"], 1_795_411_990_123_i64);
    let source = &told_update["source"];
    assert_eq!(
        (&source["db"], &source["txId"], &source["lsn"]),
        (&json!("shop"), &json!(742), &json!(23_803_720))
    );
    let begin = told(&mut deriver, "begin", &message(0, "begin", json!({})))
        .remove(0)
        .1;
    assert_eq!(
        (&begin["status"], &begin["id"]),
        (&json!("BEGIN"), &json!("742:23803720"))
    );
    let ddl = json!({ "ddl": {"command": "ALTER TABLE", "object_type": "table", "object": "public.orders", "text": "x", "user": "u"} });
    assert_eq!(told(&mut deriver, "ddl", &message(2, "ddl", ddl)), []);
    let shape = message(2, "schema", json!({ "definition": schema() }));
    assert_eq!(told(&mut deriver, "schema", &shape), []);
    let end = told(
        &mut deriver,
        "commit",
        &message(3, "commit", json!({ "changes": 2 })),
    );
    assert_eq!(
        (&end[0].1["status"], &end[0].1["event_count"]),
        (&json!("END"), &json!(1))
    );
}

#[test]
fn a_cloud_event_has_its_attributes_in_headers() {
    let mut deriver = deriver("", RowErrorAction::Park, GroupFormat::Cloudevents);
    let insert = message(
        1,
        "insert",
        json!({ "key": {"id": 1}, "after": row("paid") }),
    );
    let made = deriver.take(&unit("insert", &insert)).unwrap();
    let mut renderer = Renderer::new("t000000000000".parse().unwrap(), deriver.format, 1 << 20);
    let rendered = renderer
        .render(&made.outs[0], &deriver.tables)
        .unwrap()
        .remove(0);
    assert_eq!(
        rendered.headers,
        "\r\nRowcast-Id:0/16B3748.1\r\nce-specversion:1.0\r\nce-id:0/16B3748.1\
         \r\nce-source:/rowcast/tasks/t000000000000\r\nce-type:rowcast.change.insert\
         \r\nce-time:2026-11-23T05:33:10.123456Z\r\nce-subject:public.orders\
         \r\nce-datacontenttype:application/json"
    );
    assert_eq!(
        serde_json::from_slice::<Value>(&rendered.payload).unwrap(),
        insert
    );
}

#[test]
fn a_large_change_is_cut_into_pieces_that_make_the_whole() {
    let mut deriver = plain("e_set(`card`, '***')");
    let mut large = row("paid");
    large["note"] = json!("\u{e9}".repeat(20_000));
    let insert = message(1, "insert", json!({ "key": {"id": 1}, "after": large }));
    let made = deriver.take(&unit("insert", &insert)).unwrap();
    let mut renderer = Renderer::new(
        "t000000000000".parse().unwrap(),
        GroupFormat::Json,
        16 << 10,
    );
    let pieces = renderer.render(&made.outs[0], &deriver.tables).unwrap();
    assert!(pieces.len() > 3);
    let mut whole = Vec::new();
    for piece in pieces {
        // Beside the headers of the format those are added that say what it was made of.
        assert!(piece.headers.len() + piece.payload.len() <= 15 << 10);
        let part = message::read(&piece.payload).unwrap().part.unwrap();
        assert_eq!(part.offset, whole.len() as u64);
        whole.extend(data_encoding::BASE64.decode(part.data.as_bytes()).unwrap());
    }
    let whole = message::read(&whole).unwrap();
    let note = whole.after.unwrap();
    assert_eq!(note.get("card").unwrap().get(), "\"***\"");
    assert_eq!(note.get("note").unwrap().get().chars().count(), 20_002);
}
