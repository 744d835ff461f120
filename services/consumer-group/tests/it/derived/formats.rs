//! Groups that are told protobuf and Avro, of the kinds of values that PostgreSQL has.

use std::process::Stdio;

use anyhow::Context as _;
use data_encoding::BASE64;
use prost::Message as _;
use rowcast_bus::async_nats::jetstream::message::StreamMessage;
use rowcast_bus::async_nats::{HeaderMap, HeaderValue};
use rowcast_bus::provision;
use rowcast_domain::TaskId;
use rowcast_proto::change::protobuf::value::Kind;
use rowcast_proto::change::{Change, is_json, protobuf};
use rowcast_proto::message as m;
use rowcast_proto::stream::SCHEMAS;
use rowcast_proto::subject::Op;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::many::in_pieces;
use super::{Written, message, written};
use crate::fixture::{Member, Service, read};

/// Where `./dev test` puts fastavro.
const LIBRARIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/python");

/// Reads Avro with it.
const READ: &str = include_str!("read_avro.py");

/// Bytes of a row that is larger than a message.
const LARGE: usize = 3 << 20;

/// The shape of the rows below.
fn definition() -> Value {
    let columns = [
        ("id", 23, "int4"),
        ("large", 20, "int8"),
        ("ratio", 701, "float8"),
        ("paid", 16, "bool"),
        ("total", 1700, "numeric"),
        ("note", 25, "text"),
        ("raw", 17, "bytea"),
        ("at", 1184, "timestamptz"),
        ("doc", 3802, "jsonb"),
        ("null_doc", 3802, "jsonb"),
        ("numbers", 1016, "_int8"),
        ("words", 1009, "_text"),
        ("grid", 1007, "_int4"),
        ("place", 17_001, "place"),
        ("the mood", 17_002, "mood"),
    ];
    let columns = columns.map(|(name, oid, type_name)| {
        json!({ "name": name, "type_oid": oid, "type": type_name, "modifier": -1, "key": name == "id" })
    });
    json!({
        "id": "orders-9", "schema": "public", "table": "orders", "replica_identity": "default",
        "columns": columns,
    })
}

fn row(id: u32) -> Value {
    json!({
        "id": id, "large": "9223372036854775807", "ratio": 0.25, "paid": true, "total": "19.90",
        "note": "caf\u{e9} \"x\"", "raw": "AAH/", "at": "2026-11-23T05:33:10.5Z", "doc": { "a": [1, null] },
        "null_doc": null, "numbers": [1, null, "9007199254740993"], "words": ["a,b", null, ""],
        "grid": [[1, 2], [3, 4]], "place": { "street": "Main St", "number": 7 }, "the mood": null,
    })
}

fn insert(ordinal: u64, id: u32) -> Value {
    let mut body = message(1, ordinal, "insert");
    body["schema_id"] = json!("orders-9");
    body["key"] = json!({ "id": id });
    body["after"] = row(id);
    body["documents"] = json!({ "after": { "null_doc": "null" } });
    body
}

/// A task with one message of each kind: a shape, rows alone and together, a value that was not sent, a command, markers.
fn everything(task: &TaskId) -> Vec<Written> {
    let mut shape = message(0, 0, "schema");
    (shape["id"], shape["lsn"]) = (json!("0/0.0"), json!("0/0"));
    shape["schema_id"] = json!("orders-9");
    shape["definition"] = definition();
    let mut update = message(1, 2, "update");
    update["schema_id"] = json!("orders-9");
    update["key"] = json!({ "id": 1 });
    update["before_image"] = json!("none");
    update["after"] = json!({ "id": 1, "paid": false, "total": null });
    update["unchanged"] = json!(["note", "raw"]);
    let mut pack = message(1, 4, "pack");
    pack["pack"] = json!([insert(3, 3), insert(4, 4)]);
    let mut ddl = message(1, 5, "ddl");
    ddl["ddl"] = json!({
        "command": "ALTER TABLE", "object_type": "table", "object": "public.orders", "text": "ALTER TABLE orders",
        "user": "ada",
    });
    let mut commit = message(1, 6, "commit");
    commit["changes"] = json!(5);
    vec![
        written(task, None, Op::Schema, shape),
        written(task, None, Op::Begin, message(1, 0, "begin")),
        written(task, Some(0), Op::Insert, insert(1, 1)),
        written(task, Some(0), Op::Update, update),
        written(task, Some(0), Op::Pack, pack),
        written(task, None, Op::Ddl, ddl),
        written(task, None, Op::Commit, commit),
    ]
}

