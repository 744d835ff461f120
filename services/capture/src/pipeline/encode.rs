//! Stage 4: changes to messages, in one pass from the frame's bytes to those of the format. Pure and
//! synchronous.

mod document;
mod draft;
mod event;
mod json;
mod nested;
mod pack;
mod piece;
mod protobuf;
mod row;
mod timestamp;
mod value;

use std::sync::Arc;

use foldhash::HashMap;
use rowcast_domain::{Lsn, Position, TableName, TaskId};
use rowcast_proto::subject::{self, Op};

use self::draft::Draft;
pub(crate) use self::draft::Format;
use self::pack::Pack;
pub(crate) use self::piece::Payload;
use self::row::{Rendered, write_row_members};
use super::change::{Change, Images, Relation, RowChange, Transaction};
use super::publish::tail::{Half, Last, whole_before};

/// A message to be stored, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outbound {
    /// Where it goes.
    pub(crate) subject: Arc<str>,
    /// Its body.
    pub(crate) payload: Payload,
    /// Its position; shared by pieces, and not unique for schema messages.
    pub(crate) position: Position,
    /// What it says.
    pub(crate) op: Op,
}

impl Outbound {
    /// Up to where the stream is whole once it ends with this.
    pub(crate) fn whole_up_to(&self) -> Position {
        if self.payload.is_end() {
            self.position
        } else {
            whole_before(self.position, self.op)
        }
    }
}

/// A whole message, which may be larger than the broker takes: to be given to [`Encoder::give`].
struct Closed(Outbound);

/// A change that cannot be a message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    /// The broker takes too little even for a piece.
    #[error(
        "the broker takes messages of {limit} bytes, which is too little for a piece of {position} ({bytes} bytes)"
    )]
    LimitTooLow {
        /// Which change.
        position: Position,
        /// How large it is.
        bytes: usize,
        /// How large a message may be.
        limit: usize,
    },
    /// The relation was not defined; a fault of the pipeline.
    #[error("the table {0} has not been defined")]
    Undefined(String),
}

/// Encodes the changes of one task.
#[derive(Debug)]
pub(crate) struct Encoder {
    task: TaskId,
    partitions: u64,
    transactions: bool,
    limit: usize,
    tables: HashMap<u32, Rendered>,
    draft: Draft,
    /// What the stream ends with, until the first message of this session.
    half: Option<Half>,
    /// Rows that wait for others, where they are packed.
    packed: Option<Pack>,
}

impl Encoder {
    /// `limit` is the largest body in bytes: larger messages go in pieces; `transactions` asks for begin and commit markers.
    pub(crate) fn new(
        task: TaskId,
        database: &str,
        partitions: u32,
        transactions: bool,
        limit: usize,
    ) -> Self {
        Self {
            task,
            partitions: u64::from(partitions.max(1)),
            transactions,
            limit,
            tables: HashMap::default(),
            draft: Draft::new(Format::Json, database),
            half: None,
            packed: None,
        }
    }

    /// Writes in this format, of this database.
    pub(crate) fn writing(mut self, format: Format, database: &str) -> Self {
        self.draft = Draft::new(format, database);
        self
    }

    /// Several rows of a transaction go in one message.
    pub(crate) fn packing(mut self) -> Self {
        self.packed = Some(Pack::new(&self.task));
        self
    }

    /// Goes on behind the stream's tail: of a message that is there in part, only the rest is encoded.
    pub(crate) fn behind(mut self, last: Option<Last>) -> Self {
        self.half = last.and_then(|last| last.half);
        self
    }

    /// Takes a table's shape, for the changes that follow. The message that tells it goes before the
    /// first of them that is encoded: changes that the stream holds already need none, and no message
    /// ever lies before the one that precedes it in the stream.
    pub(crate) fn define(&mut self, relation: &Relation) {
        let mut table = Rendered::new(relation, self.draft.format);
        // PostgreSQL also repeats a shape that has not changed, as after an ANALYZE.
        let known = self.tables.get(&relation.oid);
        table.announced =
            known.is_some_and(|known| known.announced && known.schema_id == table.schema_id);
        self.tables.insert(relation.oid, table);
    }

