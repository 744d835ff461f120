//! Changes as object container files of Apache Avro (specification 1.12): each message has the schema of its records with it,
//! so that any library reads it, and no registry is asked.
//!
//! | message | becomes |
//! |---|---|
//! | insert, update, delete | a record `rowcast.Change`, with the columns of its table's shape |
//! | pack | a record for each row; all are of one shape |
//! | schema | nothing: what follows has it |
//! | everything else | a record `rowcast.Event` |

mod binary;
mod row;
mod schema;

use std::collections::HashMap;
use std::sync::Arc;

use rowcast_proto::change::{Ddl, Gap, LogicalMessage, Operation, TableSchema};

use self::binary::{Header, boolean, end, length, long, optional, text};
use self::schema::{EVENTS, Field, ROWS, Width};
use super::{RenderError, moment, name};
use crate::derive::message::Message;
use crate::derive::tables::Tables;

/// Writes Avro.
#[derive(Debug)]
pub(super) struct Avro {
    event: Header,
    /// By the name of the shape; as many as the tables have had.
    shapes: HashMap<String, Arc<Shape>>,
}

/// What is the same in every message of a table's shape.
#[derive(Debug)]
struct Shape {
    fields: Vec<Field>,
    narrow: Header,
    wide: Header,
}

/// Why a row is not written.
#[derive(Debug, PartialEq, Eq)]
enum Misfit {
    /// A value is not of its column's type: it can be told as text.
    Value,
    /// The row has a column that its shape has not.
    Column(String),
}

impl Shape {
    fn new(table: &TableSchema) -> Self {
        Self {
            fields: schema::fields(table),
            narrow: Header::new(&schema::change(table, Width::Narrow)),
            wide: Header::new(&schema::change(table, Width::Wide)),
        }
    }

    const fn header(&self, width: Width) -> &Header {
        match width {
            Width::Narrow => &self.narrow,
            Width::Wide => &self.wide,
        }
    }
}

impl Avro {
    pub(super) fn new() -> Self {
        Self {
            event: Header::new(&schema::event()),
            shapes: HashMap::new(),
        }
    }

    /// The body; `None` for what has no form.
    pub(super) fn body(
        &mut self,
        message: &Message,
        tables: &Tables,
    ) -> Result<Option<Vec<u8>>, RenderError> {
        match message.op {
            Operation::Insert | Operation::Update | Operation::Delete => {
                self.rows(message, std::slice::from_ref(message), tables)
            }
            Operation::Pack => self.rows(message, &message.pack, tables),
            Operation::Truncate
            | Operation::Begin
            | Operation::Commit
            | Operation::Heartbeat
            | Operation::Ddl
            | Operation::Message
            | Operation::Gap => self.event(message).map(Some),
            Operation::Schema | Operation::Part | Operation::Unknown => Ok(None),
        }
    }

    fn rows(
        &mut self,
        message: &Message,
        rows: &[Message],
        tables: &Tables,
    ) -> Result<Option<Vec<u8>>, RenderError> {
        let refused = |why: &str| RenderError::Shape(message.id, why.to_owned());
        let first = rows.first().ok_or_else(|| refused("it has no rows"))?;
        let id = first.schema_id.as_deref().unwrap_or_default();
        let shape = self.shape(id, tables);
        let shape = shape.ok_or_else(|| refused(&format!("{id} is not known")))?;
        for width in [Width::Narrow, Width::Wide] {
            match written(rows, &shape, width)? {
                Ok(data) => return Ok(Some(shape.header(width).file(rows.len(), &data))),
                Err(Misfit::Value) => {}
                Err(Misfit::Column(name)) => {
                    return Err(refused(&format!("{id} has no column {name}")));
                }
            }
        }
        Err(refused("a value cannot be told even as text"))
    }

    /// The shape with this name; `None` where it is not known.
    fn shape(&mut self, id: &str, tables: &Tables) -> Option<Arc<Shape>> {
        if let Some(shape) = self.shapes.get(id) {
            return Some(Arc::clone(shape));
        }
        let shape = Arc::new(Shape::new(tables.told(id)?));
        self.shapes.insert(id.to_owned(), Arc::clone(&shape));
        Some(shape)
    }

    fn event(&self, message: &Message) -> Result<Vec<u8>, RenderError> {
        let mut out = Vec::new();
        place(&mut out, number(&EVENTS, message.op), message);
        optional(&mut out, message.schema.as_deref(), text);
        optional(&mut out, message.table.as_deref(), text);
        time(&mut out, message)?;
        optional(&mut out, message.cascade, boolean);
        optional(&mut out, message.restart_identity, boolean);
        optional(&mut out, message.changes, unsigned);
        optional(&mut out, message.ddl.as_ref(), ddl);
        optional(&mut out, message.message.as_ref(), logical_message);
        optional(&mut out, message.gap.as_ref(), gap);
        Ok(self.event.file(1, &out))
    }
}

/// The records of rows.
fn written(
    rows: &[Message],
    shape: &Shape,
    width: Width,
) -> Result<Result<Vec<u8>, Misfit>, RenderError> {
    let mut out = Vec::new();
    for message in rows {
        place(&mut out, number(&ROWS, message.op), message);
        text(&mut out, message.schema.as_deref().unwrap_or_default());
        text(&mut out, message.table.as_deref().unwrap_or_default());
        time(&mut out, message)?;
        if let Err(misfit) = row::images(&mut out, message, &shape.fields, width) {
            return Ok(Err(misfit));
        }
        if !message.unchanged.is_empty() {
            length(&mut out, message.unchanged.len());
            for name in &message.unchanged {
                text(&mut out, name);
            }
        }
        end(&mut out);
    }
    Ok(Ok(out))
}

/// The number of an operation among these.
fn number(all: &[&str], op: Operation) -> usize {
    let wanted = name(op);
    all.iter()
        .position(|one| *one == wanted)
        .unwrap_or_default()
}

/// Appends what every record begins with.
fn place(out: &mut Vec<u8>, op: usize, message: &Message) {
    length(out, op);
    text(out, &message.id.to_string());
    text(out, &message.database);
}

/// Appends what follows the names of the table.
fn time(out: &mut Vec<u8>, message: &Message) -> Result<(), RenderError> {
    text(out, &message.lsn.to_string());
    unsigned(out, message.ordinal);
    optional(out, message.xid.map(u64::from), unsigned);
    long(out, moment(message)?.timestamp_micros());
    optional(out, message.schema_id.as_deref(), text);
    Ok(())
}

/// Appends a count.
fn unsigned(out: &mut Vec<u8>, number: u64) {
    long(out, i64::try_from(number).unwrap_or(i64::MAX));
}

fn ddl(out: &mut Vec<u8>, ddl: &Ddl) {
    text(out, &ddl.command);
    text(out, &ddl.object_type);
    text(out, &ddl.object);
    text(out, &ddl.text);
    text(out, &ddl.user);
    boolean(out, ddl.dropped);
    boolean(out, ddl.rewritten);
}

fn logical_message(out: &mut Vec<u8>, message: &LogicalMessage) {
    text(out, &message.prefix);
    boolean(out, message.transactional);
    optional(out, message.text.as_deref(), text);
    optional(out, message.base64.as_deref(), text);
}

fn gap(out: &mut Vec<u8>, gap: &Gap) {
    text(out, &gap.code);
    text(out, &gap.cause);
    text(out, &gap.from.to_string());
    text(out, &gap.to.to_string());
}

#[cfg(test)]
mod tests;
