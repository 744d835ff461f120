//! Messages that are about no row: schema changes, what applications wrote into the WAL, gaps.

use rowcast_domain::Position;
use rowcast_proto::change::Gap;
use rowcast_proto::subject::{self, Op};

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
        self.draft.open(position, Op::Ddl);
        let schema = change.schema.as_deref();
        let table = change.table.as_deref();
        if let Some(schema) = schema {
            self.draft.schema(schema);
        }
        if let Some(table) = table {
            self.draft.table(table);
        }
        self.draft.transaction(change.transaction, position.ordinal);
        self.draft.ddl(&change.ddl);
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
        self.draft.open(position, Op::Message);
        if let Some((transaction, ordinal)) = message.transaction {
            self.draft.transaction(transaction, ordinal);
        } else {
            self.draft.position(position);
            self.draft.time(server_time::now());
        }
        self.draft.message(message);
        self.close(None, None, position, Op::Message)
    }

    /// A message that tells what is missing. `now` in microseconds since 2000-01-01 UTC.
    pub(crate) fn gap(&mut self, gap: &Gap, now: i64) -> Result<Outbound, EncodeError> {
        let position = Position::new(gap.to, 0);
        self.draft.open(position, Op::Gap);
        self.draft.position(position);
        self.draft.time(now);
        self.draft.gap(gap);
        let gap = self.close(None, None, position, Op::Gap)?;
        Ok(self.alone(gap))
    }

    /// A message that tells that a change is parked.
    pub(crate) fn undecodable(
        &mut self,
        change: &Undecodable,
        mut take: impl FnMut(Outbound),
    ) -> Result<(), EncodeError> {
        self.close_pack(&mut take)?;
        let lsn = change.transaction.commit_lsn;
        let position = Position::new(lsn, change.ordinal);
        let table = &change.relation.schema;
        self.draft.open(position, Op::Gap);
        self.draft.schema(&table.schema);
        self.draft.table(&table.table);
        self.draft.transaction(change.transaction, change.ordinal);
        let gap = Gap {
            code: change.code.to_owned(),
            cause: change.reason.clone(),
            from: lsn,
            to: lsn,
        };
        self.draft.gap(&gap);
        let object = subject::object(&table.schema, &table.table);
        let gap = self.close(None, Some(&object), position, Op::Gap)?;
        take(self.alone(gap));
        Ok(())
    }
}
