//! Changes as Debezium's connector for PostgreSQL writes them, without its schemas: `schemas.enable=false`,
//! `decimal.handling.mode=string`, `time.precision.mode=isostring` and `binary.handling.mode=base64`
//! (Debezium documentation, "Debezium connector for PostgreSQL").
//!
//! | message | becomes |
//! |---|---|
//! | insert, update, delete, truncate | `op` c, u, d, t |
//! | message | `op` m |
//! | gap | `op` m with the prefix `rowcast.gap`, and what is missing as its content |
//! | begin, commit | `status` BEGIN, END |
//! | heartbeat | `ts_ms` alone |
//! | schema, ddl | nothing: this form has no place for them |

use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use rowcast_domain::TaskId;
use rowcast_proto::change::{DocumentForm, Documents, LogicalMessage, Operation};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::derive::message::{Message, RawRow};
use crate::derive::tables::Tables;

/// What stands for a value that was not sent (`unavailable.value.placeholder`).
const UNAVAILABLE: &str = "__debezium_unavailable_value";

const INT8: u32 = 20;
const DOCUMENTS: [u32; 2] = [114, 3802];

/// A changed row.
#[derive(Serialize)]
struct Envelope<'a> {
    before: Option<RawRow>,
    after: Option<RawRow>,
    source: Source<'a>,
    transaction: Option<()>,
    op: &'static str,
    ts_ms: i64,
    ts_us: i64,
    ts_ns: i64,
}

/// Where a change comes from.
#[derive(Serialize)]
struct Source<'a> {
    version: &'static str,
    connector: &'static str,
    name: &'a str,
    ts_ms: i64,
    snapshot: &'static str,
    db: &'a str,
    sequence: String,
    ts_us: i64,
    ts_ns: i64,
    schema: &'a str,
    table: &'a str,
    #[serde(rename = "txId")]
    transaction_id: Option<u32>,
    lsn: u64,
    xmin: Option<u64>,
}

/// The body; `None` for what has no form.
pub(super) fn body(
    task: &TaskId,
    message: &Message,
    tables: &Tables,
) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let at = Moment::of(message);
    let op = match message.op {
        Operation::Insert => "c",
        Operation::Update => "u",
        Operation::Delete => "d",
        Operation::Truncate => "t",
        Operation::Begin | Operation::Commit => return marker(message, &at).map(Some),
        Operation::Heartbeat => return serde_json::to_vec(&json!({ "ts_ms": at.ms })).map(Some),
        Operation::Message | Operation::Gap => return told(task, message, &at).map(Some),
        // Packs are told row by row.
        Operation::Schema
        | Operation::Ddl
        | Operation::Part
        | Operation::Pack
        | Operation::Unknown => return Ok(None),
    };
    let forms = message.documents.clone().unwrap_or_default();
    let Documents { before, after, .. } = &forms;
    let types = Types::of(message, tables);
    let envelope = Envelope {
        before: row(message.before.as_ref(), &[], before, &types)?,
        after: row(message.after.as_ref(), &message.unchanged, after, &types)?,
        source: source(task, message, &at),
        transaction: None,
        op,
        ts_ms: at.ms,
        ts_us: at.us,
        ts_ns: at.ns,
    };
    serde_json::to_vec(&envelope).map(Some)
}

/// The time of a commit. The time at which it is written would be another one each time.
struct Moment {
    ms: i64,
    us: i64,
    ns: i64,
}

impl Moment {
    fn of(message: &Message) -> Self {
        let at: DateTime<Utc> = message.committed_at.parse().unwrap_or_default();
        Self {
            ms: at.timestamp_millis(),
            us: at.timestamp_micros(),
            ns: at.timestamp_nanos_opt().unwrap_or_default(),
        }
    }
}

