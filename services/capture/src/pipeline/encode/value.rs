//! A value's text to JSON. Total: a text that is not of its type's form becomes a JSON string, so
//! that nothing is lost and nothing invalid is written.

use std::borrow::Cow;

use bytes::{BufMut as _, BytesMut};
use rowcast_proto::change::DocumentForm;

use super::document;
use super::json;
use super::nested::{self, Array, ArrayPart};
use super::timestamp;
use crate::pipeline::change::Kind;

/// Doubles hold integers of up to this many digits exactly: 2^53 has 16.
const EXACT_DIGITS: usize = 15;

/// Largest integer that a double and all smaller ones hold exactly.
const EXACT_LIMIT: u64 = 1 << 53;

/// Appends the value.
pub(crate) fn write(out: &mut BytesMut, kind: &Kind, text: &str) {
    match kind {
        Kind::Text => json::string(out, text),
        Kind::Bool => match text {
            "t" => out.extend_from_slice(b"true"),
            "f" => out.extend_from_slice(b"false"),
            other => json::string(out, other),
        },
        Kind::Int | Kind::BigInt => write_if(out, is_exact_integer(text), text),
        Kind::Float => write_if(out, is_finite_number(text), text),
        Kind::Json => {
            document::write(out, text);
        }
        Kind::Bytea => write_bytea(out, text),
        Kind::Timestamp => write_time(out, text, timestamp::timestamp(text), ""),
        Kind::TimestampTz => write_time(out, text, timestamp::timestamptz(text), "Z"),
        Kind::Array(element) => write_array(out, element, text),
        Kind::Composite(fields) => write_composite(out, fields, text),
    }
}

/// Appends the text as it is, or as a string where it is no JSON.
fn write_if(out: &mut BytesMut, as_it_is: bool, text: &str) {
    if as_it_is {
        out.extend_from_slice(text.as_bytes());
    } else {
        json::string(out, text);
    }
}

fn is_exact_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    is_whole(digits)
        && (digits.len() <= EXACT_DIGITS
            || digits
                .parse::<u64>()
                .is_ok_and(|number| number <= EXACT_LIMIT))
}

/// Whether these are digits without a zero in front, which JSON does not take.
fn is_whole(digits: &str) -> bool {
    all_digits(digits) && (digits == "0" || !digits.starts_with('0'))
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the text is a number that a reader of JSON takes: greater than any double, some refuse it.
pub(super) fn is_finite_number(text: &str) -> bool {
    is_json_number(text)
        && (text.len() <= EXACT_DIGITS && !text.contains('e')
            || text.parse::<f64>().is_ok_and(f64::is_finite))
}

/// Whether the text is a number by JSON's grammar (RFC 8259, section 6).
fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    is_whole(whole)
        && fraction.is_none_or(all_digits)
        && exponent.is_none_or(|text| all_digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

fn write_time(out: &mut BytesMut, text: &str, parts: Option<(&str, &str)>, zone: &str) {
    let Some((date, time)) = parts else {
        return json::string(out, text);
    };
    out.put_u8(b'"');
    json::escaped(out, date);
    out.put_u8(b'T');
    json::escaped(out, time);
    out.extend_from_slice(zone.as_bytes());
    out.put_u8(b'"');
}

/// `\x` and hexadecimal digits (the session pins `bytea_output`) to base64 (RFC 4648, section 4).
fn write_bytea(out: &mut BytesMut, text: &str) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let Some(hex) = hexadecimal(text) else {
        return json::string(out, text);
    };
    out.reserve(hex.len() / 2 * 4 / 3 + 6);
    out.put_u8(b'"');
    for six in hex.chunks(6) {
        let count = six.len() / 2;
        let bits = six
            .chunks(2)
            .fold(0_u32, |bits, pair| bits << 8 | u32::from(byte(pair)));
        let bits = bits << (8 * (3 - count));
        for index in 0..4_usize {
            let sextet = (bits >> (18 - 6 * index)) & 63;
            out.put_u8(if index <= count {
                ALPHABET[sextet as usize]
            } else {
                b'='
            });
        }
    }
    out.put_u8(b'"');
}

/// The digits of a bytea: two a byte.
pub(super) fn hexadecimal(text: &str) -> Option<&[u8]> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    (digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit)).then_some(digits)
}

/// The byte of two hexadecimal digits.
pub(super) fn byte(pair: &[u8]) -> u8 {
    pair.iter().fold(0, |byte, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => digit - b'A' + 10,
        };
        byte << 4 | value
    })
}

/// An array, taken apart. A message must say where its own dimensions end and the elements begin, and
/// which `null` is no value; where it could not in JSON, it stays the server's text.
pub(super) fn array<'t>(element: &Kind, text: &'t str) -> Option<Array<'t>> {
    nested::array(text).filter(|array| {
        let nests = matches!(element, Kind::Array(_) | Kind::Json);
        (array.dimensions == 1 || !nests)
            && array.parts.iter().all(|part| match part {
                ArrayPart::Element(text) => stands_within(element, text),
                ArrayPart::Open | ArrayPart::Close | ArrayPart::Null => true,
            })
    })
}

fn write_array(out: &mut BytesMut, element: &Kind, text: &str) {
    let Some(array) = array(element, text) else {
        return json::string(out, text);
    };
    let mut first = true;
    for part in array.parts {
        if !first && part != ArrayPart::Close {
            out.put_u8(b',');
        }
        first = false;
        match part {
            ArrayPart::Open => {
                out.put_u8(b'[');
                first = true;
            }
            ArrayPart::Close => out.put_u8(b']'),
            ArrayPart::Null => out.extend_from_slice(b"null"),
            ArrayPart::Element(text) => write(out, element, &text),
        }
    }
}

/// A composite's values, one a field; `None` where it can only be told as text.
pub(super) fn composite<'t>(
    fields: &[(String, Kind)],
    text: &'t str,
) -> Option<Vec<Option<Cow<'t, str>>>> {
    nested::composite(text).filter(|values| {
        let mut values_of_fields = fields.iter().zip(values);
        values.len() == fields.len()
            && values_of_fields.all(|((_name, kind), value)| {
                value
                    .as_deref()
                    .is_none_or(|text| stands_within(kind, text))
            })
    })
}

fn write_composite(out: &mut BytesMut, fields: &[(String, Kind)], text: &str) {
    let Some(values) = composite(fields, text) else {
        return json::string(out, text);
    };
    out.put_u8(b'{');
    for (index, ((name, kind), value)) in fields.iter().zip(values).enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        json::string(out, name);
        out.put_u8(b':');
        match value {
            Some(text) => write(out, kind, &text),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.put_u8(b'}');
}

/// Whether the value can stand within another: a document only as it is, for nothing there could say
/// that it has another form.
fn stands_within(kind: &Kind, text: &str) -> bool {
    *kind != Kind::Json || DocumentForm::of(text).is_none()
}

#[cfg(test)]
mod tests;
