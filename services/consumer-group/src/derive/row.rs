//! A row through the group's policy.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rowcast_etl::{Cell, Datum, Event, OldRow, Operation, Program};
use rowcast_proto::change::{self, BeforeImage, DocumentForm, Documents, TableSchema};
use serde_json::value::RawValue;

use super::message::{Message, RawRow, bare};
use super::tables::Fitted;
use super::text;

/// Microseconds from 1970 to 2000, where PostgreSQL begins to count.
const EPOCH_2000: i64 = 946_684_800_000_000;

/// Which documents of a row do not simply stand there.
type Forms = BTreeMap<String, DocumentForm>;

/// The JSON of a value, and how a document stands in it.
type Written = (Box<RawValue>, Option<DocumentForm>);

/// A column of an image that was sent.
struct Sent<'a> {
    raw: &'a RawValue,
    form: Option<DocumentForm>,
    /// `None` for NULL.
    text: Option<Cow<'a, str>>,
}

/// An image, a column of the table each; `None` for what was not sent.
struct Image<'a>(Vec<Option<Sent<'a>>>);

impl<'a> Image<'a> {
    fn new(row: &'a RawRow, forms: Option<&Forms>, table: &TableSchema) -> Self {
        let columns = table.columns.iter().map(|column| {
            let raw = row.get(&column.name)?;
            let form = forms.and_then(|forms| forms.get(&column.name)).copied();
            let text = text::of_json(column.type_oid, raw, form);
            Some(Sent { raw, form, text })
        });
        Self(columns.collect())
    }

    fn datums(&self) -> Vec<Datum<'_>> {
        let datums = self.0.iter().map(|sent| match sent {
            None => Datum::Unchanged,
            Some(Sent { text: None, .. }) => Datum::Null,
            Some(Sent {
                text: Some(text), ..
            }) => Datum::Text(text),
        });
        datums.collect()
    }
}

/// The row as it is told; `None` where it is not.
///
/// # Errors
/// Where the policy fails on it, in a sentence without values.
pub(super) fn transform(
    row: &Message,
    table: &Fitted,
    program: &Program,
) -> Result<Option<Message>, String> {
    let source = &table.source;
    let documents = row.documents.as_ref();
    let new = row.after.as_ref();
    let new = new.map(|after| Image::new(after, documents.map(|forms| &forms.after), source));
    let old = row.before.as_ref();
    let old = old.map(|before| Image::new(before, documents.map(|forms| &forms.before), source));
    let is_full = row.before_image == Some(BeforeImage::Full);
    let key: Vec<bool> = source.columns.iter().map(|column| column.key).collect();
    let old_row = old.as_ref().map(|old| {
        if is_full {
            OldRow::Full(old.datums())
        } else {
            OldRow::Key(old.datums())
        }
    });
    let new_row = new.as_ref().map(Image::datums);
    let told = program
        .change(&key, old_row, new_row, &event(row)?)
        .map_err(|error| error.to_string())?;
    let Some(told) = told else {
        return Ok(None);
    };
    let images = [new.as_ref(), old.as_ref()];
    let mut writer = Writer {
        program,
        table: table.told(),
        images,
    };
    let mut message = Message {
        before_image: row.before_image,
        ..bare(row, row.op)
    };
    let mut forms = Documents::default();
    if let Some(cells) = &told.new {
        let (after, unchanged) = writer.row(cells, &mut forms.after, false)?;
        message.after = Some(after);
        message.unchanged = unchanged;
    }
    writer.images = [old.as_ref(), None];
    if let Some(cells) = &told.old {
        let (before, _not_known) = writer.row(cells, &mut forms.before, !is_full)?;
        message.before = Some(before);
    } else if row.before.is_some() {
        message.before_image = Some(BeforeImage::None);
    }
    writer.images = images;
    if row.key.is_some()
        && let Some(cells) = told.new.as_ref().or(told.old.as_ref())
    {
        let (key, _not_known) = writer.row(cells, &mut forms.key, true)?;
        message.key = Some(key);
    }
    message.schema_id = Some(writer.table.id.clone());
    message.documents = (forms != Documents::default()).then_some(forms);
    Ok(Some(message))
}

fn event(row: &Message) -> Result<Event, String> {
    let at: DateTime<Utc> = row
        .committed_at
        .parse()
        .map_err(|_malformed| "its time of commit cannot be read".to_owned())?;
    let operation = match row.op {
        change::Operation::Insert => Operation::Insert,
        change::Operation::Update => Operation::Update,
        change::Operation::Delete => Operation::Delete,
        change::Operation::Truncate
        | change::Operation::Schema
        | change::Operation::Begin
        | change::Operation::Commit
        | change::Operation::Heartbeat
        | change::Operation::Ddl
        | change::Operation::Message
        | change::Operation::Gap
        | change::Operation::Part
        | change::Operation::Pack
        | change::Operation::Unknown => return Err("it is no row".to_owned()),
    };
    Ok(Event {
        operation,
        committed_at: at.timestamp_micros() - EPOCH_2000,
        commit_lsn: row.id.commit_lsn.as_u64(),
        ordinal: row.id.ordinal,
    })
}

/// Writes cells as they stand in a message.
struct Writer<'a> {
    program: &'a Program,
    table: &'a TableSchema,
    /// Where a cell that the policy has left alone comes from.
    images: [Option<&'a Image<'a>>; 2],
}

impl Writer<'_> {
    /// The row, and the columns that are not known; of the key alone where `only_key`.
    fn row(
        &self,
        cells: &[Cell<'_>],
        forms: &mut Forms,
        only_key: bool,
    ) -> Result<(RawRow, Vec<String>), String> {
        let (mut columns, mut unchanged) = (Vec::with_capacity(cells.len()), Vec::new());
        for (number, (cell, column)) in cells.iter().zip(&self.table.columns).enumerate() {
            if only_key && !column.key {
                continue;
            }
            let written = self
                .value(number, cell)
                .map_err(|error| error.to_string())?;
            let Some((json, form)) = written else {
                unchanged.push(column.name.clone());
                continue;
            };
            if let Some(form) = form {
                forms.insert(column.name.clone(), form);
            }
            columns.push((column.name.clone(), json));
        }
        Ok((RawRow(columns), unchanged))
    }

    /// `None` where it is not known.
    fn value(&self, number: usize, cell: &Cell<'_>) -> Result<Option<Written>, serde_json::Error> {
        let text = match cell {
            Cell::Unchanged => return Ok(None),
            Cell::Null => return Ok(Some((RawValue::NULL.to_owned(), None))),
            Cell::Text(text) => text,
        };
        let column = self.program.columns().get(number);
        let source = column.filter(|column| !column.retyped);
        let sent = source.and_then(|column| column.source).and_then(|number| {
            let mut images = self.images.iter().flatten();
            images.find_map(|image| {
                let sent = image.0.get(number)?.as_ref()?;
                (sent.text.as_ref() == Some(text)).then_some(sent)
            })
        });
        if let Some(sent) = sent {
            return Ok(Some((sent.raw.to_owned(), sent.form)));
        }
        let type_oid = column.map_or(0, |column| column.type_oid);
        text::to_json(type_oid, text).map(Some)
    }
}
