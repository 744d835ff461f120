//! The protobuf form of a task's messages, generated from `schema/change.proto`, and how it reads as a
//! [`Change`].

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use data_encoding::{BASE64, HEXLOWER};
use prost::Message as _;
use rowcast_domain::{Lsn, Position};
use serde_json::{Number, Value as Json};

use self::value::Kind;
use super::{DocumentForm, Documents, Operation as Op, Row as JsonRow};
use crate::subject;

pub use generated::*;

mod generated {
    #![expect(
        clippy::doc_markdown,
        clippy::enum_variant_names,
        reason = "generated code"
    )]
    include!(concat!(env!("OUT_DIR"), "/rowcast.change.v1.rs"));
}

/// Doubles hold integers up to this one, and all smaller ones, exactly: beyond, JSON has them as text.
const EXACT_LIMIT: u64 = 1 << 53;

/// A payload that is no message of a task's stream.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It begins as JSON and is none, or not ours.
    #[error("no message of a task in JSON")]
    Json(#[from] serde_json::Error),
    /// It does not begin as JSON, and is no protobuf.
    #[error("no message of a task in protobuf")]
    Protobuf(#[from] prost::DecodeError),
}

/// Whether a message of a task's stream is JSON, and not protobuf. What is empty would be a protobuf that
/// says nothing, and is taken for JSON, which it is not either.
#[must_use]
pub fn is_json(payload: &[u8]) -> bool {
    payload.first().is_none_or(|&first| first == b'{')
}

/// Reads a message of either format.
pub(super) fn read(payload: &[u8]) -> Result<super::Change, ReadError> {
    if is_json(payload) {
        return Ok(serde_json::from_slice(payload)?);
    }
    Ok(Change::decode(payload)?.into())
}

impl From<Operation> for Op {
    fn from(op: Operation) -> Self {
        match op {
            Operation::Insert => Self::Insert,
            Operation::Update => Self::Update,
            Operation::Delete => Self::Delete,
            Operation::Truncate => Self::Truncate,
            Operation::Schema => Self::Schema,
            Operation::Begin => Self::Begin,
            Operation::Commit => Self::Commit,
            Operation::Heartbeat => Self::Heartbeat,
            Operation::Ddl => Self::Ddl,
            Operation::Message => Self::Message,
            Operation::Gap => Self::Gap,
            Operation::Part => Self::Part,
            Operation::Pack => Self::Pack,
            Operation::Unspecified => Self::Unknown,
        }
    }
}

impl From<Op> for Operation {
    fn from(op: Op) -> Self {
        match op {
            Op::Insert => Self::Insert,
            Op::Update => Self::Update,
            Op::Delete => Self::Delete,
            Op::Truncate => Self::Truncate,
            Op::Schema => Self::Schema,
            Op::Begin => Self::Begin,
            Op::Commit => Self::Commit,
            Op::Heartbeat => Self::Heartbeat,
            Op::Ddl => Self::Ddl,
            Op::Message => Self::Message,
            Op::Gap => Self::Gap,
            Op::Part => Self::Part,
            Op::Pack => Self::Pack,
            Op::Unknown => Self::Unspecified,
        }
    }
}

impl From<subject::Op> for Operation {
    fn from(op: subject::Op) -> Self {
        match op {
            subject::Op::Insert => Self::Insert,
            subject::Op::Update => Self::Update,
            subject::Op::Delete => Self::Delete,
            subject::Op::Truncate => Self::Truncate,
            subject::Op::Schema => Self::Schema,
            subject::Op::Begin => Self::Begin,
            subject::Op::Commit => Self::Commit,
            subject::Op::Heartbeat => Self::Heartbeat,
            subject::Op::Ddl => Self::Ddl,
            subject::Op::Message => Self::Message,
            subject::Op::Gap => Self::Gap,
            subject::Op::Pack => Self::Pack,
        }
    }
}

impl From<super::BeforeImage> for BeforeImage {
    fn from(image: super::BeforeImage) -> Self {
        match image {
            super::BeforeImage::Full => Self::Full,
            super::BeforeImage::Key => Self::Key,
            super::BeforeImage::None => Self::None,
        }
    }
}

impl Change {
    /// Its place in the source's history.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position::new(Lsn::new(self.lsn), self.ordinal)
    }
}

impl From<Change> for super::Change {
    fn from(change: Change) -> Self {
        let mut documents = Documents::default();
        let (id, op) = (change.position(), change.op().into());
        let before_image = match change.before_image() {
            BeforeImage::Unspecified => None,
            BeforeImage::Full => Some(super::BeforeImage::Full),
            BeforeImage::Key => Some(super::BeforeImage::Key),
            BeforeImage::None => Some(super::BeforeImage::None),
        };
        let committed_at = DateTime::from_timestamp_micros(change.committed_at).unwrap_or_default();
        let row = |row: Option<Row>, documents: &mut _| row.map(|row| read_row(row, documents));
        let key = row(change.key, &mut documents.key);
        let before = row(change.before, &mut documents.before);
        let after = row(change.after, &mut documents.after);
        Self {
            id,
            op,
            lsn: Lsn::new(change.lsn),
            ordinal: change.ordinal,
            committed_at: committed_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            database: change.database,
            schema: change.schema,
            table: change.table,
            xid: change.xid,
            schema_id: change.schema_id,
            key,
            before,
            before_image,
            after,
            unchanged: change.unchanged,
            documents: (documents != Documents::default()).then_some(documents),
            cascade: change.cascade,
            restart_identity: change.restart_identity,
            changes: change.changes,
            definition: change.definition.map(Into::into),
            ddl: change.ddl.map(Into::into),
            message: change.message.map(Into::into),
            gap: change.gap.map(Into::into),
            part: change.part.map(Into::into),
            pack: change.pack.into_iter().map(Into::into).collect(),
        }
    }
}