impl Service {
    /// A task that has told this, and a group of it that is told in this format.
    async fn told(
        &self,
        format: m::GroupFormat,
        all: impl FnOnce(&TaskId) -> Vec<Written>,
    ) -> anyhow::Result<(Member, Vec<Written>)> {
        let task = TaskId::random();
        self.make_stream(&task).await?;
        let schemas = provision::bucket(&self.bus, &SCHEMAS).await?;
        let shape = serde_json::to_vec(&definition())?;
        schemas
            .put(format!("{task}.orders-9"), shape.into())
            .await?;
        let all = all(&task);
        self.write(&all).await?;
        let member = self
            .derived(&task, m::GroupMode::Ordered, "", format)
            .await?;
        Ok((member, all))
    }

    /// What the group's own stream holds, as it is stored.
    async fn stored(&self, member: &Member) -> anyhow::Result<Vec<StreamMessage>> {
        self.is_made(member).await;
        let jetstream = self.capture.jetstream();
        let own = jetstream.get_stream(&member.connection.stream).await?;
        let mut all = Vec::new();
        for sequence in 1..=own.cached_info().state.last_sequence {
            all.push(own.get_raw_message(sequence).await?);
        }
        Ok(all)
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(HeaderValue::as_str)
}

#[tokio::test]
async fn protobuf_says_what_the_task_says() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (member, all) = service.told(m::GroupFormat::Protobuf, everything).await?;
    let stored = service.stored(&member).await?;
    assert_eq!(stored.len(), all.len());
    for (stored, written) in stored.iter().zip(&all) {
        let media = header(&stored.headers, "content-type");
        assert_eq!(media, Some("application/protobuf"));
        assert!(!is_json(&stored.payload));
        let read = serde_json::to_value(Change::read(&stored.payload)?)?;
        assert_eq!(read, written.body);
    }
    let insert = protobuf::Change::decode(stored[2].payload.clone())?;
    let after = insert.after.context("no row")?.columns;
    let of = |name: &str| {
        let column = after.iter().find(|column| column.name == name);
        column.and_then(|column| column.value.clone()?.kind)
    };
    assert_eq!(of("large"), Some(Kind::IntValue(i64::MAX)));
    assert_eq!(of("ratio"), Some(Kind::DoubleValue(0.25)));
    assert_eq!(of("raw"), Some(Kind::BytesValue(vec![0, 1, 255].into())));
    assert_eq!(of("null_doc"), Some(Kind::JsonValue("null".to_owned())));
    assert!(matches!(of("place"), Some(Kind::RowValue(_))));

