//! The message that is being written, in the format of its task: JSON, or protobuf
//! ([`rowcast_proto::change::protobuf`]).

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::encoding::{bool, int64, message, uint32, uint64};
use rowcast_domain::Position;
use rowcast_proto::change::{Ddl, Gap, TableSchema, protobuf as pb};
use rowcast_proto::subject::Op;
use serde::Serialize;

use super::piece::{Head, Payload, Piece};
use super::protobuf::{self, field};
use super::{EncodeError, json, timestamp};
use crate::pipeline::change::{Transaction, WalMessage};
use crate::server_time;

/// Memory taken at a time for bodies; many of them share one piece.
pub(super) const CHUNK: usize = 64 * 1024;

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// RFC 8259.
    #[default]
    Json,
    /// protobuf docs, "Encoding".
    Protobuf,
}

/// The message that is being written.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) format: Format,
    pub(super) buffer: BytesMut,
    head: Head,
    /// The member that names the database.
    database: Vec<u8>,
}

impl Draft {
    pub(super) fn new(format: Format, database: &str) -> Self {
        let mut text = BytesMut::new();
        match format {
            Format::Json => json::member(&mut text, "database", database),
            Format::Protobuf => protobuf::text(&mut text, field::DATABASE, database),
        }
        Self {
            format,
            buffer: BytesMut::new(),
            head: Head::default(),
            database: text.to_vec(),
        }
    }

    /// Size of what every message has that names the database.
    pub(super) const fn database_len(&self) -> usize {
        self.database.len()
    }

    pub(super) fn open(&mut self, position: Position, op: Op) {
        if self.buffer.capacity() < CHUNK / 8 {
            self.buffer.reserve(CHUNK);
        }
        let out = &mut self.buffer;
        match self.format {
            Format::Json => {
                out.extend_from_slice(b"{\"id\":\"");
                json::position(out, position);
                out.extend_from_slice(b"\",\"op\":\"");
                self.head.op = out.len()..out.len() + op.as_str().len();
                out.extend_from_slice(op.as_str().as_bytes());
                out.put_u8(b'"');
            }
            // The position is told by its parts.
            Format::Protobuf => self.head.op = protobuf::operation(out, op),
        }
        self.buffer.extend_from_slice(&self.database);
        self.head.end = self.buffer.len();
    }

    /// Appends members that are small, and rendered already.
    pub(super) fn rendered(&mut self, members: &[u8]) {
        self.buffer.extend_from_slice(members);
        self.head.end = self.buffer.len();
    }

    pub(super) fn schema(&mut self, schema: &str) {
        let names = names(self.format, Some(schema), None);
        self.rendered(&names);
    }

    pub(super) fn table(&mut self, table: &str) {
        let names = names(self.format, None, Some(table));
        self.rendered(&names);
    }

    pub(super) fn transaction(&mut self, transaction: Transaction, ordinal: u64) {
        self.position(Position::new(transaction.commit_lsn, ordinal));
        let out = &mut self.buffer;
        match self.format {
            Format::Json => {
                out.extend_from_slice(b",\"xid\":");
                json::number(out, u64::from(transaction.xid));
            }
            Format::Protobuf => uint32::encode(field::XID, &transaction.xid, out),
        }
        self.time(transaction.committed_at);
    }

    pub(super) fn position(&mut self, position: Position) {
        let out = &mut self.buffer;
        let Position {
            commit_lsn,
            ordinal,
        } = position;
        match self.format {
            Format::Json => {
                out.extend_from_slice(b",\"lsn\":\"");
                json::lsn(out, commit_lsn);
                out.extend_from_slice(b"\",\"ordinal\":");
                json::number(out, ordinal);
            }
            Format::Protobuf => {
                uint64::encode(field::LSN, &commit_lsn.as_u64(), out);
                uint64::encode(field::ORDINAL, &ordinal, out);
            }
        }
    }

    /// `micros` since 2000-01-01 UTC.
    pub(super) fn time(&mut self, micros: i64) {
        let out = &mut self.buffer;
        match self.format {
            Format::Json => {
                out.extend_from_slice(b",\"committed_at\":\"");
                timestamp::commit_time(out, micros);
                out.put_u8(b'"');
            }
            Format::Protobuf => {
                int64::encode(field::COMMITTED_AT, &server_time::since_1970(micros), out);
            }
        }
        self.head.end = self.buffer.len();
    }

    /// Number of changes in a transaction.
    pub(super) fn changes(&mut self, number: u64) {
        let out = &mut self.buffer;
        match self.format {
            Format::Json => {
                out.extend_from_slice(b",\"changes\":");
                json::number(out, number);
            }
            Format::Protobuf => uint64::encode(field::CHANGES, &number, out),
        }
    }