    /// Bytes that what is being written takes.
    pub(crate) fn memory(&self) -> usize {
        let packed = self.packed.as_ref().map_or(0, Pack::bytes);
        self.draft.buffer.capacity() + packed
    }

    /// Encodes a change into any number of messages.
    pub(crate) fn encode(
        &mut self,
        change: &Change<'_>,
        mut take: impl FnMut(Outbound),
    ) -> Result<(), EncodeError> {
        if !matches!(change, Change::Row(_)) {
            self.close_pack(&mut take)?;
        }
        match change {
            Change::Begin(_) | Change::Commit { .. } if !self.transactions => Ok(()),
            Change::Begin(transaction) => {
                let position = Position::new(transaction.commit_lsn, 0);
                self.draft.open(position, Op::Begin);
                self.draft.transaction(*transaction, 0);
                let message = self.close(None, None, position, Op::Begin)?;
                self.give(message, &mut take);
                Ok(())
            }
            Change::Row(row) => {
                let before = Position::new(row.transaction.commit_lsn, row.ordinal - 1);
                let message = self.row(row)?;
                // The shape of a row whose first pieces are stored was told before them, and nothing
                // may come between them and the rest.
                if self.begun(&message).is_none()
                    && let Some(schema) = self.announce(row.relation, row.transaction, before)?
                {
                    self.close_pack(&mut take)?;
                    self.give(schema, &mut take);
                }
                if let Some(message) = self.pack(message, row.transaction, &mut take)? {
                    self.give(message, &mut take);
                }
                Ok(())
            }
            Change::Truncate {
                transaction,
                relations,
                cascade,
                restart_identity,
            } => {
                let flags = (*cascade, *restart_identity);
                for (ordinal, relation) in relations {
                    let before = Position::new(transaction.commit_lsn, ordinal - 1);
                    if let Some(schema) = self.announce(relation, *transaction, before)? {
                        self.give(schema, &mut take);
                    }
                    let message = self.truncate(*transaction, *ordinal, relation, flags)?;
                    self.give(message, &mut take);
                }
                Ok(())
            }
            Change::Ddl(_) | Change::Message(_) => self.event(change, &mut take),
            Change::Commit {
                transaction,
                changes,
                tracked,
                ..
            } => {
                let position = Position::new(transaction.commit_lsn, changes + 1);
                self.draft.open(position, Op::Commit);
                self.draft.transaction(*transaction, changes + 1);
                self.draft.changes(*tracked);
                let message = self.close(None, None, position, Op::Commit)?;
                self.give(message, &mut take);
                Ok(())
            }
        }
    }

    /// A message that says that nothing happened up to `lsn`. `now` in microseconds since
    /// 2000-01-01 UTC.
    pub(crate) fn heartbeat(&mut self, lsn: Lsn, now: i64) -> Result<Outbound, EncodeError> {
        let position = Position::new(lsn, 0);
        self.draft.open(position, Op::Heartbeat);
        self.draft.position(position);
        self.draft.time(now);
        let heartbeat = self.close(None, None, position, Op::Heartbeat)?;
        Ok(self.alone(heartbeat))
    }

    /// Passes on what is never large.
    fn alone(&mut self, Closed(message): Closed) -> Outbound {
        self.half = None;
        message
    }

    /// Passes a message on, in pieces where it is large.
    fn give(&mut self, message: Closed, take: &mut impl FnMut(Outbound)) {
        let from = self.begun(&message).unwrap_or(0);
        self.half = None;
        let Closed(message) = message;
        let Payload::Piece(all) = message.payload else {
            return take(message);
        };
        for piece in all.cut(from) {
            take(Outbound {
                subject: Arc::clone(&message.subject),
                payload: Payload::Piece(piece),
                position: message.position,
                op: message.op,
            });
        }
    }

