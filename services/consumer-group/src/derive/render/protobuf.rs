//! Changes in protobuf, as capture writes them where a task has that format (`proto/schema/change.proto`).

use std::collections::BTreeMap;

use prost::Message as _;
use rowcast_proto::change::protobuf::{self as pb, value::Kind as Told};
use rowcast_proto::change::{Column, DocumentForm};
use serde_json::value::RawValue;

use super::{RenderError, moment};
use crate::derive::kind::{self, Kind, Scalar};
use crate::derive::message::{Message, RawRow};
use crate::derive::tables::Tables;
use crate::derive::text;

/// Levels of a value of which only its JSON is known. Readers of protobuf refuse what is nested a hundred times, and a level
/// is up to four.
const DEEPEST: usize = 16;

/// Largest integer that a double and all smaller ones hold exactly: beyond, a reader would show text.
const EXACT_LIMIT: u64 = 1 << 53;

/// Digits that a double brings back.
const EXACT_DIGITS: usize = 17;

/// Which documents of a row do not simply stand there.
type Forms = BTreeMap<String, DocumentForm>;

/// The body.
pub(super) fn body(message: &Message, tables: &Tables) -> Result<Vec<u8>, RenderError> {
    Ok(change(message, tables)?.encode_to_vec())
}

/// The body of a piece: `message` says where the whole stands.
pub(super) fn piece(message: &Message, part: pb::Part) -> Result<Vec<u8>, RenderError> {
    let piece = pb::Change {
        part: Some(part),
        ..head(message)?
    };
    Ok(piece.encode_to_vec())
}

/// What every message has.
fn head(message: &Message) -> Result<pb::Change, RenderError> {
    Ok(pb::Change {
        op: pb::Operation::from(message.op).into(),
        database: message.database.clone(),
        schema: message.schema.clone(),
        table: message.table.clone(),
        lsn: message.id.commit_lsn.as_u64(),
        ordinal: message.id.ordinal,
        xid: message.xid,
        committed_at: moment(message)?.timestamp_micros(),
        schema_id: message.schema_id.clone(),
        ..pb::Change::default()
    })
}

fn change(message: &Message, tables: &Tables) -> Result<pb::Change, RenderError> {
    let table = message.schema_id.as_deref().and_then(|id| tables.told(id));
    let columns = table.map_or(&[][..], |table| &table.columns);
    let forms = message.documents.clone().unwrap_or_default();
    let row = |part: &Option<RawRow>, forms: &Forms| {
        let row = part.as_ref()?;
        Some(self::row(row, forms, columns))
    };
    let image = message.before_image.map(pb::BeforeImage::from);
    let pack = message.pack.iter().map(|row| change(row, tables));
    Ok(pb::Change {
        key: row(&message.key, &forms.key),
        before: row(&message.before, &forms.before),
        before_image: image.unwrap_or_default().into(),
        after: row(&message.after, &forms.after),
        unchanged: message.unchanged.clone(),
        cascade: message.cascade,
        restart_identity: message.restart_identity,
        changes: message.changes,
        definition: message.definition.as_ref().map(Into::into),
        ddl: message.ddl.as_ref().map(Into::into),
        message: message.message.as_ref().map(Into::into),
        gap: message.gap.as_ref().map(Into::into),
        pack: pack.collect::<Result<_, _>>()?,
        ..head(message)?
    })
}

fn row(row: &RawRow, forms: &Forms, columns: &[Column]) -> pb::Row {
    let columns = row.0.iter().enumerate().map(|(number, (name, raw))| {
        let kind = Kind::of_column(columns, number, name);
        pb::Column {
            name: name.clone(),
            value: Some(value(kind, raw, forms.get(name).copied())),
        }
    });
    pb::Row {
        columns: columns.collect(),
    }
}