    /// What a TRUNCATE was given.
    pub(super) fn truncate_flags(&mut self, cascade: bool, restart_identity: bool) {
        match self.format {
            Format::Json => {
                self.json("cascade", &cascade);
                self.json("restart_identity", &restart_identity);
            }
            Format::Protobuf => {
                bool::encode(field::CASCADE, &cascade, &mut self.buffer);
                bool::encode(field::RESTART_IDENTITY, &restart_identity, &mut self.buffer);
            }
        }
    }

    pub(super) fn definition(&mut self, schema: &TableSchema) {
        match self.format {
            Format::Json => self.json("definition", schema),
            Format::Protobuf => {
                message::encode(
                    field::DEFINITION,
                    &pb::Definition::from(schema),
                    &mut self.buffer,
                );
            }
        }
    }

    pub(super) fn ddl(&mut self, ddl: &Ddl) {
        match self.format {
            Format::Json => self.json("ddl", ddl),
            Format::Protobuf => {
                message::encode(field::DDL, &pb::Ddl::from(ddl), &mut self.buffer);
            }
        }
    }

    pub(super) fn gap(&mut self, gap: &Gap) {
        match self.format {
            Format::Json => self.json("gap", gap),
            Format::Protobuf => {
                message::encode(field::GAP, &pb::Gap::from(gap), &mut self.buffer);
            }
        }
    }

    pub(super) fn message(&mut self, written: &WalMessage<'_>) {
        let content = pb::LogicalMessage {
            prefix: written.prefix.to_owned(),
            transactional: written.transaction.is_some(),
            content: Bytes::copy_from_slice(written.content),
        };
        match self.format {
            Format::Json => {
                let content = rowcast_proto::change::LogicalMessage::from(content);
                self.json("message", &content);
            }
            Format::Protobuf => message::encode(field::MESSAGE, &content, &mut self.buffer),
        }
    }

    /// Appends `,"<name>":<value>`: rare members can afford the general serializer.
    fn json(&mut self, name: &str, value: &impl Serialize) {
        let out = &mut self.buffer;
        out.put_u8(b',');
        json::string(out, name);
        out.put_u8(b':');
        let value = serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec());
        out.extend_from_slice(&value);
    }

    /// Appends the bodies of the rows of a pack.
    pub(super) fn pack(&mut self, rows: impl Iterator<Item = Bytes>) {
        let out = &mut self.buffer;
        match self.format {
            Format::Json => {
                let mut separator = &b",\"pack\":["[..];
                for row in rows {
                    out.extend_from_slice(separator);
                    out.extend_from_slice(&row);
                    separator = b",";
                }
                out.put_u8(b']');
            }
            Format::Protobuf => {
                for row in rows {
                    prost::encoding::bytes::encode(field::PACK, &row, out);
                }
            }
        }
    }

    /// Ends the message: in pieces where it has more than `limit` bytes.
    pub(super) fn close(
        &mut self,
        position: Position,
        op: Op,
        limit: usize,
    ) -> Result<Payload, EncodeError> {
        if self.format == Format::Json {
            self.buffer.put_u8(b'}');
        }
        let body = self.buffer.split().freeze();
        let bytes = body.len();
        if bytes > CHUNK {
            // What is left of its memory would keep all of it.
            self.buffer = BytesMut::new();
        }
        if bytes <= limit {
            return Ok(Payload::Whole(body));
        }
        let all = Piece::all(body, &self.head, op, (self.format, limit));
        Ok(Payload::Piece(all.ok_or(EncodeError::LimitTooLow {
            position,
            bytes,
            limit,
        })?))
    }
}

/// The members that name a schema and a table.
pub(super) fn names(format: Format, schema: Option<&str>, table: Option<&str>) -> Vec<u8> {
    let mut out = BytesMut::new();
    let members = [
        ("schema", field::SCHEMA, schema),
        ("table", field::TABLE, table),
    ];
    for (name, tag, text) in members {
        match (format, text) {
            (_, None) => {}
            (Format::Json, Some(text)) => json::member(&mut out, name, text),
            (Format::Protobuf, Some(text)) => protobuf::text(&mut out, tag, text),
        }
    }
    out.to_vec()
}

/// The member that names a table's shape.
pub(super) fn schema_id(format: Format, id: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    match format {
        Format::Json => json::member(&mut out, "schema_id", id),
        Format::Protobuf => protobuf::text(&mut out, field::SCHEMA_ID, id),
    }
    out.to_vec()
}
