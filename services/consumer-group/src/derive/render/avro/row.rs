//! The columns of a row in Avro.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rowcast_proto::change::{BeforeImage, DocumentForm};
use serde_json::value::RawValue;

use super::Misfit;
use super::binary::{self, boolean, branch, end, length, long, optional};
use super::schema::{Field, Width};
use crate::derive::kind::{self, Kind, Scalar};
use crate::derive::message::{Message, RawRow};
use crate::derive::text;

/// Branches of a column's union.
const NULL: i64 = 0;
const VALUE: i64 = 1;
const TEXT: i64 = 2;

/// Which documents of a row do not simply stand there.
type Forms = BTreeMap<String, DocumentForm>;

/// Which columns a record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    All,
    Key,
}

/// Appends key, before image and after image.
pub(super) fn images(
    out: &mut Vec<u8>,
    message: &Message,
    fields: &[Field],
    width: Width,
) -> Result<(), Misfit> {
    let forms = message.documents.clone().unwrap_or_default();
    image(out, message.key.as_ref(), &forms.key, |out, part, forms| {
        row(out, part, forms, (fields, Columns::Key), width)
    })?;
    let mut whole = |out: &mut Vec<u8>, part: &RawRow, forms: &Forms| {
        row(out, part, forms, (fields, Columns::All), width)
    };
    image(out, message.before.as_ref(), &forms.before, &mut whole)?;
    optional(out, message.before_image.map(name), binary::text);
    image(out, message.after.as_ref(), &forms.after, &mut whole)
}

/// Appends a row that may be absent.
fn image(
    out: &mut Vec<u8>,
    part: Option<&RawRow>,
    forms: &Forms,
    mut write: impl FnMut(&mut Vec<u8>, &RawRow, &Forms) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    match part {
        None => branch(out, NULL),
        Some(part) => {
            branch(out, VALUE);
            write(out, part, forms)?;
        }
    }
    Ok(())
}

/// Appends a row: every field of the record, null where the row has no such column.
fn row(
    out: &mut Vec<u8>,
    row: &RawRow,
    forms: &Forms,
    (fields, columns): (&[Field], Columns),
    width: Width,
) -> Result<(), Misfit> {
    let is_told = |field: &&Field| columns == Columns::All || field.is_key;
    let mut found = 0;
    for field in fields.iter().filter(is_told) {
        // Both have the table's order.
        let is_it = |(name, _raw): &&(String, Box<RawValue>)| *name == field.column;
        let likely = row.0.get(found).filter(is_it);
        let there = likely.or_else(|| row.0.iter().find(is_it));
        let Some((name, raw)) = there else {
            branch(out, NULL);
            continue;
        };
        found += 1;
        value(out, field.kind, raw, forms.get(name).copied(), width)?;
    }
    if found == row.0.len() {
        return Ok(());
    }
    // Nothing that is there is to be left out.
    let is_known = |name: &str| {
        fields
            .iter()
            .filter(is_told)
            .any(|field| field.column == name)
    };
    let names = row.0.iter().map(|(name, _raw)| name.as_str());
    let unknown: Vec<&str> = names.filter(|name| !is_known(name)).collect();
    Err(Misfit::Column(unknown.join(", ")))
}

fn value(
    out: &mut Vec<u8>,
    kind: Kind,
    raw: &RawValue,
    form: Option<DocumentForm>,
    width: Width,
) -> Result<(), Misfit> {
    let json = raw.get();
    let is_null = json == "null" && form != Some(DocumentForm::Null);
    if is_null {
        branch(out, NULL);
        return Ok(());
    }
    let start = out.len();
    branch(out, VALUE);
    let (is_written, may_be_text) = match kind {
        Kind::One(Scalar::Document | Scalar::Other) => {
            binary::text(out, &told_text(kind, json, form));
            (true, true)
        }
        Kind::One(scalar) => (one(out, scalar, json), width == Width::Wide),
        Kind::Array(scalar) => (array(out, scalar, json), true),
    };
    if is_written {
        return Ok(());
    }
    out.truncate(start);
    if !may_be_text {
        return Err(Misfit::Value);
    }
    branch(out, TEXT);
    binary::text(out, &kind::plain(json));
    Ok(())
}

/// The text of a value that is a string in Avro: a document's is that of the document.
fn told_text(kind: Kind, json: &str, form: Option<DocumentForm>) -> Cow<'_, str> {
    match (form, kind) {
        (Some(DocumentForm::Text), _) => text::string(json),
        (_, Kind::One(Scalar::Document)) | (Some(DocumentForm::Null), _) => json.into(),
        (Some(DocumentForm::Unknown) | None, Kind::One(_) | Kind::Array(_)) => kind::plain(json),
    }
}

/// Appends a value of an array, or of a column; whether it is of the type. Where it is not, what was appended is void.
fn one(out: &mut Vec<u8>, scalar: Scalar, json: &str) -> bool {
    match scalar {
        Scalar::Bool => {
            let read: Option<bool> = json.parse().ok();
            read.map(|is_so| boolean(out, is_so)).is_some()
        }
        Scalar::Int => {
            let read = kind::integer(json).and_then(|number| i32::try_from(number).ok());
            read.map(|number| long(out, number.into())).is_some()
        }
        Scalar::Long => {
            let read = kind::integer(json);
            read.map(|number| long(out, number)).is_some()
        }
        Scalar::Float => {
            let read: Option<f32> = kind::float(json);
            // A number greater than any of these is none of them.
            let read = read.filter(|number| number.is_finite() || json.starts_with('"'));
            read.map(|number| out.extend_from_slice(&number.to_le_bytes()))
                .is_some()
        }
        Scalar::Double => {
            let read: Option<f64> = kind::float(json);
            let read = read.filter(|number| number.is_finite() || json.starts_with('"'));
            read.map(|number| out.extend_from_slice(&number.to_le_bytes()))
                .is_some()
        }
        Scalar::Bytes => {
            let read = kind::bytes(json);
            read.map(|read| binary::bytes(out, &read)).is_some()
        }
        Scalar::Document => {
            binary::text(out, json);
            true
        }
        Scalar::Other => {
            binary::text(out, &kind::plain(json));
            true
        }
    }
}

/// Appends an array of one dimension; whether it is one. Where it is not, what was appended is void.
fn array(out: &mut Vec<u8>, scalar: Scalar, json: &str) -> bool {
    let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(json) else {
        return false;
    };
    if !values.is_empty() {
        length(out, values.len());
    }
    let mut values = values.into_iter().map(RawValue::get);
    let are_written = values.all(|json| {
        if json == "null" {
            branch(out, NULL);
            return true;
        }
        // Documents nest by themselves: an array of them has one dimension.
        let is_array = json.starts_with('[') && scalar != Scalar::Document;
        if is_array {
            return false;
        }
        branch(out, VALUE);
        one(out, scalar, json)
    });
    end(out);
    are_written
}

const fn name(image: BeforeImage) -> &'static str {
    match image {
        BeforeImage::Full => "full",
        BeforeImage::Key => "key",
        BeforeImage::None => "none",
    }
}