fn value(kind: Kind, raw: &RawValue, form: Option<DocumentForm>) -> pb::Value {
    let json = raw.get();
    let told = match (form, kind) {
        (Some(DocumentForm::Text), _) => Some(Told::JsonValue(text::string(json).into_owned())),
        (Some(DocumentForm::Null), _) => Some(Told::JsonValue(json.to_owned())),
        (Some(DocumentForm::Unknown) | None, _) if json == "null" => None,
        (Some(DocumentForm::Unknown) | None, Kind::One(scalar)) => Some(one(scalar, json)),
        (Some(DocumentForm::Unknown) | None, Kind::Array(scalar)) => {
            Some(array(scalar, json, DEEPEST).unwrap_or_else(|| by_json(json)))
        }
    };
    pb::Value { kind: told }
}

/// Total: what is not of its type's form is told by its JSON.
fn one(scalar: Scalar, json: &str) -> Told {
    let told = match scalar {
        Scalar::Bool => json.parse().ok().map(Told::BoolValue),
        Scalar::Int | Scalar::Long => kind::integer(json).map(Told::IntValue),
        Scalar::Float | Scalar::Double => kind::float(json).map(Told::DoubleValue),
        Scalar::Bytes => kind::bytes(json).map(|bytes| Told::BytesValue(bytes.into())),
        Scalar::Document => Some(Told::JsonValue(json.to_owned())),
        Scalar::Other => None,
    };
    told.unwrap_or_else(|| by_json(json))
}

/// An array, of several dimensions a list of lists; `None` for what is none.
fn array(scalar: Scalar, json: &str, levels: usize) -> Option<Told> {
    let below = levels.checked_sub(1)?;
    let element = |json: &str| {
        // Documents nest by themselves: an array of them has one dimension.
        let is_array = json.starts_with('[') && scalar != Scalar::Document;
        if is_array {
            array(scalar, json, below)
        } else {
            Some(one(scalar, json))
        }
    };
    list(json, element)
}

/// A value of a type of which nothing is known: a composite, a domain, or text.
fn by_json(json: &str) -> Told {
    // A document that a domain is over, and that says more than these can.
    within(json, DEEPEST).unwrap_or_else(|| Told::JsonValue(json.to_owned()))
}

/// `None` for what a reader would not get back as it is.
fn within(json: &str, levels: usize) -> Option<Told> {
    let below = levels.checked_sub(1)?;
    match json.as_bytes().first()? {
        b't' | b'f' => json.parse().ok().map(Told::BoolValue),
        b'"' => Some(Told::TextValue(text::string(json).into_owned())),
        b'[' => list(json, |json| within(json, below)),
        b'{' => {
            let RawRow(fields) = serde_json::from_str(json).ok()?;
            let fields = fields.into_iter().map(|(name, raw)| {
                let value = Some(nullable(raw.get(), |json| within(json, below))?);
                Some(pb::Column { name, value })
            });
            let columns = fields.collect::<Option<_>>()?;
            Some(Told::RowValue(pb::Row { columns }))
        }
        _ => number(json),
    }
}

fn list(json: &str, element: impl Fn(&str) -> Option<Told>) -> Option<Told> {
    let values: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    let values = values
        .into_iter()
        .map(|value| nullable(value.get(), &element));
    let values = values.collect::<Option<_>>()?;
    Some(Told::ListValue(pb::List { values }))
}

fn nullable(json: &str, told: impl Fn(&str) -> Option<Told>) -> Option<pb::Value> {
    let kind = match json {
        "null" => None,
        _ => Some(told(json)?),
    };
    Some(pb::Value { kind })
}

fn number(json: &str) -> Option<Told> {
    if let Some(number) = kind::integer(json) {
        return (number.unsigned_abs() <= EXACT_LIMIT).then_some(Told::IntValue(number));
    }
    let number: f64 = json.parse().ok()?;
    let mantissa = json.split(['e', 'E']).next().unwrap_or(json);
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    (number.is_finite() && digits <= EXACT_DIGITS).then_some(Told::DoubleValue(number))
}

#[cfg(test)]
mod tests;
