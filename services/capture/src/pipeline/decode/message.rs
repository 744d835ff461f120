//! pgoutput bytes to messages (PostgreSQL docs, "Logical Replication Message Formats").
//!
//! Pure and total: any bytes give a message or an error that names the byte. Messages borrow from
//! the frame.

mod reader;
pub(crate) mod tuple_buffer;

use rowcast_domain::Lsn;

use reader::Reader;

/// A message of protocol version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// A transaction starts to arrive.
    Begin {
        /// LSN of its commit record.
        commit_lsn: Lsn,
        /// Microseconds since 2000-01-01 UTC.
        committed_at: i64,
        /// Its id.
        xid: u32,
    },
    /// A transaction has arrived.
    Commit {
        /// LSN of its commit record.
        commit_lsn: Lsn,
        /// End of its commit record: what is confirmed.
        end_lsn: Lsn,
    },
    /// Where the transaction first came from, where that was another server.
    Origin,
    /// The shape of a table; before its first row in a session and after each change of shape.
    Relation(RelationBody<'a>),
    /// The name of a type that is not built in; before a relation that uses it.
    Type,
    /// A row was inserted.
    Insert {
        /// The table's OID.
        relation: u32,
        /// The new row.
        new: Tuple<'a>,
    },
    /// A row was updated.
    Update {
        /// The table's OID.
        relation: u32,
        /// What was sent of the old row.
        old: Option<OldTuple<'a>>,
        /// The new row.
        new: Tuple<'a>,
    },
    /// A row was deleted.
    Delete {
        /// The table's OID.
        relation: u32,
        /// What was sent of the old row.
        old: OldTuple<'a>,
    },
    /// Tables were emptied.
    Truncate {
        /// Their OIDs.
        relations: Vec<u32>,
        /// CASCADE was given.
        cascade: bool,
        /// RESTART IDENTITY was given.
        restart_identity: bool,
    },
    /// An application wrote a message into the WAL (`pg_logical_emit_message`; sent since 14).
    Logical {
        /// It belongs to the open transaction.
        transactional: bool,
        /// End of its WAL record.
        lsn: Lsn,
        /// Its prefix.
        prefix: &'a str,
        /// Its content.
        content: &'a [u8],
    },
}

/// The shape of a table as the server tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelationBody<'a> {
    /// The table's OID.
    pub(crate) oid: u32,
    /// Its schema.
    pub(crate) schema: &'a str,
    /// Its name.
    pub(crate) table: &'a str,
    /// `pg_class.relreplident`: d, n, f or i.
    pub(crate) replica_identity: u8,
    /// Its columns.
    pub(crate) columns: Vec<ColumnBody<'a>>,
}

/// A column as the server tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnBody<'a> {
    /// Part of the replica identity.
    pub(crate) identity: bool,
    /// Its name.
    pub(crate) name: &'a str,
    /// OID of its type.
    pub(crate) type_oid: u32,
    /// Its type modifier.
    pub(crate) modifier: i32,
}

/// What was sent of an old row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldTuple<'a> {
    /// The replica identity's columns; the others are null.
    Key(Tuple<'a>),
    /// The whole row: REPLICA IDENTITY FULL.
    Full(Tuple<'a>),
}

/// A row: known to be well formed, read column by column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tuple<'a> {
    columns: u16,
    bytes: &'a [u8],
}

/// One column of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Datum<'a> {
    /// NULL.
    Null,
    /// Unchanged and not sent (TOAST).
    Unchanged,
    /// The server's text.
    Text(&'a str),
}

/// The bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MalformedMessage {
    /// The message ends too early.
    #[error("the message ends at byte {at} within {reading}")]
    Short {
        /// Offset.
        at: usize,
        /// What was being read.
        reading: &'static str,
    },
    /// The message goes on after its end.
    #[error("{bytes} bytes are left after the message")]
    Long {
        /// How many.
        bytes: usize,
    },
    /// A byte that has no meaning there.
    #[error("byte {byte:#04x} at {at} is no {reading}")]
    Unknown {
        /// The byte.
        byte: u8,
        /// Offset.
        at: usize,
        /// What was being read.
        reading: &'static str,
    },
    /// A text that is not UTF-8, though the session's encoding is.
    #[error("the {reading} at byte {at} is not UTF-8")]
    NotUtf8 {
        /// Offset.
        at: usize,
        /// What was being read.
        reading: &'static str,
    },
}

