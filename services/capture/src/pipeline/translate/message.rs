//! Messages of pgoutput, protocol version 1 (PostgreSQL docs, "Logical Replication Message Formats"):
//! the reverse of `decode::message`.

use rowcast_domain::Lsn;

use super::line::{Column, Operation, Value};
use super::table::{OldRow, Shape};

/// A transaction starts to arrive.
pub(super) fn begin(out: &mut Vec<u8>, commit_lsn: Lsn, committed_at: i64, xid: u32) {
    out.push(b'B');
    out.extend_from_slice(&commit_lsn.as_u64().to_be_bytes());
    out.extend_from_slice(&committed_at.to_be_bytes());
    out.extend_from_slice(&xid.to_be_bytes());
}

/// A transaction has arrived.
pub(super) fn commit(out: &mut Vec<u8>, commit_lsn: Lsn, end_lsn: Lsn, committed_at: i64) {
    // The flags are not used by any version.
    out.extend_from_slice(&[b'C', 0]);
    out.extend_from_slice(&commit_lsn.as_u64().to_be_bytes());
    out.extend_from_slice(&end_lsn.as_u64().to_be_bytes());
    out.extend_from_slice(&committed_at.to_be_bytes());
}

/// The shape of a table.
pub(super) fn relation(out: &mut Vec<u8>, shape: &Shape) {
    out.push(b'R');
    out.extend_from_slice(&shape.facts.oid.to_be_bytes());
    text(out, &shape.schema);
    text(out, &shape.table);
    out.push(shape.facts.replica_identity);
    column_count(out, shape);
    for column in shape.facts.columns.iter().filter(|column| !column.hidden) {
        out.push(u8::from(column.identity || shape.is_full()));
        text(out, &column.text.name);
        out.extend_from_slice(&column.type_oid.to_be_bytes());
        out.extend_from_slice(&column.modifier.to_be_bytes());
    }
}

/// A change of a row. The shape must cover its columns.
pub(super) fn row(out: &mut Vec<u8>, shape: &Shape, operation: &Operation<'_>) {
    let start = |out: &mut Vec<u8>, kind| {
        out.push(kind);
        out.extend_from_slice(&shape.facts.oid.to_be_bytes());
    };
    match operation {
        Operation::Insert { new } => {
            start(out, b'I');
            tuple(out, b'N', shape, new);
        }
        Operation::Update { old, new } => {
            start(out, b'U');
            if let Some(old) = old {
                old_tuple(out, shape, old);
            }
            tuple(out, b'N', shape, new);
        }
        Operation::Delete { old } => {
            start(out, b'D');
            // pgoutput never sends a deletion without a key: PostgreSQL refuses it on a published
            // table. There is no publication here, so it happens, and all that is known is told.
            old_tuple(out, shape, old.as_deref().unwrap_or_default());
        }
    }
}

/// Tables were emptied.
pub(super) fn truncate(out: &mut Vec<u8>, oids: &[u32], cascade: bool, restart_identity: bool) {
    out.push(b'T');
    out.extend_from_slice(&u32::try_from(oids.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.push(u8::from(cascade) | u8::from(restart_identity) << 1);
    for oid in oids {
        out.extend_from_slice(&oid.to_be_bytes());
    }
}

fn old_tuple(out: &mut Vec<u8>, shape: &Shape, row: &[Column<'_>]) {
    let mark = match shape.old_row(row) {
        OldRow::Key => b'K',
        OldRow::Full => b'O',
    };
    tuple(out, mark, shape, row);
}

/// Columns that the row does not have are null: the server leaves out nulls of old rows, and
/// pgoutput writes what is beside a key so.
fn tuple(out: &mut Vec<u8>, mark: u8, shape: &Shape, row: &[Column<'_>]) {
    out.push(mark);
    column_count(out, shape);
    let mut row = row.iter().peekable();
    for column in &shape.facts.columns {
        let found = row.next_if(|next| column.is(next));
        if !column.hidden {
            datum(out, found.map_or(Value::Null, |found| found.value));
        }
    }
}

fn datum(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Unchanged => out.push(b'u'),
        Value::Plain(plain) => {
            out.push(b't');
            out.extend_from_slice(&size(plain.len()));
            out.extend_from_slice(plain.as_bytes());
        }
        Value::Quoted(inside) => {
            out.push(b't');
            let at = out.len();
            out.extend_from_slice(&[0; 4]);
            for (index, part) in inside.split("''").enumerate() {
                if index > 0 {
                    out.push(b'\'');
                }
                out.extend_from_slice(part.as_bytes());
            }
            let length = size(out.len() - at - 4);
            if let Some(place) = out.get_mut(at..at + 4) {
                place.copy_from_slice(&length);
            }
        }
    }
}

/// A value is a part of a frame, whose own length is 31 bits.
fn size(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// `Translator::define` takes no shape with more columns than this can say.
fn column_count(out: &mut Vec<u8>, shape: &Shape) {
    let columns = shape.facts.columns.iter().filter(|column| !column.hidden);
    out.extend_from_slice(
        &u16::try_from(columns.count())
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}
