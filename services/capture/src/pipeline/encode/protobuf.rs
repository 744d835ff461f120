//! What of protobuf is written by hand (protobuf docs, "Encoding"): members whose length is known only once
//! they are written, and values.

use std::ops::Range;

use bytes::{BufMut as _, BytesMut};
use prost::encoding::{
    WireType, bool, double, encode_key, encode_varint, encoded_len_varint, sint64,
};
use rowcast_proto::change::protobuf as pb;
use rowcast_proto::subject::Op;

use super::nested::ArrayPart;
use super::{timestamp, value};
use crate::pipeline::change::Kind;

/// Numbers of the fields of a change (`proto/schema/change.proto`).
pub(super) mod field {
    pub(in super::super) const OP: u32 = 1;
    pub(in super::super) const DATABASE: u32 = 2;
    pub(in super::super) const SCHEMA: u32 = 3;
    pub(in super::super) const TABLE: u32 = 4;
    pub(in super::super) const LSN: u32 = 5;
    pub(in super::super) const ORDINAL: u32 = 6;
    pub(in super::super) const XID: u32 = 7;
    pub(in super::super) const COMMITTED_AT: u32 = 8;
    pub(in super::super) const SCHEMA_ID: u32 = 9;
    pub(in super::super) const KEY: u32 = 10;
    pub(in super::super) const BEFORE: u32 = 11;
    pub(in super::super) const BEFORE_IMAGE: u32 = 12;
    pub(in super::super) const AFTER: u32 = 13;
    pub(in super::super) const UNCHANGED: u32 = 14;
    pub(in super::super) const CASCADE: u32 = 15;
    pub(in super::super) const RESTART_IDENTITY: u32 = 16;
    pub(in super::super) const CHANGES: u32 = 17;
    pub(in super::super) const DEFINITION: u32 = 18;
    pub(in super::super) const DDL: u32 = 19;
    pub(in super::super) const MESSAGE: u32 = 20;
    pub(in super::super) const GAP: u32 = 21;
    pub(in super::super) const PART: u32 = 22;
    pub(in super::super) const PACK: u32 = 23;
}

/// Fields of a row, a column and a list.
const COLUMNS: u32 = 1;
const VALUES: u32 = 1;
const NAME: u32 = 1;
const VALUE: u32 = 2;

/// Fields of a value.
const BOOL: u32 = 1;
const INT: u32 = 2;
const DOUBLE: u32 = 3;
const TEXT: u32 = 4;
const BYTES: u32 = 5;
const JSON: u32 = 6;
const LIST: u32 = 7;
const ROW: u32 = 8;

/// Appends a member that `write` writes.
pub(super) fn delimited(out: &mut BytesMut, tag: u32, write: impl FnOnce(&mut BytesMut)) {
    let start = open(out, tag);
    write(out);
    close(out, start);
}

/// Begins a member; gives what [`close`] must be told.
pub(super) fn open(out: &mut BytesMut, tag: u32) -> usize {
    encode_key(tag, WireType::LengthDelimited, out);
    // Room for the length of most.
    out.put_u8(0);
    out.len()
}

/// Ends the member whose content begins at `start`.
pub(super) fn close(out: &mut BytesMut, start: usize) {
    let end = out.len();
    let length = (end - start) as u64;
    let width = encoded_len_varint(length);
    if width > 1 {
        out.put_bytes(0, width - 1);
        out.copy_within(start..end, start + width - 1);
    }
    if let Some(mut room) = out.get_mut(start - 1..start - 1 + width) {
        encode_varint(length, &mut room);
    }
}

/// Appends what a message says; gives where that stands.
pub(super) fn operation(out: &mut BytesMut, op: Op) -> Range<usize> {
    encode_key(field::OP, WireType::Varint, out);
    let start = out.len();
    encode_varint(pb::Operation::from(op) as u64, out);
    start..out.len()
}

/// What stands before the value of a column in every row.
pub(super) fn column_name(name: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    text(&mut out, NAME, name);
    out.to_vec()
}

/// Appends a column; without a text it is SQL's NULL.
pub(super) fn column(out: &mut BytesMut, name: &[u8], kind: &Kind, text: Option<&str>) {
    let start = open(out, COLUMNS);
    out.extend_from_slice(name);
    delimited(out, VALUE, |out| {
        if let Some(text) = text {
            write_value(out, kind, text);
        }
    });
    close(out, start);
}

/// Appends the value of a text. Total, as [`value::write`]: a text that is not of its type's form is told
/// as text.
fn write_value(out: &mut BytesMut, kind: &Kind, text: &str) {
    let told = match kind {
        Kind::Text => None,
        Kind::Json => return self::text(out, JSON, text),
        Kind::Bool => matches!(text, "t" | "f").then(|| bool::encode(BOOL, &(text == "t"), out)),
        Kind::Int | Kind::BigInt => {
            let number = text
                .parse()
                .ok()
                .filter(|number: &i64| is_written_so(*number, text));
            number.map(|number| sint64::encode(INT, &number, out))
        }
        Kind::Float => float(text).map(|number| double::encode(DOUBLE, &number, out)),
        Kind::Bytea => value::hexadecimal(text).map(|digits| {
            encode_key(BYTES, WireType::LengthDelimited, out);
            encode_varint(digits.len() as u64 / 2, out);
            out.extend(digits.chunks(2).map(value::byte));
        }),
        Kind::Timestamp => timestamp::timestamp(text).map(|parts| time(out, parts, "")),
        Kind::TimestampTz => timestamp::timestamptz(text).map(|parts| time(out, parts, "Z")),
        Kind::Array(element) => list(out, element, text),
        Kind::Composite(fields) => value::composite(fields, text).map(|values| {
            delimited(out, ROW, |out| {
                for ((name, kind), value) in fields.iter().zip(values) {
                    column(out, &column_name(name), kind, value.as_deref());
                }
            });
        }),
    };
    if told.is_none() {
        self::text(out, TEXT, text);
    }
}

/// Whether the number is the whole of the text: nothing is to be lost, not even a sign.
fn is_written_so(number: i64, text: &str) -> bool {
    itoa::Buffer::new().format(number) == text
}

/// A number as PostgreSQL writes it.
fn float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ if value::is_finite_number(text) => text.parse().ok(),
        _ => None,
    }
}

/// Appends a text, or bytes that are one.
pub(super) fn text(out: &mut BytesMut, tag: u32, text: &str) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn time(out: &mut BytesMut, (date, time): (&str, &str), zone: &str) {
    delimited(out, TEXT, |out| {
        out.extend_from_slice(date.as_bytes());
        out.put_u8(b'T');
        out.extend_from_slice(time.as_bytes());
        out.extend_from_slice(zone.as_bytes());
    });
}

/// Appends an array: a list of a list for each dimension; `None` where it can only be text.
fn list(out: &mut BytesMut, element: &Kind, text: &str) -> Option<()> {
    let array = value::array(element, text)?;
    let mut open_lists = Vec::new();
    for part in array.parts {
        match part {
            ArrayPart::Open => {
                let value = (!open_lists.is_empty()).then(|| open(out, VALUES));
                open_lists.push((value, open(out, LIST)));
            }
            ArrayPart::Close => {
                let (value, list) = open_lists.pop()?;
                close(out, list);
                if let Some(value) = value {
                    close(out, value);
                }
            }
            ArrayPart::Null => delimited(out, VALUES, |_nothing| {}),
            ArrayPart::Element(text) => {
                delimited(out, VALUES, |out| write_value(out, element, &text));
            }
        }
    }
    Some(())
}
