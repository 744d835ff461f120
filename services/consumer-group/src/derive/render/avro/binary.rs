//! The binary encoding of Avro, and its container file (Avro 1.12 specification, "Binary Encoding" and "Object Container
//! Files"). A file is written here byte by byte, for the same change must always give the same bytes: its marker comes from
//! the schema, where libraries draw a random one.

use prost::encoding::encode_varint;
use ring::digest;

const MAGIC: &[u8; 4] = b"Obj\x01";

/// Bytes of the marker that ends each block.
const MARKER_BYTES: usize = 16;

/// What stands before the records of a file.
#[derive(Debug)]
pub(super) struct Header {
    bytes: Vec<u8>,
    marker: Vec<u8>,
}

impl Header {
    /// Of a file whose records have this schema.
    pub(super) fn new(schema: &str) -> Self {
        let sha256 = digest::digest(&digest::SHA256, schema.as_bytes());
        let marker: Vec<u8> = sha256.as_ref().iter().copied().take(MARKER_BYTES).collect();
        let mut bytes = MAGIC.to_vec();
        // One block of the map's two entries.
        long(&mut bytes, 2);
        text(&mut bytes, "avro.schema");
        text(&mut bytes, schema);
        text(&mut bytes, "avro.codec");
        text(&mut bytes, "null");
        end(&mut bytes);
        bytes.extend_from_slice(&marker);
        Self { bytes, marker }
    }

    /// The file, with so many records in one block.
    pub(super) fn file(&self, records: usize, data: &[u8]) -> Vec<u8> {
        // The two numbers are a few bytes each.
        let size = self.bytes.len() + data.len() + 2 * MARKER_BYTES;
        let mut file = Vec::with_capacity(size);
        file.extend_from_slice(&self.bytes);
        length(&mut file, records);
        bytes(&mut file, data);
        file.extend_from_slice(&self.marker);
        file
    }
}

/// Appends an int or a long.
pub(super) fn long(out: &mut Vec<u8>, number: i64) {
    encode_varint(((number << 1) ^ (number >> 63)).cast_unsigned(), out);
}

/// Appends how many there are of what follows.
pub(super) fn length(out: &mut Vec<u8>, length: usize) {
    long(out, i64::try_from(length).unwrap_or(i64::MAX));
}

/// Ends an array or a map.
pub(super) fn end(out: &mut Vec<u8>) {
    long(out, 0);
}

/// Appends bytes.
pub(super) fn bytes(out: &mut Vec<u8>, data: &[u8]) {
    length(out, data.len());
    out.extend_from_slice(data);
}

/// Appends a string.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    bytes(out, text.as_bytes());
}

/// Appends a boolean.
pub(super) fn boolean(out: &mut Vec<u8>, is_so: bool) {
    out.push(u8::from(is_so));
}

/// Begins a value of a union: the number of its branch.
pub(super) fn branch(out: &mut Vec<u8>, number: i64) {
    long(out, number);
}

/// Appends a value that may be absent, of a union of null and another type.
pub(super) fn optional<T>(
    out: &mut Vec<u8>,
    value: Option<T>,
    write: impl FnOnce(&mut Vec<u8>, T),
) {
    match value {
        None => branch(out, 0),
        Some(value) => {
            branch(out, 1);
            write(out, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_written_as_the_specification_has_them() {
        for (number, expected) in [
            (0, vec![0]),
            (-1, vec![1]),
            (1, vec![2]),
            (-64, vec![0x7f]),
            (64, vec![0x80, 1]),
            (i64::MIN, [vec![0xff; 9], vec![1]].concat()),
        ] {
            let mut out = Vec::new();
            long(&mut out, number);
            assert_eq!(out, expected, "{number}");
        }
        let mut out = Vec::new();
        text(&mut out, "foo");
        optional(&mut out, None::<&str>, text);
        optional(&mut out, Some("a"), text);
        assert_eq!(out, [6, b'f', b'o', b'o', 0, 2, 2, b'a']);
    }
}
