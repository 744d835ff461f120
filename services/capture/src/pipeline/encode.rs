//! Stage 4: changes to messages, in one pass from the frame's bytes to JSON. Pure and synchronous.

mod document;
mod event;
mod json;
mod nested;
mod pack;
mod piece;
mod row;
mod timestamp;
mod value;

use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use foldhash::HashMap;
use rowcast_domain::{Lsn, Position, TableName, TaskId};
use rowcast_proto::subject::{self, Op};

use self::pack::Pack;
pub(crate) use self::piece::Payload;
use self::piece::{Head, Piece};
use self::row::{Rendered, member, write_row_members};
use super::change::{Change, Images, Relation, RowChange, Transaction};
use super::publish::tail::{Half, Last, whole_before};

/// Memory taken at a time for bodies; many of them share one piece.
const CHUNK: usize = 64 * 1024;

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
    /// `,"database":…`
    database: Vec<u8>,
    partitions: u64,
    transactions: bool,
    limit: usize,
    tables: HashMap<u32, Rendered>,
    buffer: BytesMut,
    /// Of the message in the buffer.
    head: Head,
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
        let mut text = BytesMut::new();
        member(&mut text, "database", database);
        Self {
            task,
            database: text.to_vec(),
            partitions: u64::from(partitions.max(1)),
            transactions,
            limit,
            tables: HashMap::default(),
            buffer: BytesMut::new(),
            head: Head::default(),
            half: None,
            packed: None,
        }
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
        let mut table = Rendered::new(relation);
        // PostgreSQL also repeats a shape that has not changed, as after an ANALYZE.
        let known = self.tables.get(&relation.oid);
        table.announced =
            known.is_some_and(|known| known.announced && known.schema_id == table.schema_id);
        self.tables.insert(relation.oid, table);
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
                self.open(position, Op::Begin);
                self.transaction_members(*transaction, 0);
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
                self.open(position, Op::Commit);
                self.transaction_members(*transaction, changes + 1);
                self.buffer.extend_from_slice(b",\"changes\":");
                json::number(&mut self.buffer, *tracked);
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
        self.open(position, Op::Heartbeat);
        self.position_members(position);
        self.time_member(now);
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
        self.open(position, Op::Schema);
        self.table_members(relation)?;
        self.transaction_members(transaction, position.ordinal);
        self.table_schema_id(relation)?;
        self.buffer.extend_from_slice(b",\"definition\":");
        // A shape is written once a session: the general serializer will do.
        let definition = serde_json::to_vec(&relation.schema).unwrap_or_default();
        self.buffer.extend_from_slice(&definition);
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
        self.open(position, op);
        self.table_members(row.relation)?;
        self.transaction_members(row.transaction, row.ordinal);
        self.table_schema_id(row.relation)?;
        let Some(table) = self.tables.get_mut(&row.relation.oid) else {
            return Err(EncodeError::Undefined(row.relation.schema.table.clone()));
        };
        let out = &mut self.buffer;
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
        self.open(position, Op::Truncate);
        let object = if let Some(TableName { schema, table }) = &relation.partition {
            member(&mut self.buffer, "schema", schema);
            member(&mut self.buffer, "table", table);
            subject::object(schema, table)
        } else {
            self.table_members(relation)?;
            subject::object(&relation.schema.schema, &relation.schema.table)
        };
        self.transaction_members(transaction, ordinal);
        self.table_schema_id(relation)?;
        let flag = |value| if value { "true" } else { "false" };
        let flags = format!(
            ",\"cascade\":{},\"restart_identity\":{}",
            flag(cascade),
            flag(restart_identity)
        );
        self.buffer.extend_from_slice(flags.as_bytes());
        self.close(None, Some(&object), position, Op::Truncate)
    }

    fn open(&mut self, position: Position, op: Op) {
        if self.buffer.capacity() < CHUNK / 8 {
            self.buffer.reserve(CHUNK);
        }
        self.buffer.extend_from_slice(b"{\"id\":\"");
        write_position(&mut self.buffer, position);
        self.buffer.extend_from_slice(b"\",\"op\":\"");
        self.head.op = self.buffer.len()..self.buffer.len() + op.as_str().len();
        self.buffer.extend_from_slice(op.as_str().as_bytes());
        self.buffer.put_u8(b'"');
        self.buffer.extend_from_slice(&self.database);
        self.head.end = self.buffer.len();
    }

    fn table_members(&mut self, relation: &Relation) -> Result<(), EncodeError> {
        let Some(table) = self.tables.get(&relation.oid) else {
            return Err(EncodeError::Undefined(relation.schema.table.clone()));
        };
        self.buffer.extend_from_slice(&table.names);
        self.head.end = self.buffer.len();
        Ok(())
    }

    fn table_schema_id(&mut self, relation: &Relation) -> Result<(), EncodeError> {
        let Some(table) = self.tables.get(&relation.oid) else {
            return Err(EncodeError::Undefined(relation.schema.table.clone()));
        };
        self.buffer.extend_from_slice(&table.schema_id);
        self.head.end = self.buffer.len();
        Ok(())
    }

    fn transaction_members(&mut self, transaction: Transaction, ordinal: u64) {
        self.position_members(Position::new(transaction.commit_lsn, ordinal));
        self.buffer.extend_from_slice(b",\"xid\":");
        json::number(&mut self.buffer, u64::from(transaction.xid));
        self.time_member(transaction.committed_at);
    }

    fn position_members(&mut self, position: Position) {
        self.buffer.extend_from_slice(b",\"lsn\":\"");
        write_lsn(&mut self.buffer, position.commit_lsn);
        self.buffer.extend_from_slice(b"\",\"ordinal\":");
        json::number(&mut self.buffer, position.ordinal);
    }

    fn time_member(&mut self, micros: i64) {
        self.buffer.extend_from_slice(b",\"committed_at\":\"");
        timestamp::commit_time(&mut self.buffer, micros);
        self.buffer.put_u8(b'"');
        self.head.end = self.buffer.len();
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
        self.buffer.put_u8(b'}');
        let body = self.buffer.split().freeze();
        let bytes = body.len();
        if bytes > CHUNK {
            // What is left of its memory would keep all of it.
            self.buffer = BytesMut::new();
        }
        let payload = if bytes <= self.limit {
            Payload::Whole(body)
        } else {
            let all = Piece::all(body, &self.head, op, self.limit);
            Payload::Piece(all.ok_or(EncodeError::LimitTooLow {
                position,
                bytes,
                limit: self.limit,
            })?)
        };
        Ok(Closed(Outbound {
            subject,
            payload,
            position,
            op,
        }))
    }
}

fn write_position(out: &mut BytesMut, position: Position) {
    write_lsn(out, position.commit_lsn);
    out.put_u8(b'.');
    json::number(out, position.ordinal);
}

fn write_lsn(out: &mut BytesMut, lsn: Lsn) {
    hexadecimal(out, lsn.as_u64() >> 32);
    out.put_u8(b'/');
    hexadecimal(out, lsn.as_u64() & 0xFFFF_FFFF);
}

/// Appends upper-case hexadecimal digits without leading zeros.
fn hexadecimal(out: &mut BytesMut, number: u64) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    for index in (0..digits).rev() {
        out.put_u8(HEX[(number >> (4 * index) & 15) as usize]);
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod roundtrip;
