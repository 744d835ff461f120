//! What the stream's end says after any doubt. The stream itself is the checkpoint.

mod protobuf;

use data_encoding::{BASE64, HEXLOWER};
use rowcast_bus::async_nats::jetstream::stream::Stream;
use rowcast_domain::{Lsn, Position};
use rowcast_proto::change::is_json;
use rowcast_proto::subject::Op;
use serde::Deserialize;

use crate::error::Error;
use crate::metrics;
use crate::server_time;

/// The end of a task's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tail {
    /// Sequence of the last message ever stored, 0 for none.
    pub(crate) sequence: u64,
    /// The last message; absent where none is left.
    pub(crate) last: Option<Last>,
}

/// The last message of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Last {
    /// Everything up to here is stored: the message's position, or, where the stream ends in the
    /// middle of its pieces, what lies before it.
    pub(crate) position: Position,
    /// What it says; of a piece, what the whole says.
    pub(crate) op: Op,
    /// The message that is stored in part.
    pub(crate) half: Option<Half>,
    /// When its transaction was committed, in microseconds since 2000-01-01 UTC, where that is known.
    pub(crate) committed_at: Option<i64>,
}

/// A message of which the stream holds the first pieces, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Half {
    /// Its position.
    pub(crate) position: Position,
    /// What it says.
    pub(crate) op: Op,
    /// Bytes of it that are stored.
    pub(crate) end: u64,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// Its SHA-256.
    pub(crate) sha256: [u8; 32],
}

impl Half {
    /// Whether retention has removed the first pieces already: `first` is the oldest message of the
    /// stream. Nobody could join the rest to anything then.
    fn lacks_its_start(&self, first: &[u8]) -> bool {
        if !is_json(first) {
            return protobuf::offset(first)
                .is_some_and(|(position, offset)| position == self.position && offset > 0);
        }
        serde_json::from_slice::<Body<'_>>(first).is_ok_and(|first| {
            first.id == self.position && first.part.is_some_and(|part| part.offset > 0)
        })
    }
}

/// Up to where the stream is whole when it ends in the middle of the message at `position`.
pub(crate) fn whole_before(position: Position, op: Op) -> Position {
    if op == Op::Schema {
        // It shares the position of the change before it, which is stored.
        return position;
    }
    match position.ordinal.checked_sub(1) {
        Some(ordinal) => Position::new(position.commit_lsn, ordinal),
        None => Position::new(
            Lsn::new(position.commit_lsn.as_u64().saturating_sub(1)),
            u64::MAX,
        ),
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    id: Position,
    op: &'a str,
    committed_at: Option<&'a str>,
    #[serde(borrow)]
    part: Option<PartBody<'a>>,
}

/// Borrows: the data is as large as a message may be, and is not wanted.
#[derive(Deserialize)]
struct PartBody<'a> {
    op: &'a str,
    offset: u64,
    bytes: u64,
    sha256: &'a str,
    data: &'a str,
}

impl Last {
    /// A message of which only the position is known: ordinal 0 is a heartbeat's, or a begin marker's,
    /// which may then come twice rather than not at all.
    pub(crate) const fn at(position: Position) -> Self {
        let op = if position.ordinal == 0 {
            Op::Heartbeat
        } else {
            Op::Commit
        };
        Self {
            position,
            op,
            half: None,
            committed_at: None,
        }
    }

    /// Reads a message; `None` where it is not ours.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        if !is_json(payload) {
            return protobuf::last(payload);
        }
        let body: Body<'_> = serde_json::from_slice(payload).ok()?;
        let position = body.id;
        let committed_at = body.committed_at.and_then(server_time::from_rfc3339);
        let Some(part) = body.part else {
            let op = Op::from_name(body.op)?;
            return Some(Self {
                position,
                op,
                half: None,
                committed_at,
            });
        };
        let op = Op::from_name(part.op)?;
        let length = BASE64.decode(part.data.as_bytes()).ok()?.len();
        let end = part.offset.checked_add(length as u64)?;
        let sha256 = HEXLOWER.decode(part.sha256.as_bytes()).ok()?;
        let half = Half {
            position,
            op,
            end,
            bytes: part.bytes,
            sha256: sha256.try_into().ok()?,
        };
        Some(Self::behind(half, committed_at))
    }

    /// What a piece says.
    fn behind(half: Half, committed_at: Option<i64>) -> Self {
        let is_whole = half.end >= half.bytes;
        Self {
            position: if is_whole {
                half.position
            } else {
                whole_before(half.position, half.op)
            },
            op: half.op,
            half: (!is_whole).then_some(half),
            committed_at,
        }
    }
}

impl Tail {
    /// Reads the tail through the stream's leader: other replicas may lag (NATS ADR-8, ADR-31).
    ///
    /// # Errors
    /// Where the broker does not answer, or the last message is not ours.
    pub(crate) async fn read(stream: &Stream) -> Result<Self, Error> {
        let info = stream.get_info().await.map_err(Error::broker)?;
        let state = info.state;
        metrics::tail_read();
        tracing::info!(
            stream = info.config.name,
            sequence = state.last_sequence,
            "tail read"
        );
        if state.messages == 0 {
            return Ok(Self {
                sequence: state.last_sequence,
                last: None,
            });
        }
        let message = stream
            .get_raw_message(state.last_sequence)
            .await
            .map_err(Error::broker)?;
        let mut last = Last::read(&message.payload).ok_or(Error::ForeignMessage {
            sequence: state.last_sequence,
        })?;
        if let Some(half) = last.half {
            let first = stream
                .get_raw_message(state.first_sequence)
                .await
                .map_err(Error::broker)?;
            last.half = (!half.lacks_its_start(&first.payload)).then_some(half);
        }
        Ok(Self {
            sequence: state.last_sequence,
            last: Some(last),
        })
    }
}