    /// How many bytes of this very message the stream ends with.
    fn begun(&self, Closed(message): &Closed) -> Option<usize> {
        let half = self.half.as_ref()?;
        let Payload::Piece(piece) = &message.payload else {
            return None;
        };
        let same = half.position == message.position && half.op == message.op;
        (same && piece.is_begun(half)).then(|| usize::try_from(half.end).ok())?
    }

    /// The message that tells a table's shape, the first time.
    fn announce(
        &mut self,
        relation: &Relation,
        transaction: Transaction,
        position: Position,
    ) -> Result<Option<Closed>, EncodeError> {
        let Some(table) = self.tables.get_mut(&relation.oid) else {
            return Err(EncodeError::Undefined(relation.schema.table.clone()));
        };
        if table.announced {
            return Ok(None);
        }
        table.announced = true;
        let object = table.object.clone();
        self.draft.open(position, Op::Schema);
        self.table_members(relation)?;
        self.draft.transaction(transaction, position.ordinal);
        self.table_schema_id(relation)?;
        self.draft.definition(&relation.schema);
        self.close(None, Some(&object), position, Op::Schema)
            .map(Some)
    }

    fn row(&mut self, row: &RowChange<'_>) -> Result<Closed, EncodeError> {
        let op = match row.images {
            Images::Insert { .. } => Op::Insert,
            Images::Update { .. } => Op::Update,
            Images::Delete { .. } => Op::Delete,
        };
        let position = row.position();
        self.draft.open(position, op);
        self.table_members(row.relation)?;
        self.draft.transaction(row.transaction, row.ordinal);
        self.table_schema_id(row.relation)?;
        let Some(table) = self.tables.get_mut(&row.relation.oid) else {
            return Err(EncodeError::Undefined(row.relation.schema.table.clone()));
        };
        let out = (self.draft.format, &mut self.draft.buffer);
        let hash = write_row_members(out, table, row.relation, row.images);
        let partition = u32::try_from(hash % self.partitions).unwrap_or_default();
        let subject = table.subject(&self.task, partition, op);
        self.close_on(subject, position, op)
    }

    fn truncate(
        &mut self,
        transaction: Transaction,
        ordinal: u64,
        relation: &Relation,
        (cascade, restart_identity): (bool, bool),
    ) -> Result<Closed, EncodeError> {
        let position = Position::new(transaction.commit_lsn, ordinal);
        self.draft.open(position, Op::Truncate);
        let object = if let Some(TableName { schema, table }) = &relation.partition {
            self.draft.schema(schema);
            self.draft.table(table);
            subject::object(schema, table)
        } else {
            self.table_members(relation)?;
            subject::object(&relation.schema.schema, &relation.schema.table)
        };
        self.draft.transaction(transaction, ordinal);
        self.table_schema_id(relation)?;
        self.draft.truncate_flags(cascade, restart_identity);
        self.close(None, Some(&object), position, Op::Truncate)
    }

    fn table_members(&mut self, relation: &Relation) -> Result<(), EncodeError> {
        let Some(table) = self.tables.get(&relation.oid) else {
            return Err(EncodeError::Undefined(relation.schema.table.clone()));
        };
        self.draft.rendered(&table.names);
        Ok(())
    }

    fn table_schema_id(&mut self, relation: &Relation) -> Result<(), EncodeError> {
        let Some(table) = self.tables.get(&relation.oid) else {
            return Err(EncodeError::Undefined(relation.schema.table.clone()));
        };
        self.draft.rendered(&table.schema_id);
        Ok(())
    }

    fn close(
        &mut self,
        partition: Option<u32>,
        object: Option<&str>,
        position: Position,
        op: Op,
    ) -> Result<Closed, EncodeError> {
        let mut subject = String::new();
        subject::change_into(&mut subject, &self.task, partition, object, op);
        self.close_on(subject.into(), position, op)
    }

    fn close_on(
        &mut self,
        subject: Arc<str>,
        position: Position,
        op: Op,
    ) -> Result<Closed, EncodeError> {
        let payload = self.draft.close(position, op, self.limit)?;
        Ok(Closed(Outbound {
            subject,
            payload,
            position,
            op,
        }))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod roundtrip;