/// Parses one message.
///
/// # Errors
/// Where the bytes are no message of protocol version 1.
pub(crate) fn parse(bytes: &[u8]) -> Result<Message<'_>, MalformedMessage> {
    let mut reader = Reader { bytes, at: 0 };
    let message = match reader.u8("message type")? {
        b'B' => Message::Begin {
            commit_lsn: reader.lsn("commit LSN")?,
            committed_at: reader.i64("commit time")?,
            xid: reader.u32("transaction id")?,
        },
        b'C' => {
            let _flags = reader.u8("flags")?;
            let commit_lsn = reader.lsn("commit LSN")?;
            let end_lsn = reader.lsn("end LSN")?;
            let _committed_at = reader.i64("commit time")?;
            Message::Commit {
                commit_lsn,
                end_lsn,
            }
        }
        b'O' => {
            let _lsn = reader.lsn("origin LSN")?;
            let _name = reader.text("origin name")?;
            Message::Origin
        }
        b'R' => Message::Relation(reader.relation()?),
        b'Y' => {
            let _oid = reader.u32("type OID")?;
            let _schema = reader.text("type schema")?;
            let _name = reader.text("type name")?;
            Message::Type
        }
        b'I' => {
            let relation = reader.u32("relation OID")?;
            reader.expect(b'N', "new tuple mark")?;
            Message::Insert {
                relation,
                new: reader.tuple()?,
            }
        }
        b'U' => reader.update()?,
        b'D' => {
            let relation = reader.u32("relation OID")?;
            let mark = reader.u8("old tuple mark")?;
            Message::Delete {
                relation,
                old: reader.old_tuple(mark)?,
            }
        }
        b'T' => reader.truncate()?,
        b'M' => reader.logical()?,
        byte => {
            return Err(MalformedMessage::Unknown {
                byte,
                at: 0,
                reading: "message type",
            });
        }
    };
    match bytes.len() - reader.at {
        0 => Ok(message),
        bytes => Err(MalformedMessage::Long { bytes }),
    }
}

/// The table of a row change, though the rest of it may not be readable.
pub(crate) fn table_of(bytes: &[u8]) -> Option<u32> {
    match bytes {
        [b'I' | b'U' | b'D', a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

impl<'a> OldTuple<'a> {
    /// The row, whatever it holds.
    pub(crate) fn tuple(self) -> Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => tuple,
        }
    }
}

impl<'a> Tuple<'a> {
    /// Its columns in the table's order.
    pub(crate) fn datums(self) -> impl Iterator<Item = Datum<'a>> {
        let mut reader = Reader {
            bytes: self.bytes,
            at: 0,
        };
        // `Reader::tuple` has read the same bytes without an error.
        (0..self.columns).map_while(move |_| reader.datum().ok())
    }

    /// Those of its columns that are wanted, with their numbers.
    pub(crate) fn wanted(
        self,
        wanted: impl Iterator<Item = bool>,
    ) -> impl Iterator<Item = (usize, Datum<'a>)> {
        let mut reader = Reader {
            bytes: self.bytes,
            at: 0,
        };
        let columns = (0..usize::from(self.columns)).zip(wanted);
        // As in `datums`: read before without an error.
        columns.filter_map(move |(column, wanted)| {
            if wanted {
                reader.datum().ok().map(|datum| (column, datum))
            } else {
                reader.pass().ok().and(None)
            }
        })
    }

    /// How many columns it has.
    pub(crate) fn len(self) -> usize {
        usize::from(self.columns)
    }
}