/// Which changes the stream holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored(Option<Last>);

impl Stored {
    /// Everything up to and including `last`.
    pub(crate) const fn up_to(last: Option<Last>) -> Self {
        Self(last)
    }

    /// Whether a change at `position` is in the stream.
    pub(crate) fn holds(self, position: Position) -> bool {
        self.0.is_some_and(|last| position <= last.position)
    }

    /// Whether the begin marker of the transaction at `position` (ordinal 0) is in the stream.
    ///
    /// A heartbeat, a gap or a message without a transaction may have the same position: each says that
    /// everything before that LSN is there, and the transaction's commit record begins right there.
    pub(crate) fn holds_begin(self, position: Position) -> bool {
        self.0.is_some_and(|last| {
            position < last.position || (position == last.position && last.op == Op::Begin)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lsn: u64, ordinal: u64) -> Position {
        Position::new(Lsn::new(lsn), ordinal)
    }

    #[test]
    fn what_lies_at_or_before_the_tail_is_stored() {
        let stored = Stored::up_to(Some(Last {
            position: at(20, 3),
            op: Op::Insert,
            half: None,
            committed_at: None,
        }));
        assert!(stored.holds(at(10, 900)) && stored.holds(at(20, 3)));
        assert!(!stored.holds(at(20, 4)) && !stored.holds(at(30, 1)));
        assert!(!Stored::up_to(None).holds(at(1, 1)));
    }

    #[test]
    fn a_heartbeat_does_not_hide_the_transaction_that_begins_at_its_lsn() {
        let heartbeat = Stored::up_to(Some(Last {
            position: at(20, 0),
            op: Op::Heartbeat,
            half: None,
            committed_at: None,
        }));
        assert!(!heartbeat.holds_begin(at(20, 0)) && !heartbeat.holds(at(20, 1)));
        let begin = Stored::up_to(Some(Last {
            position: at(20, 0),
            op: Op::Begin,
            half: None,
            committed_at: None,
        }));
        assert!(begin.holds_begin(at(20, 0)));
    }

    fn piece(id: &str, op: &str, offset: u64, bytes: u64) -> Last {
        let body = format!(
            r#"{{"id":"{id}","op":"part","part":{{"op":"{op}","offset":{offset},"bytes":{bytes},
                "sha256":"{}","data":"AAAA"}}}}"#,
            "ab".repeat(32)
        );
        Last::read(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_row_whose_last_piece_is_not_its_end_is_not_stored() {
        let last = piece("0/14.3", "insert", 6, 12);
        let half = last.half.unwrap();
        assert_eq!((half.position, half.end), (at(20, 3), 9));
        let stored = Stored::up_to(Some(last));
        assert!(stored.holds(at(20, 2)) && !stored.holds(at(20, 3)));
        assert!(stored.holds_begin(at(20, 0)));
        let ended = Stored::up_to(Some(piece("0/14.3", "insert", 9, 12)));
        assert!(ended.holds(at(20, 3)));
    }

    #[test]
    fn pieces_whose_first_retention_has_removed_are_not_gone_on_with() {
        let half = piece("0/14.3", "insert", 6, 12).half.unwrap();
        let first = |id, offset| {
            format!(
                r#"{{"id":"{id}","op":"part","part":{{"op":"insert","offset":{offset},"bytes":12,"sha256":"","data":""}}}}"#
            )
        };
        assert!(half.lacks_its_start(first("0/14.3", 3).as_bytes()));
        assert!(!half.lacks_its_start(first("0/14.3", 0).as_bytes()));
        assert!(!half.lacks_its_start(first("0/14.2", 3).as_bytes()));
        assert!(!half.lacks_its_start(br#"{"id":"0/14.2","op":"insert"}"#));
    }

    #[test]
    fn a_checkpoint_in_the_middle_of_a_row_does_not_hide_the_row() {
        let checkpoint = piece("0/14.3", "insert", 6, 12).position;
        let stored = Stored::up_to(Some(Last::at(checkpoint)));
        assert!(stored.holds(at(20, 2)) && !stored.holds(at(20, 3)));
        let first = piece("0/14.0", "message", 0, 12).position;
        let stored = Stored::up_to(Some(Last::at(first)));
        assert!(!stored.holds(at(20, 0)) && stored.holds(at(16, 9)));
    }

    #[test]
    fn a_shape_in_pieces_does_not_hide_that_the_row_before_it_is_stored() {
        let last = piece("0/14.3", "schema", 0, 12);
        assert!(last.half.is_some() && Stored::up_to(Some(last)).holds(at(20, 3)));
        assert!(!Stored::up_to(Some(last)).holds(at(20, 4)));
    }

    #[test]
    fn what_capture_does_not_write_is_not_read() {
        for body in [
            "",
            "{}",
            r#"{"id":"0/1.1","op":"part"}"#,
            r#"{"id":"0/1.1","op":"other"}"#,
        ] {
            assert_eq!(Last::read(body.as_bytes()), None, "{body}");
        }
    }
}
