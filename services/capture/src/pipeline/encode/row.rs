//! A row as JSON: its key, its images, and what is the same in every message of its table.

use std::hash::Hasher as _;

use bytes::{BufMut as _, BytesMut};
use rowcast_proto::subject;

use super::{json, value};
use crate::pipeline::change::{Images, Relation};
use crate::pipeline::decode::message::{Datum, OldTuple, Tuple};
use crate::pipeline::stable_hash::StableHasher;

/// What is the same in every message of a table.
#[derive(Debug)]
pub(super) struct Rendered {
    /// `<schema>.<table>`, escaped for subjects.
    pub(super) object: String,
    /// `,"schema":…,"table":…`
    pub(super) names: Vec<u8>,
    /// `,"schema_id":…`
    pub(super) schema_id: Vec<u8>,
    /// `"<column>":`, for each column.
    columns: Vec<Vec<u8>>,
    /// Partition of rows without a key.
    keyless_hash: u64,
    /// The shape is in the stream already.
    pub(super) announced: bool,
}

impl Rendered {
    pub(super) fn new(relation: &Relation) -> Self {
        let schema = &relation.schema;
        let mut names = BytesMut::new();
        member(&mut names, "schema", &schema.schema);
        member(&mut names, "table", &schema.table);
        let mut schema_id = BytesMut::new();
        member(&mut schema_id, "schema_id", &schema.id);
        let column = |name: &str| {
            let mut text = BytesMut::new();
            json::string(&mut text, name);
            text.put_u8(b':');
            text.to_vec()
        };
        let object = subject::object(&schema.schema, &schema.table);
        let mut hasher = StableHasher::default();
        hasher.write(object.as_bytes());
        Self {
            names: names.to_vec(),
            schema_id: schema_id.to_vec(),
            columns: schema.columns.iter().map(|c| column(&c.name)).collect(),
            keyless_hash: hasher.finish(),
            object,
            announced: false,
        }
    }
}

/// Appends `,"<name>":"<text>"`.
pub(super) fn member(out: &mut BytesMut, name: &str, text: &str) {
    out.put_u8(b',');
    json::string(out, name);
    out.put_u8(b':');
    json::string(out, text);
}

/// Appends the key, and gives the hash that decides the row's partition: of the new row, with what
/// was not sent again taken from the old one, or of the row that is gone.
pub(super) fn write_key(
    out: &mut BytesMut,
    table: &Rendered,
    relation: &Relation,
    images: Images<'_>,
) -> u64 {
    if !relation.key.contains(&true) {
        return table.keyless_hash;
    }
    let (tuple, old) = match images {
        Images::Insert { new } | Images::Update { old: None, new } => (new, None),
        Images::Update {
            old: Some(old),
            new,
        } => (new, Some(old.tuple())),
        Images::Delete { old } => (old.tuple(), None),
    };
    let key = || relation.key.iter().copied();
    let mut before = old.map(|old| {
        let columns = old.datums().zip(key());
        columns.filter(|(_, key)| *key).map(|(datum, _)| datum)
    });
    let mut hasher = StableHasher::default();
    out.extend_from_slice(b",\"key\":");
    write_row(out, table, relation, tuple, key(), |datum| {
        let before = before.as_mut().and_then(Iterator::next);
        let datum = match (datum, before) {
            (Datum::Unchanged, Some(before)) => before,
            (Datum::Null | Datum::Text(_) | Datum::Unchanged, _) => datum,
        };
        if let Datum::Text(text) = datum {
            hasher.write_u64(text.len() as u64);
            hasher.write(text.as_bytes());
        }
        datum
    });
    hasher.finish()
}

pub(super) fn write_images(
    out: &mut BytesMut,
    table: &Rendered,
    relation: &Relation,
    images: Images<'_>,
) {
    let (old, new) = match images {
        Images::Insert { new } => return write_after(out, table, relation, None, new),
        Images::Update { old, new } => (old, Some(new)),
        Images::Delete { old } => (Some(old), None),
    };
    let (image, full) = match old {
        None => ("none", None),
        Some(OldTuple::Key(tuple)) => {
            out.extend_from_slice(b",\"before\":");
            let key = relation.key.iter().copied();
            write_row(out, table, relation, tuple, key, |datum| datum);
            ("key", None)
        }
        Some(OldTuple::Full(tuple)) => {
            out.extend_from_slice(b",\"before\":");
            write_row(
                out,
                table,
                relation,
                tuple,
                std::iter::repeat(true),
                |datum| datum,
            );
            ("full", Some(tuple))
        }
    };
    out.extend_from_slice(b",\"before_image\":\"");
    out.extend_from_slice(image.as_bytes());
    out.put_u8(b'"');
    if let Some(new) = new {
        write_after(out, table, relation, full, new);
    }
}

/// Appends `after`, and `unchanged` with the columns that were not sent. Where the whole old row was
/// sent, an unchanged value is taken from there.
fn write_after(
    out: &mut BytesMut,
    table: &Rendered,
    relation: &Relation,
    old: Option<Tuple<'_>>,
    new: Tuple<'_>,
) {
    out.extend_from_slice(b",\"after\":");
    let mut old = old.map(Tuple::datums);
    let mut unchanged = false;
    write_row(
        out,
        table,
        relation,
        new,
        std::iter::repeat(true),
        |datum| {
            let before = old.as_mut().and_then(Iterator::next);
            match (datum, before) {
                (Datum::Unchanged, Some(before)) => before,
                (Datum::Unchanged, None) => {
                    unchanged = true;
                    datum
                }
                (Datum::Null | Datum::Text(_), _) => datum,
            }
        },
    );
    if unchanged {
        let names = relation.schema.columns.iter().zip(new.datums());
        let names = names
            .filter(|(_, datum)| *datum == Datum::Unchanged)
            .map(|(c, _)| &c.name);
        let mut separator = &b",\"unchanged\":["[..];
        for name in names {
            out.extend_from_slice(separator);
            json::string(out, name);
            separator = b",";
        }
        out.put_u8(b']');
    }
}

/// Appends the wanted columns that have a value as an object. `replace` sees each wanted datum, in
/// order, and may give another.
fn write_row<'a>(
    out: &mut BytesMut,
    table: &Rendered,
    relation: &Relation,
    tuple: Tuple<'a>,
    wanted: impl Iterator<Item = bool>,
    mut replace: impl FnMut(Datum<'a>) -> Datum<'a>,
) {
    out.put_u8(b'{');
    let mut first = true;
    let columns = table.columns.iter().zip(&relation.kinds);
    for (((name, kind), datum), wanted) in columns.zip(tuple.datums()).zip(wanted) {
        if !wanted {
            continue;
        }
        let datum = replace(datum);
        if datum == Datum::Unchanged {
            continue;
        }
        if !first {
            out.put_u8(b',');
        }
        first = false;
        out.extend_from_slice(name);
        match datum {
            Datum::Text(text) => value::write(out, kind, text),
            Datum::Null | Datum::Unchanged => out.extend_from_slice(b"null"),
        }
    }
    out.put_u8(b'}');
}
