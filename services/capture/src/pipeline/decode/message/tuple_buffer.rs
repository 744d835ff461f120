//! A row that the server did not send, in the form in which it would have.

use bytes::BufMut as _;

use super::{Datum, Tuple};

/// Holds a row while it is encoded; its memory is used again for the next one.
#[derive(Debug, Default)]
pub(crate) struct TupleBuffer {
    columns: u16,
    bytes: Vec<u8>,
}

impl TupleBuffer {
    /// Begins another row.
    pub(crate) fn clear(&mut self) {
        self.columns = 0;
        self.bytes.clear();
    }

    /// Appends a column (PostgreSQL docs, "Logical Replication Message Formats", `TupleData`). Tells false where the
    /// form has no room for it.
    pub(crate) fn push(&mut self, datum: Datum<'_>) -> bool {
        let Some(columns) = self.columns.checked_add(1) else {
            return false;
        };
        match datum {
            Datum::Null => self.bytes.put_u8(b'n'),
            Datum::Unchanged => self.bytes.put_u8(b'u'),
            Datum::Text(text) => {
                let Ok(length) = i32::try_from(text.len()) else {
                    return false;
                };
                self.bytes.put_u8(b't');
                self.bytes.put_i32(length);
                self.bytes.extend_from_slice(text.as_bytes());
            }
        }
        self.columns = columns;
        true
    }

    /// The row.
    pub(crate) fn tuple(&self) -> Tuple<'_> {
        Tuple {
            columns: self.columns,
            bytes: &self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut buffer = TupleBuffer::default();
        for _round in 0..2 {
            buffer.clear();
            let row = [Datum::Text("grüße"), Datum::Null, Datum::Unchanged];
            assert!(row.into_iter().all(|datum| buffer.push(datum)));
            assert_eq!(buffer.tuple().datums().collect::<Vec<_>>(), row);
            assert_eq!(buffer.tuple().len(), 3);
        }
    }
}
