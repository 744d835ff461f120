//! Rows of one transaction in one message ([`rowcast_proto::change::Change::pack`]).
//!
//! A pack holds rows that follow each other, whatever their tables, and stands where its last one does:
//! the order of the stream is that of the rows. One row alone is no pack: it goes as if packing were off.

use std::sync::Arc;

use rowcast_domain::TaskId;
use rowcast_proto::subject::{self, Op};

use super::{Closed, EncodeError, Encoder, Outbound, Payload};
use crate::pipeline::change::Transaction;

/// Most rows in a pack: what is left to save with more is little.
const MOST_ROWS: usize = 100;

/// A pack with so many bytes is full.
const ENOUGH_BYTES: usize = 100 * 1000;

/// Room for what surrounds the rows, but for the database's name, in bytes.
const ENVELOPE: usize = 256;

/// Room for what surrounds a row: a comma, or a field's number and length.
const AROUND_A_ROW: usize = 8;

/// Rows of the open transaction that wait for the next ones.
#[derive(Debug)]
pub(super) struct Pack {
    subject: Arc<str>,
    transaction: Transaction,
    rows: Vec<Outbound>,
    bytes: usize,
}

impl Pack {
    pub(super) fn new(task: &TaskId) -> Self {
        let mut subject = String::new();
        subject::change_into(&mut subject, task, Some(0), None, Op::Pack);
        Self {
            subject: subject.into(),
            transaction: Transaction::default(),
            rows: Vec::with_capacity(MOST_ROWS),
            bytes: 0,
        }
    }

    /// Bytes of the rows that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Encoder {
    /// Takes a row where rows are packed; gives it back where it must go alone.
    pub(super) fn pack(
        &mut self,
        row: Closed,
        transaction: Transaction,
        take: &mut impl FnMut(Outbound),
    ) -> Result<Option<Closed>, EncodeError> {
        let room = self
            .limit
            .saturating_sub(ENVELOPE + self.draft.database_len());
        let Some(pack) = &self.packed else {
            return Ok(Some(row));
        };
        let bytes = row.0.payload.len() + AROUND_A_ROW;
        let is_whole = matches!(row.0.payload, Payload::Whole(_));
        if !is_whole || pack.bytes + bytes > room {
            self.close_pack(take)?;
        }
        if !is_whole || bytes > room {
            return Ok(Some(row));
        }
        self.half = None;
        let Some(pack) = &mut self.packed else {
            return Ok(Some(row));
        };
        pack.transaction = transaction;
        pack.rows.push(row.0);
        pack.bytes += bytes;
        if pack.rows.len() >= MOST_ROWS || pack.bytes >= ENOUGH_BYTES {
            self.close_pack(take)?;
        }
        Ok(None)
    }

    /// Gives the rows that wait, if there are any: something else follows.
    pub(super) fn close_pack(
        &mut self,
        take: &mut impl FnMut(Outbound),
    ) -> Result<(), EncodeError> {
        let Some(pack) = &mut self.packed else {
            return Ok(());
        };
        let Some(last) = pack.rows.last() else {
            return Ok(());
        };
        let (position, transaction) = (last.position, pack.transaction);
        let subject = Arc::clone(&pack.subject);
        pack.bytes = 0;
        let mut rows = std::mem::take(&mut pack.rows);
        if rows.len() == 1 {
            rows.drain(..).for_each(take);
        } else {
            self.draft.open(position, Op::Pack);
            self.draft.transaction(transaction, position.ordinal);
            let bodies = rows.drain(..).filter_map(|row| match row.payload {
                Payload::Whole(body) => Some(body),
                Payload::Piece(_) => None,
            });
            self.draft.pack(bodies);
            let Closed(message) = self.close_on(subject, position, Op::Pack)?;
            take(message);
        }
        if let Some(pack) = &mut self.packed {
            // Empty, with its memory.
            pack.rows = rows;
        }
        Ok(())
    }
}