    let client = member.connect().await?;
    let messages = read(&member.consumer(&client).await?, 3).await?;
    messages[2]
        .double_ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let status = service.seen(&member.group).await.status.unwrap();
    let position = status.position.unwrap();
    assert_eq!((position.lsn.as_str(), position.ordinal), ("0/100", 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_row_of_protobuf_comes_in_pieces() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let mut body = insert(1, 1);
    body["after"]["note"] = json!("x\n".repeat(LARGE / 2));
    let large = |task: &TaskId| {
        let row = written(task, Some(0), Op::Insert, body.clone());
        in_pieces(task, &row)
    };
    let (member, _pieces) = service.told(m::GroupFormat::Protobuf, large).await?;
    let stored = service.stored(&member).await?;
    assert!(stored.len() > 1, "{}", stored.len());
    let mut whole = Vec::new();
    for piece in &stored {
        let change = protobuf::Change::decode(piece.payload.clone())?;
        let part = change.part.context("no piece")?;
        assert_eq!(part.offset, whole.len() as u64);
        whole.extend_from_slice(&part.data);
    }
    assert_eq!(serde_json::to_value(Change::read(&whole)?)?, body);
    Ok(())
}

/// The records of each of these files, as fastavro reads them.
async fn by_fastavro(files: &[StreamMessage]) -> anyhow::Result<Vec<Value>> {
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .env("PYTHONPATH", LIBRARIES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let lines = files
        .iter()
        .map(|file| format!("{}\n", BASE64.encode(&file.payload)));
    let lines: String = lines.collect();
    let mut stdin = python.stdin.take().context("no standard input")?;
    stdin.write_all(lines.as_bytes()).await?;
    drop(stdin);
    let done = python.wait_with_output().await?;
    anyhow::ensure!(
        done.status.success(),
        "fastavro does not read it; where it is missing, run './dev test', which installs it"
    );
    let lines = String::from_utf8(done.stdout)?;
    let records = lines.lines().map(serde_json::from_str::<Value>);
    Ok(records.collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn avro_is_read_by_another_library_in_another_language() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (member, _all) = service.told(m::GroupFormat::Avro, everything).await?;
    let stored = service.stored(&member).await?;
    for file in &stored {
        let media = header(&file.headers, "content-type");
        assert_eq!(media, Some("application/avro"));
    }
    let files = by_fastavro(&stored).await?;
    let ops = files.iter().map(|records| {
        let records = records.as_array().unwrap().iter();
        records.map(|one| one["op"].as_str().unwrap()).collect()
    });
    let ops: Vec<Vec<&str>> = ops.collect();
    // No shapes: each file has its own.
    assert_eq!(
        ops,
        [
            vec!["begin"],
            vec!["insert"],
            vec!["update"],
            vec!["insert", "insert"],
            vec!["ddl"],
            vec!["commit"],
        ]
    );
    let first = &files[1][0];
    assert_eq!(
        (&first["id"], &first["xid"]),
        (&json!("0/100.1"), &json!(701))
    );
    assert_eq!(first["committed_at"], "2026-11-23T05:33:10.123456+00:00");
    assert_eq!(first["key"], json!({ "id": 1 }));
    let expected = json!({
        "id": 1, "large": i64::MAX, "ratio": 0.25, "paid": true, "total": "19.90", "note": "caf\u{e9} \"x\"",
        "raw": "AAH/", "at": "2026-11-23T05:33:10.5Z", "doc": "{\"a\":[1,null]}", "null_doc": "null",
        "numbers": [1, null, 9_007_199_254_740_993_i64], "words": ["a,b", null, ""],
        "grid": "[[1,2],[3,4]]", "the_mood": null,
    });
    let mut after = first["after"].clone();
    let place = after.as_object_mut().unwrap().remove("place").unwrap();
    assert_eq!(after, expected);
    let place: Value = serde_json::from_str(place.as_str().unwrap())?;
    assert_eq!(place, row(1)["place"]);
    let update = &files[2][0];
    assert_eq!(update["unchanged"], json!(["note", "raw"]));
    assert_eq!(
        (&update["before"], &update["before_image"]),
        (&Value::Null, &json!("none"))
    );
    let after = &update["after"];
    assert_eq!(
        (&after["paid"], &after["total"], &after["note"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    assert_eq!(files[3][1]["after"]["id"], 4);
    assert_eq!(files[4][0]["ddl"]["text"], "ALTER TABLE orders");
    assert_eq!(files[5][0]["changes"], 5);
    Ok(())
}

#[tokio::test]
async fn what_a_group_of_avro_has_read_is_known_by_headers() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (member, _all) = service.told(m::GroupFormat::Avro, everything).await?;
    service.is_made(&member).await;
    let client = member.connect().await?;
    let messages = read(&member.consumer(&client).await?, 4).await?;
    messages[3]
        .double_ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let status = service.seen(&member.group).await.status.unwrap();
    let position = status.position.unwrap();
    // A file of several rows stands where the last of them does.
    assert_eq!((position.lsn.as_str(), position.ordinal), ("0/100", 4));
    Ok(())
}
