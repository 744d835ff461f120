//! JSON strings, escaped in one scan.

use bytes::{BufMut as _, BytesMut};

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
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
        escape(out, byte);
        copied = at + 1;
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
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

    #[test]
    fn control_characters_are_escaped() {
        let mut out = BytesMut::new();
        string(&mut out, "\u{1}\"\\\n\u{7f}é😀");
        assert_eq!(out, "\"\\u0001\\\"\\\\\\n\u{7f}é😀\"".as_bytes());
    }
}
