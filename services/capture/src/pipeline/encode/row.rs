//! A row: its key, its images, and what is the same in every message of its table.

mod json_form;
mod protobuf_form;

use std::hash::Hasher as _;
use std::sync::Arc;

use bytes::BytesMut;
use rowcast_domain::TaskId;
use rowcast_proto::change::BeforeImage;
use rowcast_proto::subject::{self, Op};

use self::json_form::JsonForm;
use self::protobuf_form::ProtobufForm;
use super::draft::{self, Format};
use crate::pipeline::change::{Images, Kind, Relation};
use crate::pipeline::decode::message::{Datum, OldTuple, Tuple};
use crate::pipeline::stable_hash::StableHasher;

/// What is the same in every message of a table.
#[derive(Debug)]
pub(super) struct Rendered {
    /// `<schema>.<table>`, escaped for subjects.
    pub(super) object: String,
    /// The members that name the table.
    pub(super) names: Vec<u8>,
    /// The member that names its shape.
    pub(super) schema_id: Vec<u8>,
    /// What stands before the value of each column.
    columns: Vec<Vec<u8>>,
    /// Partition of rows without a key.
    keyless_hash: u64,
    /// The shape is in the stream already.
    pub(super) announced: bool,
    /// Subjects of its rows that were needed so far: of every partition, one for each operation.
    subjects: Vec<[Option<Arc<str>>; 3]>,
}

impl Rendered {
    pub(super) fn new(relation: &Relation, format: Format) -> Self {
        let schema = &relation.schema;
        let column = match format {
            Format::Json => json_form::column_name,
            Format::Protobuf => super::protobuf::column_name,
        };
        let object = subject::object(&schema.schema, &schema.table);
        let mut hasher = StableHasher::default();
        hasher.write(object.as_bytes());
        Self {
            names: draft::names(format, Some(&schema.schema), Some(&schema.table)),
            schema_id: draft::schema_id(format, &schema.id),
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

/// Part of a message that holds columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Key,
    Before,
    After,
}

/// How a row is written.
trait Form {
    /// Begins a part.
    fn begin(&mut self, out: &mut BytesMut, part: Part);
    /// Appends a column of the part: its number, what stands before its value, and the value's text, where it is not
    /// SQL's NULL.
    fn column(
        &mut self,
        out: &mut BytesMut,
        column: (usize, &[u8]),
        kind: &Kind,
        text: Option<&str>,
    );
    /// Ends the part.
    fn end(&mut self, out: &mut BytesMut);
    /// Says what the before image holds.
    fn before_image(&mut self, out: &mut BytesMut, image: BeforeImage);
    /// Names the columns that were not sent.
    fn unchanged<'n>(&mut self, out: &mut BytesMut, names: impl Iterator<Item = &'n String>);
    /// Ends the row.
    fn finish(self, out: &mut BytesMut, table: &Rendered);
}

/// Appends the key, the images, and what must be said of their documents. Gives the hash that decides
/// the row's partition: of the new row's key, with what was not sent again taken from the old one, or
/// of that of the row that is gone.
pub(super) fn write_row_members(
    (format, out): (Format, &mut BytesMut),
    table: &Rendered,
    relation: &Relation,
    images: Images<'_>,
) -> u64 {
    match format {
        Format::Json => write(JsonForm::default(), out, (table, relation), images),
        Format::Protobuf => write(ProtobufForm::default(), out, (table, relation), images),
    }
}

fn write(
    form: impl Form,
    out: &mut BytesMut,
    (table, relation): (&Rendered, &Relation),
    images: Images<'_>,
) -> u64 {
    let mut writer = RowWriter {
        out,
        form,
        table,
        relation,
    };
    let hash = writer.key(images);
    writer.images(images);
    writer.form.finish(writer.out, table);
    hash
}

/// The members of a message that hold columns.
struct RowWriter<'a, F> {
    out: &'a mut BytesMut,
    form: F,
    table: &'a Rendered,
    relation: &'a Relation,
}

impl<F: Form> RowWriter<'_, F> {
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
        self.row(Part::Key, tuple, key(), |datum| {
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
            None => (BeforeImage::None, None),
            Some(OldTuple::Key(tuple)) => {
                let key = self.relation.key.iter().copied();
                self.row(Part::Before, tuple, key, |datum| datum);
                (BeforeImage::Key, None)
            }
            Some(OldTuple::Full(tuple)) => {
                self.row(Part::Before, tuple, std::iter::repeat(true), |datum| datum);
                (BeforeImage::Full, Some(tuple))
            }
        };
        self.form.before_image(self.out, image);
        if let Some(new) = new {
            self.after(full, new);
        }
    }

    /// Appends `after`, and `unchanged` with the columns that were not sent. Where the whole old row was
    /// sent, an unchanged value is taken from there.
    fn after(&mut self, old: Option<Tuple<'_>>, new: Tuple<'_>) {
        let mut old = old.map(Tuple::datums);
        let mut unchanged = false;
        self.row(Part::After, new, std::iter::repeat(true), |datum| {
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
            let names = names.filter(|(_, datum)| *datum == Datum::Unchanged);
            self.form.unchanged(self.out, names.map(|(c, _)| &c.name));
        }
    }

    /// Appends the wanted columns that have a value. `replace` sees each wanted datum, in
    /// order, and may give another.
    fn row<'d>(
        &mut self,
        part: Part,
        tuple: Tuple<'d>,
        wanted: impl Iterator<Item = bool>,
        mut replace: impl FnMut(Datum<'d>) -> Datum<'d>,
    ) {
        self.form.begin(self.out, part);
        for (column, datum) in tuple.wanted(wanted) {
            let text = match replace(datum) {
                Datum::Unchanged => continue,
                Datum::Null => None,
                Datum::Text(text) => Some(text),
            };
            if let (Some(name), Some(kind)) = (
                self.table.columns.get(column),
                self.relation.kinds.get(column),
            ) {
                self.form.column(self.out, (column, name), kind, text);
            }
        }
        self.form.end(self.out);
    }
}