fn source<'a>(task: &'a TaskId, message: &'a Message, at: &Moment) -> Source<'a> {
    let lsn = message.lsn.as_u64();
    Source {
        version: env!("CARGO_PKG_VERSION"),
        connector: "postgresql",
        name: task.as_str(),
        ts_ms: at.ms,
        snapshot: "false",
        db: &message.database,
        sequence: format!("[\"{lsn}\",\"{lsn}\"]"),
        ts_us: at.us,
        ts_ns: at.ns,
        schema: message.schema.as_deref().unwrap_or_default(),
        table: message.table.as_deref().unwrap_or_default(),
        transaction_id: message.xid,
        lsn,
        xmin: None,
    }
}

/// Begin and end of a transaction (`provide.transaction.metadata`).
fn marker(message: &Message, at: &Moment) -> Result<Vec<u8>, serde_json::Error> {
    let is_begin = message.op == Operation::Begin;
    let xid = message.xid.unwrap_or_default();
    serde_json::to_vec(&json!({
        "status": if is_begin { "BEGIN" } else { "END" },
        "id": format!("{xid}:{}", message.lsn.as_u64()),
        "ts_ms": at.ms,
        "event_count": message.changes,
        "data_collections": null,
    }))
}

/// What an application wrote, and what is missing.
fn told(task: &TaskId, message: &Message, at: &Moment) -> Result<Vec<u8>, serde_json::Error> {
    let (prefix, content) = match (&message.message, &message.gap) {
        (Some(message), _) => (message.prefix.as_str(), content(message)),
        (None, gap) => ("rowcast.gap", BASE64.encode(&serde_json::to_vec(gap)?)),
    };
    serde_json::to_vec(&json!({
        "source": source(task, message, at),
        "transaction": null,
        "op": "m",
        "ts_ms": at.ms,
        "ts_us": at.us,
        "ts_ns": at.ns,
        "message": { "prefix": prefix, "content": content },
    }))
}

fn content(message: &LogicalMessage) -> String {
    match (&message.text, &message.base64) {
        (Some(text), _) => BASE64.encode(text.as_bytes()),
        (None, base64) => base64.clone().unwrap_or_default(),
    }
}

/// What is known of a table's columns.
struct Types(Vec<(String, u32)>);

impl Types {
    fn of(message: &Message, tables: &Tables) -> Self {
        let told = message.schema_id.as_deref().and_then(|id| tables.told(id));
        let columns = told.into_iter().flat_map(|told| told.columns.clone());
        Self(
            columns
                .map(|column| (column.name, column.type_oid))
                .collect(),
        )
    }

    fn of_column(&self, name: &str) -> u32 {
        let mut columns = self.0.iter();
        let found = columns.find(|(column, _oid)| column == name);
        found.map_or(0, |(_column, oid)| *oid)
    }
}

fn row(
    row: Option<&RawRow>,
    unchanged: &[String],
    forms: &std::collections::BTreeMap<String, DocumentForm>,
    types: &Types,
) -> Result<Option<RawRow>, serde_json::Error> {
    let Some(row) = row else {
        return Ok(None);
    };
    let mut columns = Vec::with_capacity(row.0.len() + unchanged.len());
    for (name, raw) in &row.0 {
        let value = value(types.of_column(name), raw, forms.get(name).copied())?;
        columns.push((name.clone(), value));
    }
    for name in unchanged {
        columns.push((name.clone(), to_raw_value(UNAVAILABLE)?));
    }
    Ok(Some(RawRow(columns)))
}

/// A value in Debezium's form, where that is another one: large integers are numbers, documents text.
fn value(
    type_oid: u32,
    raw: &RawValue,
    form: Option<DocumentForm>,
) -> Result<Box<RawValue>, serde_json::Error> {
    let json = raw.get();
    if type_oid == INT8
        && let Ok(Value::String(digits)) = serde_json::from_str(json)
        && digits.parse::<i64>().is_ok()
    {
        return RawValue::from_string(digits);
    }
    if DOCUMENTS.contains(&type_oid) {
        return match form {
            Some(DocumentForm::Text) => Ok(raw.to_owned()),
            Some(DocumentForm::Null) => to_raw_value("null"),
            None | Some(DocumentForm::Unknown) if json == "null" => Ok(raw.to_owned()),
            None | Some(DocumentForm::Unknown) => to_raw_value(json),
        };
    }
    Ok(raw.to_owned())
}
