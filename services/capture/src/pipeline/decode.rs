//! Stage 2: frames to changes. Synchronous; its only state is the open transaction and the
//! relations seen in this session.

pub(crate) mod message;
pub(crate) mod relation;
pub(crate) mod kind;

use std::collections::HashMap;
use std::sync::Arc;

use rowcast_domain::Lsn;

use self::message::{MalformedMessage, Message, RelationBody};
use super::change::{Change, Images, Relation, RowChange, Transaction};

/// What a frame says.
#[derive(Debug)]
pub(crate) enum Decoded<'a> {
    /// Something happened.
    Change(Change<'a>),
    /// A table's shape: to be looked up and given to [`Decoder::define`] before the next frame.
    Shape(RelationBody<'a>),
    /// Nothing that concerns us.
    Nothing,
}

/// A frame that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The bytes are no message.
    #[error("the message at {lsn} cannot be decoded")]
    Malformed {
        /// Where in the WAL.
        lsn: Lsn,
        /// What is wrong.
        #[source]
        source: MalformedMessage,
    },
    /// Messages come in an order that the protocol excludes.
    #[error("the message at {lsn} does not fit what came before: {problem}")]
    OutOfOrder {
        /// Where in the WAL.
        lsn: Lsn,
        /// What does not fit.
        problem: &'static str,
    },
}

/// Turns frames into changes.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    open: Option<(Transaction, u64)>,
    relations: HashMap<u32, Arc<Relation>>,
}

impl Decoder {
    /// Whether a transaction has begun to arrive and not ended.
    pub(crate) const fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a table's shape, for the rows that follow.
    pub(crate) fn define(&mut self, relation: Arc<Relation>) {
        self.relations.insert(relation.oid, relation);
    }

    /// Decodes one frame. `lsn` says where it stands, for errors.
    ///
    /// # Errors
    /// Where the frame is malformed or out of order: nothing after it can be trusted.
    pub(crate) fn decode<'a>(
        &'a mut self,
        lsn: Lsn,
        data: &'a [u8],
    ) -> Result<Decoded<'a>, DecodeError> {
        let message =
            message::parse(data).map_err(|source| DecodeError::Malformed { lsn, source })?;
        let wrong = |problem| DecodeError::OutOfOrder { lsn, problem };
        match message {
            Message::Origin | Message::Type => Ok(Decoded::Nothing),
            Message::Relation(body) => Ok(Decoded::Shape(body)),
            Message::Begin {
                commit_lsn,
                committed_at,
                xid,
            } => {
                if self.open.is_some() {
                    return Err(wrong("a transaction begins within another"));
                }
                let transaction = Transaction {
                    commit_lsn,
                    committed_at,
                    xid,
                };
                self.open = Some((transaction, 0));
                Ok(Decoded::Change(Change::Begin(transaction)))
            }
            Message::Commit {
                commit_lsn,
                end_lsn,
            } => {
                let (transaction, changes) = self
                    .open
                    .take()
                    .ok_or_else(|| wrong("a commit without a transaction"))?;
                if transaction.commit_lsn != commit_lsn {
                    return Err(wrong("a commit of another transaction"));
                }
                Ok(Decoded::Change(Change::Commit {
                    transaction,
                    end_lsn,
                    changes,
                }))
            }
            Message::Insert { relation, new } => self.row(lsn, relation, Images::Insert { new }),
            Message::Update { relation, old, new } => {
                self.row(lsn, relation, Images::Update { old, new })
            }
            Message::Delete { relation, old } => self.row(lsn, relation, Images::Delete { old }),
            Message::Truncate {
                relations,
                cascade,
                restart_identity,
            } => self.truncate(lsn, &relations, cascade, restart_identity),
        }
    }

    fn truncate(
        &mut self,
        lsn: Lsn,
        oids: &[u32],
        cascade: bool,
        restart_identity: bool,
    ) -> Result<Decoded<'_>, DecodeError> {
        let wrong = |problem| DecodeError::OutOfOrder { lsn, problem };
        let relations = oids
            .iter()
            .map(|oid| self.relations.get(oid).cloned())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| wrong("a truncate of a table without a shape"))?;
        let (transaction, first_ordinal) = self
            .next_ordinals(relations.len() as u64)
            .ok_or_else(|| wrong("a truncate outside a transaction"))?;
        Ok(Decoded::Change(Change::Truncate {
            transaction,
            first_ordinal,
            relations,
            cascade,
            restart_identity,
        }))
    }

    fn row<'a>(
        &'a mut self,
        lsn: Lsn,
        oid: u32,
        images: Images<'a>,
    ) -> Result<Decoded<'a>, DecodeError> {
        let wrong = |problem| DecodeError::OutOfOrder { lsn, problem };
        let (transaction, ordinal) = self
            .next_ordinals(1)
            .ok_or_else(|| wrong("a row outside a transaction"))?;
        let relation = self
            .relations
            .get(&oid)
            .ok_or_else(|| wrong("a row of a table without a shape"))?;
        let columns = relation.kinds.len();
        let fits = match images {
            Images::Insert { new } | Images::Update { old: None, new } => new.len() == columns,
            Images::Update {
                old: Some(old),
                new,
            } => old.tuple().len() == columns && new.len() == columns,
            Images::Delete { old } => old.tuple().len() == columns,
        };
        if !fits {
            return Err(wrong("a row with another number of columns than its table"));
        }
        Ok(Decoded::Change(Change::Row(RowChange {
            transaction,
            ordinal,
            relation,
            images,
        })))
    }

    /// The first of `count` new ordinals.
    const fn next_ordinals(&mut self, count: u64) -> Option<(Transaction, u64)> {
        match &mut self.open {
            Some((transaction, last)) => {
                let first = *last + 1;
                *last += count;
                Some((*transaction, first))
            }
            None => None,
        }
    }
}
