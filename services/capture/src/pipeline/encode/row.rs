//! A row as JSON: its key, its images, and what is the same in every message of its table.

use std::hash::Hasher as _;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use rowcast_domain::TaskId;
use rowcast_proto::subject::{self, Op};

use super::document;
use super::{json, value};
use crate::pipeline::change::{Images, Kind, Relation};
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
    /// Subjects of its rows that were needed so far: of every partition, one for each operation.
    subjects: Vec<[Option<Arc<str>>; 3]>,
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
            subjects: Vec::new(),
        }
    }

    /// Subject of a row; made once and shared.
    pub(super) fn subject(&mut self, task: &TaskId, partition: u32, op: Op) -> Arc<str> {
        let index = partition as usize;
        if self.subjects.len() <= index {
            self.subjects.resize(index + 1, [const { None }; 3]);
        }
        let known = self.subjects.get_mut(index).and_then(|of| match op {
            Op::Insert => of.get_mut(0),
            Op::Update => of.get_mut(1),
            Op::Delete => of.get_mut(2),
            Op::Truncate
            | Op::Schema
            | Op::Begin
            | Op::Commit
            | Op::Heartbeat
            | Op::Ddl
            | Op::Message
            | Op::Gap
            | Op::Pack => None,
        });
        let object = &self.object;
        let make = || {
            let mut subject = String::new();
            subject::change_into(&mut subject, task, Some(partition), Some(object), op);
            Arc::from(subject)
        };
        known.map_or_else(make, |known| Arc::clone(known.get_or_insert_with(make)))
    }
}

/// Appends `,"<name>":"<text>"`.
pub(super) fn member(out: &mut BytesMut, name: &str, text: &str) {
    out.put_u8(b',');
    json::string(out, name);
    out.put_u8(b':');
    json::string(out, text);
}

/// Appends the key, the images, and what must be said of their documents. Gives the hash that decides
/// the row's partition: of the new row's key, with what was not sent again taken from the old one, or
/// of that of the row that is gone.
pub(super) fn write_row_members(
    out: &mut BytesMut,
    table: &Rendered,
    relation: &Relation,
    images: Images<'_>,
) -> u64 {
    let mut writer = RowWriter {
        out,
        table,
        relation,
        documents: Vec::new(),
    };
    let hash = writer.key(images);
    writer.images(images);
    writer.documents();
    hash
}

/// The members of a message that hold columns.
struct RowWriter<'a> {
    out: &'a mut BytesMut,
    table: &'a Rendered,
    relation: &'a Relation,
    /// Of documents that do not simply stand there: member, number of the column, form.
    documents: Vec<(&'static str, usize, &'static str)>,
}

impl RowWriter<'_> {
    fn key(&mut self, images: Images<'_>) -> u64 {
        let relation = self.relation;
        if !relation.key.contains(&true) {
            return self.table.keyless_hash;
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
        let mut before = old.map(|old| old.wanted(key()));
        let mut hasher = StableHasher::default();
        self.row("key", tuple, key(), |datum| {
            let before = before.as_mut().and_then(Iterator::next);
            let datum = match (datum, before) {
                (Datum::Unchanged, Some((_column, before))) => before,
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

    fn images(&mut self, images: Images<'_>) {
        let (old, new) = match images {
            Images::Insert { new } => return self.after(None, new),
            Images::Update { old, new } => (old, Some(new)),
            Images::Delete { old } => (Some(old), None),
        };
        let (image, full) = match old {
            None => ("none", None),
            Some(OldTuple::Key(tuple)) => {
                let key = self.relation.key.iter().copied();
                self.row("before", tuple, key, |datum| datum);
                ("key", None)
            }
            Some(OldTuple::Full(tuple)) => {
                self.row("before", tuple, std::iter::repeat(true), |datum| datum);
                ("full", Some(tuple))
            }
        };
        self.out.extend_from_slice(b",\"before_image\":\"");
        self.out.extend_from_slice(image.as_bytes());
        self.out.put_u8(b'"');
        if let Some(new) = new {
            self.after(full, new);
        }
    }

    /// Appends `after`, and `unchanged` with the columns that were not sent. Where the whole old row was
    /// sent, an unchanged value is taken from there.
    fn after(&mut self, old: Option<Tuple<'_>>, new: Tuple<'_>) {
        let mut old = old.map(Tuple::datums);
        let mut unchanged = false;
        self.row("after", new, std::iter::repeat(true), |datum| {
            let before = old.as_mut().and_then(Iterator::next);
            match (datum, before) {
                (Datum::Unchanged, Some(before)) => before,
                (Datum::Unchanged, None) => {
                    unchanged = true;
                    datum
                }
                (Datum::Null | Datum::Text(_), _) => datum,
            }
        });
        if unchanged {
            let names = self.relation.schema.columns.iter().zip(new.datums());
            let names = names
                .filter(|(_, datum)| *datum == Datum::Unchanged)
                .map(|(c, _)| &c.name);
            let mut separator = &b",\"unchanged\":["[..];
            for name in names {
                self.out.extend_from_slice(separator);
                json::string(self.out, name);
                separator = b",";
            }
            self.out.put_u8(b']');
        }
    }

    /// Appends the wanted columns that have a value as an object. `replace` sees each wanted datum, in
    /// order, and may give another.
    fn row<'d>(
        &mut self,
        member: &'static str,
        tuple: Tuple<'d>,
        wanted: impl Iterator<Item = bool>,
        mut replace: impl FnMut(Datum<'d>) -> Datum<'d>,
    ) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(member.as_bytes());
        self.out.extend_from_slice(b"\":{");
        let mut first = true;
        for (column, datum) in tuple.wanted(wanted) {
            let datum = replace(datum);
            if datum == Datum::Unchanged {
                continue;
            }
            let (Some(name), Some(kind)) = (
                self.table.columns.get(column),
                self.relation.kinds.get(column),
            ) else {
                continue;
            };
            if !first {
                self.out.put_u8(b',');
            }
            first = false;
            self.out.extend_from_slice(name);
            match datum {
                Datum::Text(text) if *kind == Kind::Json => {
                    let form = document::write(self.out, text);
                    let form = form.name().map(|form| (member, column, form));
                    self.documents.extend(form);
                }
                Datum::Text(text) => value::write(self.out, kind, text),
                Datum::Null | Datum::Unchanged => self.out.extend_from_slice(b"null"),
            }
        }
        self.out.put_u8(b'}');
    }

    /// Appends `documents`, where there is something to say: `{"after":{"<column>":"<form>"}}`.
    fn documents(&mut self) {
        let mut separator = &b",\"documents\":{"[..];
        for documents in self.documents.chunk_by(|a, b| a.0 == b.0) {
            for (index, (member, column, form)) in documents.iter().enumerate() {
                if index == 0 {
                    self.out.extend_from_slice(separator);
                    json::string(self.out, member);
                    self.out.extend_from_slice(b":{");
                    separator = b",";
                } else {
                    self.out.put_u8(b',');
                }
                // The name as it is written in a row: quoted, and with its colon.
                let name = self.table.columns.get(*column);
                self.out.extend_from_slice(name.map_or(&[], Vec::as_slice));
                json::string(self.out, form);
            }
            self.out.put_u8(b'}');
        }
        if !self.documents.is_empty() {
            self.out.put_u8(b'}');
        }
    }
}