impl<'a> Reader<'a> {
    fn relation(&mut self) -> Result<RelationBody<'a>, MalformedMessage> {
        let oid = self.u32("relation OID")?;
        let schema = self.text("schema name")?;
        let table = self.text("table name")?;
        let replica_identity = self.u8("replica identity")?;
        let count = self.u16("number of columns")?;
        let columns = (0..count)
            .map(|_| {
                Ok(ColumnBody {
                    identity: self.u8("column flags")? & 1 == 1,
                    name: self.text("column name")?,
                    type_oid: self.u32("type OID")?,
                    modifier: i32::from_be_bytes(self.array("type modifier")?),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(RelationBody {
            oid,
            // pg_catalog is sent as an empty name.
            schema: if schema.is_empty() {
                "pg_catalog"
            } else {
                schema
            },
            table,
            replica_identity,
            columns,
        })
    }

    fn update(&mut self) -> Result<Message<'a>, MalformedMessage> {
        let relation = self.u32("relation OID")?;
        let at = self.at;
        let old = match self.u8("tuple mark")? {
            b'N' => None,
            mark @ (b'K' | b'O') => {
                let old = self.old_tuple(mark)?;
                self.expect(b'N', "new tuple mark")?;
                Some(old)
            }
            byte => {
                return Err(MalformedMessage::Unknown {
                    byte,
                    at,
                    reading: "tuple mark",
                });
            }
        };
        Ok(Message::Update {
            relation,
            old,
            new: self.tuple()?,
        })
    }

    fn old_tuple(&mut self, mark: u8) -> Result<OldTuple<'a>, MalformedMessage> {
        match mark {
            b'K' => Ok(OldTuple::Key(self.tuple()?)),
            b'O' => Ok(OldTuple::Full(self.tuple()?)),
            byte => {
                let at = self.at.saturating_sub(1);
                Err(MalformedMessage::Unknown {
                    byte,
                    at,
                    reading: "old tuple mark",
                })
            }
        }
    }

    fn truncate(&mut self) -> Result<Message<'a>, MalformedMessage> {
        let count = self.u32("number of relations")?;
        let options = self.u8("truncate options")?;
        let relations = (0..count)
            .map(|_| self.u32("relation OID"))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Message::Truncate {
            relations,
            cascade: options & 1 != 0,
            restart_identity: options & 2 != 0,
        })
    }

    fn logical(&mut self) -> Result<Message<'a>, MalformedMessage> {
        let flags = self.u8("message flags")?;
        let lsn = self.lsn("message LSN")?;
        let prefix = self.text("message prefix")?;
        let length = self.u32("message length")?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(Message::Logical {
            transactional: flags & 1 == 1,
            lsn,
            prefix,
            content: self.take(length, "message content")?,
        })
    }

    /// Walks over a row once, so that reading it later cannot fail.
    fn tuple(&mut self) -> Result<Tuple<'a>, MalformedMessage> {
        let columns = self.u16("number of columns")?;
        let start = self.at;
        for _ in 0..columns {
            self.datum()?;
        }
        let bytes = self.bytes.get(start..self.at).unwrap_or_default();
        Ok(Tuple { columns, bytes })
    }

    fn datum(&mut self) -> Result<Datum<'a>, MalformedMessage> {
        match self.u8("column kind")? {
            b'n' => Ok(Datum::Null),
            b'u' => Ok(Datum::Unchanged),
            b't' => {
                let length = self.length()?;
                let at = self.at;
                let text = std::str::from_utf8(self.take(length, "value")?);
                let not_utf8 = |_error| MalformedMessage::NotUtf8 {
                    at,
                    reading: "value",
                };
                Ok(Datum::Text(text.map_err(not_utf8)?))
            }
            byte => Err(MalformedMessage::Unknown {
                byte,
                at: self.at - 1,
                reading: "column kind",
            }),
        }
    }

    /// Goes past a datum that was read before.
    fn pass(&mut self) -> Result<(), MalformedMessage> {
        if self.u8("column kind")? == b't' {
            let length = self.length()?;
            self.take(length, "value")?;
        }
        Ok(())
    }

    /// Bytes of the value that follows.
    fn length(&mut self) -> Result<usize, MalformedMessage> {
        let length = self.u32("value length")?;
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests;
