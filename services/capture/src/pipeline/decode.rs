//! Stage 2: frames to changes. Synchronous; its only state is the open transaction and the
//! relations seen in this session.

pub(crate) mod message;
pub(crate) mod relation;
pub(crate) mod kind;
mod ddl;

use std::sync::Arc;

use foldhash::HashMap;
use rowcast_domain::Lsn;
use rowcast_pg::ddl_trigger::{MESSAGE_PREFIX, PADDING_PREFIX};

use self::message::{MalformedMessage, Message, RelationBody};
use super::change::{Change, Images, Relation, RowChange, Transaction, WalMessage};
use super::filter::{Filter, Kinds};

/// What a frame says.
#[derive(Debug)]
pub(crate) enum Decoded<'a> {
    /// Something happened.
    Change(Change<'a>),
    /// A change of a tracked table that cannot be read; the others can.
    Undecodable(Undecodable),
    /// A table's shape: to be looked up and given to [`Decoder::define`] before the next frame.
    Shape(RelationBody<'a>),
    /// Nothing that concerns us.
    Nothing,
}

/// The source has sent what cannot be read.
const UNDECODABLE: &str = "UndecodableChange";

/// A change that cannot be told.
#[derive(Debug)]
pub(crate) struct Undecodable {
    /// Stable name of what is wrong.
    pub(crate) code: &'static str,
    /// Its transaction.
    pub(crate) transaction: Transaction,
    /// Its number there.
    pub(crate) ordinal: u64,
    /// Its table.
    pub(crate) relation: Arc<Relation>,
    /// What is wrong with it.
    pub(crate) reason: String,
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
    open: Option<Open>,
    relations: HashMap<u32, Known>,
    filter: Filter,
}

/// The transaction that arrives.
#[derive(Debug)]
struct Open {
    transaction: Transaction,
    /// Number of its last change. All are counted, so that a position does not move when the objects
    /// do.
    ordinal: u64,
    /// How many of them are tracked.
    tracked: u64,
    /// It is told by the objects before the last change of them.
    before: bool,
}

/// A table with what the filter says of it.
#[derive(Debug)]
struct Known {
    relation: Arc<Relation>,
    /// Its changes are told, now.
    tracked: bool,
    /// They are, before the last change of the objects.
    tracked_before: bool,
}

impl Decoder {
    /// Decodes what `filter` lets through.
    pub(crate) fn new(filter: Filter) -> Self {
        Self {
            filter,
            ..Self::default()
        }
    }

    /// What the task tracks.
    pub(crate) const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Tracks something else from the next transaction on.
    pub(crate) fn set_filter(&mut self, filter: Filter) {
        self.filter = filter;
        let known = std::mem::take(&mut self.relations);
        for known in known.into_values() {
            self.define(known.relation);
        }
    }

    /// Whether a transaction has begun to arrive and not ended.
    pub(crate) const fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a table's shape, for the rows that follow.
    pub(crate) fn define(&mut self, relation: Arc<Relation>) {
        let known = Known {
            tracked: self.filter.tracked(false).holds(&relation),
            tracked_before: self.filter.tracked(true).holds(&relation),
            relation,
        };
        self.relations.insert(known.relation.oid, known);
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
        let message = match message::parse(data) {
            Ok(message) => message,
            Err(source) => return self.undecodable(lsn, data, source),
        };
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
                self.open = Some(Open {
                    transaction,
                    ordinal: 0,
                    tracked: 0,
                    before: self.filter.is_before(commit_lsn),
                });
                Ok(Decoded::Change(Change::Begin(transaction)))
            }
            Message::Commit {
                commit_lsn,
                end_lsn,
            } => {
                let open = self
                    .open
                    .take()
                    .ok_or_else(|| wrong("a commit without a transaction"))?;
                if open.transaction.commit_lsn != commit_lsn {
                    return Err(wrong("a commit of another transaction"));
                }
                Ok(Decoded::Change(Change::Commit {
                    transaction: open.transaction,
                    end_lsn,
                    changes: open.ordinal,
                    tracked: open.tracked,
                }))
            }
            Message::Logical {
                transactional,
                lsn,
                prefix,
                content,
            } => self.logical(transactional, lsn, prefix, content),
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

    /// What is known of a change that cannot be read: of a row at least its table.
    ///
    /// # Errors
    /// Where not even that is known: nothing after it can be trusted.
    fn undecodable<'a>(
        &mut self,
        lsn: Lsn,
        data: &[u8],
        source: MalformedMessage,
    ) -> Result<Decoded<'a>, DecodeError> {
        let known = message::table_of(data).and_then(|oid| self.relations.get(&oid));
        let (Some(open), Some(known)) = (self.open.as_mut(), known) else {
            return Err(DecodeError::Malformed { lsn, source });
        };
        open.ordinal += 1;
        if !known.is_tracked(open.before) {
            return Ok(Decoded::Nothing);
        }
        open.tracked += 1;
        Ok(Decoded::Undecodable(Undecodable {
            code: UNDECODABLE,
            transaction: open.transaction,
            ordinal: open.ordinal,
            relation: Arc::clone(&known.relation),
            reason: source.to_string(),
        }))
    }

    fn truncate(
        &mut self,
        lsn: Lsn,
        oids: &[u32],
        cascade: bool,
        restart_identity: bool,
    ) -> Result<Decoded<'_>, DecodeError> {
        let wrong = |problem| DecodeError::OutOfOrder { lsn, problem };
        let open = self
            .open
            .as_mut()
            .ok_or_else(|| wrong("a truncate outside a transaction"))?;
        let kinds = self.filter.tracked(open.before).kinds;
        let truncates = kinds.has(Kinds::TRUNCATE);
        let mut relations = Vec::with_capacity(oids.len());
        for oid in oids {
            let known = self
                .relations
                .get(oid)
                .ok_or_else(|| wrong("a truncate of a table without a shape"))?;
            open.ordinal += 1;
            if truncates && known.is_tracked(open.before) {
                open.tracked += 1;
                relations.push((open.ordinal, Arc::clone(&known.relation)));
            }
        }
        if relations.is_empty() {
            return Ok(Decoded::Nothing);
        }
        Ok(Decoded::Change(Change::Truncate {
            transaction: open.transaction,
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
        let open = self
            .open
            .as_mut()
            .ok_or_else(|| wrong("a row outside a transaction"))?;
        open.ordinal += 1;
        let known = self
            .relations
            .get(&oid)
            .ok_or_else(|| wrong("a row of a table without a shape"))?;
        let relation = &known.relation;
        if !images.fit(relation.kinds.len()) {
            return Err(wrong("a row with another number of columns than its table"));
        }
        if ddl::is_log(relation) {
            let Images::Insert { new } = images else {
                return Ok(Decoded::Nothing);
            };
            let event = ddl::read_row(relation, new);
            return Ok(event
                .and_then(|event| open.ddl(event, &self.filter))
                .map_or(Decoded::Nothing, Decoded::Change));
        }
        let kinds = self.filter.tracked(open.before).kinds;
        if !known.is_tracked(open.before) || !kinds.has(kind_of(images)) {
            return Ok(Decoded::Nothing);
        }
        open.tracked += 1;
        Ok(Decoded::Change(Change::Row(RowChange {
            transaction: open.transaction,
            ordinal: open.ordinal,
            relation,
            images,
        })))
    }

    /// A logical message; one with the prefix of the trigger on the source is a schema change.
    fn logical<'a>(
        &mut self,
        transactional: bool,
        lsn: Lsn,
        prefix: &'a str,
        content: &'a [u8],
    ) -> Result<Decoded<'a>, DecodeError> {
        let message = |transaction| {
            Decoded::Change(Change::Message(WalMessage {
                transaction,
                lsn,
                prefix,
                content,
            }))
        };
        if !transactional {
            return Ok(message(None));
        }
        let problem = "a message of a transaction outside of any";
        let open = self
            .open
            .as_mut()
            .ok_or(DecodeError::OutOfOrder { lsn, problem })?;
        open.ordinal += 1;
        if prefix == PADDING_PREFIX {
            // Not counted: it stands where decoding may take it for earlier or later than its neighbour.
            open.ordinal -= 1;
            return Ok(Decoded::Nothing);
        }
        if prefix == MESSAGE_PREFIX
            && let Some(event) = ddl::read(content)
        {
            let change = open.ddl(event, &self.filter);
            return Ok(change.map_or(Decoded::Nothing, Decoded::Change));
        }
        open.tracked += 1;
        Ok(message(Some((open.transaction, open.ordinal))))
    }
}

const fn kind_of(images: Images<'_>) -> Kinds {
    match images {
        Images::Insert { .. } => Kinds::INSERT,
        Images::Update { .. } => Kinds::UPDATE,
        Images::Delete { .. } => Kinds::DELETE,
    }
}

impl Open {
    /// The schema change, if the task wants to know of it.
    fn ddl<'a>(&mut self, event: ddl::Event, filter: &Filter) -> Option<Change<'a>> {
        let tracked = filter.tracked(self.before);
        if !tracked.schema_changes || !event.concerns(tracked) {
            return None;
        }
        self.tracked += 1;
        let change = event.in_transaction(self.transaction, self.ordinal);
        Some(Change::Ddl(Box::new(change)))
    }
}

impl Known {
    const fn is_tracked(&self, before: bool) -> bool {
        if before {
            self.tracked_before
        } else {
            self.tracked
        }
    }
}
