//! What is made of messages in protobuf and Avro.

use super::*;

/// A pack of rows of these shapes, one behind the other, as a task tells it.
fn pack_of(shapes: &[&str]) -> Value {
    let rows = shapes.iter().zip(1..).map(|(shape, ordinal)| {
        let mut row = message(
            ordinal,
            "insert",
            json!({ "key": {"id": 1}, "after": row("paid") }),
        );
        row["schema_id"] = json!(shape);
        row
    });
    let rows: Vec<Value> = rows.collect();
    message(rows.len() as u64, "pack", json!({ "pack": rows }))
}

#[test]
fn a_file_of_avro_has_rows_of_one_shape_in_their_order() {
    let mut deriver = deriver("", RowErrorAction::Park, GroupFormat::Avro);
    let other = TableSchema {
        id: "orders-2".to_owned(),
        ..schema()
    };
    deriver.tables.define(other, "shop");
    let pack = pack_of(&["orders-1", "orders-1", "orders-2", "orders-1", "orders-1"]);
    let made = deriver.take(&unit("pack", &pack)).unwrap();
    let outs = made.outs.iter().map(|out| {
        let ordinals = out.message.pack.iter().map(|row| row.ordinal);
        let op = out.subject.rsplit('.').next().unwrap();
        (op, out.message.id.ordinal, ordinals.collect())
    });
    let outs: Vec<(&str, u64, Vec<u64>)> = outs.collect();
    assert_eq!(
        outs,
        [
            ("pack", 2, vec![1, 2]),
            ("insert", 3, vec![]),
            ("pack", 5, vec![4, 5]),
        ]
    );
    let unit = unit("pack", &pack);
    let first = made.outs.into_iter().next().unwrap();
    let alone = deriver.one_by_one(&unit, first.message).unwrap();
    let subjects: Vec<&str> = alone.iter().map(|out| out.subject.as_str()).collect();
    let subject = "rowcast.derived.g111111111111.007.public.orders.insert";
    assert_eq!(subjects, [subject, subject]);
}

#[test]
fn avro_tells_commands_and_no_shapes() {
    let mut deriver = deriver("", RowErrorAction::Park, GroupFormat::Avro);
    let ddl = json!({ "ddl": {"command": "ALTER TABLE", "object_type": "table", "object": "public.orders", "text": "x", "user": "u"} });
    let ddl = message(2, "ddl", ddl);
    let made = deriver.take(&unit("ddl", &ddl)).unwrap();
    assert_eq!((made.outs.len(), deriver.left_out), (1, 0));
    let shape = message(2, "schema", json!({ "definition": schema() }));
    let made = deriver.take(&unit("schema", &shape)).unwrap();
    assert_eq!(made.outs.len(), 0);
}

#[test]
fn protobuf_leaves_as_it_came_and_is_cut_without_base64() {
    let hex = include_str!("../../../../../../proto/golden/protobuf/Change.insert.v1.hex");
    let digits: String = hex.split_whitespace().collect();
    let sample = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
    let mut deriver = deriver("", RowErrorAction::Park, GroupFormat::Protobuf);
    let came = Unit {
        message: message::read(&sample).unwrap(),
        payload: sample.clone().into(),
        ..unit("insert", &message(1, "insert", json!({})))
    };
    let made = deriver.take(&came).unwrap();
    let task = "t000000000000";
    let mut renderer = Renderer::new(task.parse().unwrap(), GroupFormat::Protobuf, 16 << 10);
    let rendered = renderer.render(&made.outs[0], &deriver.tables).unwrap();
    assert_eq!(rendered[0].payload, sample);
    assert_eq!(
        rendered[0].headers,
        "\r\nRowcast-Id:0/16B3748.1\r\ncontent-type:application/protobuf"
    );

    let mut large = row("paid");
    large["note"] = json!("\u{e9}".repeat(20_000));
    let insert = message(1, "insert", json!({ "key": {"id": 1}, "after": large }));
    let made = deriver.take(&unit("insert", &insert)).unwrap();
    let pieces = renderer.render(&made.outs[0], &deriver.tables).unwrap();
    // 40 kB in pieces of less than 15: base64 would need a fourth one.
    assert_eq!(pieces.len(), 3);
    let by_now: Vec<u64> = pieces.iter().map(|piece| piece.pieces).collect();
    assert_eq!(by_now, [1, 2, 0]);
    let mut whole = Vec::new();
    for piece in pieces {
        assert!(piece.headers.len() + piece.payload.len() <= 15 << 10);
        let part = message::read(&piece.payload).unwrap().part.unwrap();
        assert_eq!(
            (part.op, part.offset),
            (Operation::Insert, whole.len() as u64)
        );
        whole.extend(data_encoding::BASE64.decode(part.data.as_bytes()).unwrap());
    }
    let whole = serde_json::to_value(message::read(&whole).unwrap()).unwrap();
    assert_eq!(whole, insert);
}

#[test]
fn a_change_of_avro_that_the_broker_does_not_take_is_refused() {
    let mut deriver = deriver("", RowErrorAction::Park, GroupFormat::Avro);
    let mut large = row("paid");
    large["note"] = json!("n".repeat(20_000));
    let insert = message(1, "insert", json!({ "key": {"id": 1}, "after": large }));
    let made = deriver.take(&unit("insert", &insert)).unwrap();
    let task = "t000000000000";
    let mut renderer = Renderer::new(task.parse().unwrap(), GroupFormat::Avro, 16 << 10);
    let error = renderer.render(&made.outs[0], &deriver.tables).unwrap_err();
    assert!(error.is_too_large(), "{error}");
    let gap = deriver.gap(&made.outs[0].message, &error.to_string());
    let gap = renderer.render(&gap, &deriver.tables).unwrap();
    assert_eq!(gap.len(), 1);
}
