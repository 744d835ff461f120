//! Messages of a task's stream with their values as they were written, so that what a policy leaves alone leaves as it
//! came.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use prost::Message as _;
use rowcast_proto::change::protobuf::{self, value::Kind};
use rowcast_proto::change::{Change, DocumentForm, Documents, Operation, is_json};
use rowcast_service::BoxError;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A message.
pub(super) type Message = Change<RawRow>;

/// Column name to the JSON of its value, in the table's order.
#[derive(Debug, Clone, Default)]
pub(super) struct RawRow(pub(super) Vec<(String, Box<RawValue>)>);

impl RawRow {
    /// A column's value.
    pub(super) fn get(&self, name: &str) -> Option<&RawValue> {
        let mut columns = self.0.iter();
        columns
            .find(|(column, _value)| column == name)
            .map(|(_column, value)| &**value)
    }
}

impl Serialize for RawRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for RawRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Columns)
    }
}

struct Columns;

impl<'de> Visitor<'de> for Columns {
    type Value = RawRow;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawRow, A::Error> {
        let mut columns = Vec::with_capacity(map.size_hint().unwrap_or(16));
        while let Some(column) = map.next_entry()? {
            columns.push(column);
        }
        Ok(RawRow(columns))
    }
}

/// A message of this operation that says of another one only where it stands.
pub(super) fn bare(of: &Message, op: Operation) -> Message {
    Message {
        id: of.id,
        op,
        database: of.database.clone(),
        schema: of.schema.clone(),
        table: of.table.clone(),
        lsn: of.lsn,
        ordinal: of.ordinal,
        xid: of.xid,
        committed_at: of.committed_at.clone(),
        schema_id: None,
        key: None,
        before: None,
        before_image: None,
        after: None,
        unchanged: Vec::new(),
        documents: None,
        cascade: None,
        restart_identity: None,
        changes: None,
        definition: None,
        ddl: None,
        message: None,
        gap: None,
        part: None,
        pack: Vec::new(),
    }
}

/// Reads a message of a task's stream, whichever format the task has.
pub(super) fn read(payload: &[u8]) -> Result<Message, BoxError> {
    if is_json(payload) {
        return Ok(serde_json::from_slice(payload)?);
    }
    of_protobuf(protobuf::Change::decode(payload)?)
}

fn of_protobuf(mut change: protobuf::Change) -> Result<Message, BoxError> {
    let mut documents = Documents::default();
    let row = |row: Option<protobuf::Row>, forms: &mut BTreeMap<String, DocumentForm>| {
        row.map(|row| raw_row(row, forms)).transpose()
    };
    let key = row(change.key.take(), &mut documents.key)?;
    let before = row(change.before.take(), &mut documents.before)?;
    let after = row(change.after.take(), &mut documents.after)?;
    let pack = std::mem::take(&mut change.pack).into_iter();
    let pack: Result<Vec<Message>, BoxError> = pack.map(of_protobuf).collect();
    let rest = Change::from(change);
    Ok(Message {
        key,
        before,
        after,
        pack: pack?,
        documents: (documents != Documents::default()).then_some(documents),
        id: rest.id,
        op: rest.op,
        database: rest.database,
        schema: rest.schema,
        table: rest.table,
        lsn: rest.lsn,
        ordinal: rest.ordinal,
        xid: rest.xid,
        committed_at: rest.committed_at,
        schema_id: rest.schema_id,
        before_image: rest.before_image,
        unchanged: rest.unchanged,
        cascade: rest.cascade,
        restart_identity: rest.restart_identity,
        changes: rest.changes,
        definition: rest.definition,
        ddl: rest.ddl,
        message: rest.message,
        gap: rest.gap,
        part: rest.part,
    })
}

fn raw_row(
    row: protobuf::Row,
    forms: &mut BTreeMap<String, DocumentForm>,
) -> Result<RawRow, BoxError> {
    let mut columns = Vec::with_capacity(row.columns.len());
    for protobuf::Column { name, value } in row.columns {
        let value = value.unwrap_or_default();
        let raw = match value {
            // As PostgreSQL wrote it.
            protobuf::Value {
                kind: Some(Kind::JsonValue(text)),
            } if DocumentForm::of(&text).is_none() => RawValue::from_string(text)?,
            value => {
                let (json, form) = protobuf::json_of(value);
                if let Some(form) = form {
                    forms.insert(name.clone(), form);
                }
                serde_json::value::to_raw_value(&json)?
            }
        };
        columns.push((name, raw));
    }
    Ok(RawRow(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_the_same() {
        let text = r#"{"id":"0/16B3748.3","op":"insert","database":"shop","schema":"public","table":"orders","lsn":"0/16B3748","ordinal":3,"xid":742,"committed_at":"2026-11-23T05:33:10.123456Z","schema_id":"orders-7f3a","key":{"id":42},"after":{"z":1e+300,"id":42,"doc":{"b": 1, "a": [ ]}}}"#;
        let message = read(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap(), text);
        let doc = message.after.as_ref().unwrap().get("doc").unwrap();
        assert_eq!(doc.get(), r#"{"b": 1, "a": [ ]}"#);
    }

    #[test]
    fn both_formats_of_tasks_are_read() {
        let hex = include_str!("../../../../proto/golden/protobuf/Change.insert.v1.hex");
        let digits: String = hex.split_whitespace().collect();
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
        let bytes = bytes.unwrap();
        let (raw, plain) = (read(&bytes).unwrap(), Change::read(&bytes).unwrap());
        let json = serde_json::to_value(&raw).unwrap();
        assert_eq!(json, serde_json::to_value(&plain).unwrap());
        assert!(read(b"{}").is_err() && read(b"\x01\x02").is_err());
    }
}