/// A row, and which documents do not simply stand in it.
fn read_row(row: Row, documents: &mut BTreeMap<String, DocumentForm>) -> JsonRow {
    let columns = row.columns.into_iter().map(|Column { name, value }| {
        let (value, form) = json_of(value.unwrap_or_default());
        if let Some(form) = form {
            documents.insert(name.clone(), form);
        }
        (name, value)
    });
    columns.collect()
}

/// A value as it stands in JSON, and, of a document that does not simply stand there, how.
#[must_use]
pub fn json_of(value: Value) -> (Json, Option<DocumentForm>) {
    let json = match value.kind {
        None => Json::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::IntValue(value)) if value.unsigned_abs() <= EXACT_LIMIT => value.into(),
        Some(Kind::IntValue(value)) => value.to_string().into(),
        Some(Kind::DoubleValue(value)) => match Number::from_f64(value) {
            Some(number) => number.into(),
            None if value.is_nan() => "NaN".into(),
            None if value > 0.0 => "Infinity".into(),
            None => "-Infinity".into(),
        },
        Some(Kind::TextValue(text)) => text.into(),
        Some(Kind::BytesValue(bytes)) => BASE64.encode(&bytes).into(),
        Some(Kind::JsonValue(text)) => return read_document(text),
        // Within another value every document stands as it is.
        Some(Kind::ListValue(list)) => {
            let values = list.values.into_iter();
            values.map(|value| json_of(value).0).collect()
        }
        Some(Kind::RowValue(row)) => {
            let fields = row.columns.into_iter();
            Json::Object(
                fields
                    .map(|Column { name, value }| (name, json_of(value.unwrap_or_default()).0))
                    .collect(),
            )
        }
    };
    (json, None)
}

fn read_document(text: String) -> (Json, Option<DocumentForm>) {
    let form = DocumentForm::of(&text);
    let json = match form {
        Some(DocumentForm::Null) => Json::Null,
        Some(DocumentForm::Text | DocumentForm::Unknown) => text.into(),
        None => serde_json::from_str(&text).unwrap_or_else(|_refused| text.into()),
    };
    (json, form)
}

impl From<Definition> for super::TableSchema {
    fn from(definition: Definition) -> Self {
        let columns = definition.columns.into_iter().map(|column| super::Column {
            name: column.name,
            type_oid: column.type_oid,
            type_name: column.r#type,
            modifier: column.modifier,
            key: column.key,
        });
        Self {
            id: definition.id,
            schema: definition.schema,
            table: definition.table,
            replica_identity: definition.replica_identity,
            columns: columns.collect(),
        }
    }
}

impl From<&super::TableSchema> for Definition {
    fn from(schema: &super::TableSchema) -> Self {
        let columns = schema.columns.iter().map(|column| ColumnDefinition {
            name: column.name.clone(),
            type_oid: column.type_oid,
            r#type: column.type_name.clone(),
            modifier: column.modifier,
            key: column.key,
        });
        Self {
            id: schema.id.clone(),
            schema: schema.schema.clone(),
            table: schema.table.clone(),
            replica_identity: schema.replica_identity.clone(),
            columns: columns.collect(),
        }
    }
}

impl From<Ddl> for super::Ddl {
    fn from(ddl: Ddl) -> Self {
        Self {
            command: ddl.command,
            object_type: ddl.object_type,
            object: ddl.object,
            text: ddl.text,
            user: ddl.user,
            dropped: ddl.dropped,
            rewritten: ddl.rewritten,
        }
    }
}

impl From<&super::Ddl> for Ddl {
    fn from(ddl: &super::Ddl) -> Self {
        Self {
            command: ddl.command.clone(),
            object_type: ddl.object_type.clone(),
            object: ddl.object.clone(),
            text: ddl.text.clone(),
            user: ddl.user.clone(),
            dropped: ddl.dropped,
            rewritten: ddl.rewritten,
        }
    }
}

impl From<LogicalMessage> for super::LogicalMessage {
    fn from(message: LogicalMessage) -> Self {
        let text = std::str::from_utf8(&message.content);
        Self {
            base64: text.is_err().then(|| BASE64.encode(&message.content)),
            text: text.ok().map(str::to_owned),
            prefix: message.prefix,
            transactional: message.transactional,
        }
    }
}

impl From<&super::LogicalMessage> for LogicalMessage {
    /// Of a content that is no base64 the text stands as it is: nothing is to be lost.
    fn from(message: &super::LogicalMessage) -> Self {
        let content = match (&message.text, &message.base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(base64)) => BASE64
                .decode(base64.as_bytes())
                .unwrap_or_else(|_malformed| base64.clone().into_bytes()),
            (None, None) => Vec::new(),
        };
        Self {
            prefix: message.prefix.clone(),
            transactional: message.transactional,
            content: content.into(),
        }
    }
}

impl From<Gap> for super::Gap {
    fn from(gap: Gap) -> Self {
        Self {
            code: gap.code,
            cause: gap.cause,
            from: Lsn::new(gap.from),
            to: Lsn::new(gap.to),
        }
    }
}

impl From<&super::Gap> for Gap {
    fn from(gap: &super::Gap) -> Self {
        Self {
            code: gap.code.clone(),
            cause: gap.cause.clone(),
            from: gap.from.as_u64(),
            to: gap.to.as_u64(),
        }
    }
}

impl From<Part> for super::Part {
    fn from(part: Part) -> Self {
        Self {
            op: part.op().into(),
            offset: part.offset,
            bytes: part.bytes,
            sha256: HEXLOWER.encode(&part.sha256),
            data: BASE64.encode(&part.data),
        }
    }
}
