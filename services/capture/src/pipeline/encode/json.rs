//! What of JSON is written by hand: strings, escaped in one scan, and what stands in every message.

use bytes::{BufMut as _, BytesMut};
use rowcast_domain::{Lsn, Position};

/// Appends `text` as a JSON string (RFC 8259, section 7).
pub(crate) fn string(out: &mut BytesMut, text: &str) {
    out.put_u8(b'"');
    escaped(out, text);
    out.put_u8(b'"');
}

/// Appends `text` escaped, without the quotes around it.
pub(crate) fn escaped(out: &mut BytesMut, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.first_chunk().is_some_and(|eight| are_plain(*eight)) {
            at += 8;
            continue;
        }
        if let Some(&byte) = rest.first()
            && !is_plain(byte)
        {
            out.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
            escape(out, byte);
            copied = at + 1;
        }
        at += 1;
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
}

/// Whether a byte of a string stands for itself.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Whether eight bytes do, without a look at each ("Bit Twiddling Hacks", "Determine if a word has a byte
/// less than n" and "has a zero byte"; both are exact as long as only that is asked).
const fn are_plain(bytes: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_ne_bytes(bytes);
    let (quote, backslash) = (word ^ (ONES * 0x22), word ^ (ONES * 0x5C));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & HIGH == 0
}

fn escape(out: &mut BytesMut, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        control => {
            out.extend_from_slice(b"\\u00");
            out.put_u8(HEX[usize::from(control >> 4)]);
            out.put_u8(HEX[usize::from(control & 15)]);
        }
    }
}

/// Appends `,"<name>":"<text>"`.
pub(super) fn member(out: &mut BytesMut, name: &str, text: &str) {
    out.put_u8(b',');
    string(out, name);
    out.put_u8(b':');
    string(out, text);
}

/// Appends a position, without quotes around it.
pub(super) fn position(out: &mut BytesMut, position: Position) {
    lsn(out, position.commit_lsn);
    out.put_u8(b'.');
    number(out, position.ordinal);
}

/// Appends an LSN, without quotes around it.
pub(super) fn lsn(out: &mut BytesMut, lsn: Lsn) {
    hexadecimal(out, lsn.as_u64() >> 32);
    out.put_u8(b'/');
    hexadecimal(out, lsn.as_u64() & 0xFFFF_FFFF);
}

/// Appends upper-case hexadecimal digits without leading zeros.
fn hexadecimal(out: &mut BytesMut, number: u64) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    for index in (0..digits).rev() {
        out.put_u8(HEX[(number >> (4 * index) & 15) as usize]);
    }
}

/// Appends a number.
pub(crate) fn number(out: &mut BytesMut, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_string_is_what_serde_json_reads_back(text: String) {
            let mut out = BytesMut::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn eight_bytes_are_plain_if_each_of_them_is(bytes: [u8; 8]) {
            prop_assert_eq!(are_plain(bytes), bytes.into_iter().all(is_plain));
        }

        #[test]
        fn one_byte_among_plain_ones_is_seen(byte: u8, at in 0_usize..8) {
            let mut bytes = *b"plain as";
            bytes[at] = byte;
            prop_assert_eq!(are_plain(bytes), is_plain(byte));
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        let mut out = BytesMut::new();
        string(&mut out, "\u{1}\"\\\n\u{7f}é😀");
        assert_eq!(out, "\"\\u0001\\\"\\\\\\n\u{7f}é😀\"".as_bytes());
    }
}
