//! Messages that are about no row: schema changes, what applications wrote into the WAL, gaps.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rowcast_domain::Position;
use rowcast_proto::change::{Gap, LogicalMessage};
use rowcast_proto::subject::{self, Op};
use serde::Serialize;

use super::row::member;
use super::{Closed, EncodeError, Encoder, Outbound};
use crate::pipeline::change::{Change, DdlChange, WalMessage};
use crate::pipeline::decode::Undecodable;
use crate::server_time;

impl Encoder {
    /// Encodes what is about no row.
    pub(super) fn event(
        &mut self,
        change: &Change<'_>,
        take: &mut impl FnMut(Outbound),
    ) -> Result<(), EncodeError> {
        let message = match change {
            Change::Ddl(ddl) => self.ddl(ddl)?,
            Change::Message(message) => self.wal_message(message)?,
            Change::Begin(_) | Change::Row(_) | Change::Truncate { .. } | Change::Commit { .. } => {
                return Ok(());
            }
        };
        self.give(message, take);
        Ok(())
    }

    /// A message that tells a change of the schema.
    fn ddl(&mut self, change: &DdlChange) -> Result<Closed, EncodeError> {
        let position = change.position();
        self.open(position, Op::Ddl);
        let schema = change.schema.as_deref();
        let table = change.table.as_deref();
        if let Some(schema) = schema {
            member(&mut self.buffer, "schema", schema);
        }
        if let Some(table) = table {
            member(&mut self.buffer, "table", table);
        }
        self.transaction_members(change.transaction, position.ordinal);
        self.object_member("ddl", &change.ddl);
        let object = schema.map(|schema| match table {
            Some(table) => subject::object(schema, table),
            None => format!("{}.{}", subject::escape(schema), subject::NO_OBJECT),
        });
        self.close(None, object.as_deref(), position, Op::Ddl)
    }

    /// A message that tells what an application wrote into the WAL. The time of one without a
    /// transaction is ours: the server sends none.
    fn wal_message(&mut self, message: &WalMessage<'_>) -> Result<Closed, EncodeError> {
        let position = message.position();
        self.open(position, Op::Message);
        if let Some((transaction, ordinal)) = message.transaction {
            self.transaction_members(transaction, ordinal);
        } else {
            self.position_members(position);
            self.time_member(server_time::now());
        }
        let text = std::str::from_utf8(message.content);
        let content = LogicalMessage {
            prefix: message.prefix.to_owned(),
            transactional: message.transaction.is_some(),
            text: text.ok().map(str::to_owned),
            base64: text.is_err().then(|| STANDARD.encode(message.content)),
        };
        self.object_member("message", &content);
        self.close(None, None, position, Op::Message)
    }

    /// A message that tells what is missing. `now` in microseconds since 2000-01-01 UTC.
    pub(crate) fn gap(&mut self, gap: &Gap, now: i64) -> Result<Outbound, EncodeError> {
        let position = Position::new(gap.to, 0);
        self.open(position, Op::Gap);
        self.position_members(position);
        self.time_member(now);
        self.object_member("gap", gap);
        let gap = self.close(None, None, position, Op::Gap)?;
        Ok(self.alone(gap))
    }

    /// A message that tells that a change cannot be read and is parked.
    pub(crate) fn undecodable(
        &mut self,
        change: &Undecodable,
        mut take: impl FnMut(Outbound),
    ) -> Result<(), EncodeError> {
        self.close_pack(&mut take)?;
        let lsn = change.transaction.commit_lsn;
        let position = Position::new(lsn, change.ordinal);
        let table = &change.relation.schema;
        self.open(position, Op::Gap);
        member(&mut self.buffer, "schema", &table.schema);
        member(&mut self.buffer, "table", &table.table);
        self.transaction_members(change.transaction, change.ordinal);
        let gap = Gap {
            code: "UndecodableChange".to_owned(),
            cause: change.reason.clone(),
            from: lsn,
            to: lsn,
        };
        self.object_member("gap", &gap);
        let object = subject::object(&table.schema, &table.table);
        let gap = self.close(None, Some(&object), position, Op::Gap)?;
        take(self.alone(gap));
        Ok(())
    }

    /// Appends `,"<name>":<value>`: rare messages can afford the general serializer.
    fn object_member(&mut self, name: &str, value: &impl Serialize) {
        self.buffer.extend_from_slice(b",\"");
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b"\":");
        let value = serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec());
        self.buffer.extend_from_slice(&value);
    }
}
