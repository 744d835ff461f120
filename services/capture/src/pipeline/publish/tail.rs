//! What the stream's end says after any doubt. The stream itself is the checkpoint.

use rowcast_bus::async_nats::jetstream::stream::Stream;
use rowcast_domain::Position;
use rowcast_proto::subject::Op;
use serde::Deserialize;

use crate::error::Error;

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
    /// Its position.
    pub(crate) position: Position,
    /// What it says.
    pub(crate) op: Op,
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
        Self { position, op }
    }
}

#[derive(Deserialize)]
struct Body {
    id: Position,
    op: String,
}

impl Tail {
    /// Reads the tail through the stream's leader: other replicas may lag (NATS ADR-8, ADR-31).
    ///
    /// # Errors
    /// Where the broker does not answer, or the last message is not ours.
    pub(crate) async fn read(stream: &Stream) -> Result<Self, Error> {
        let state = stream.get_info().await.map_err(Error::broker)?.state;
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
        let foreign = || Error::ForeignMessage {
            sequence: state.last_sequence,
        };
        let body: Body = serde_json::from_slice(&message.payload).map_err(|_other| foreign())?;
        let op = Op::from_name(&body.op).ok_or_else(foreign)?;
        Ok(Self {
            sequence: state.last_sequence,
            last: Some(Last {
                position: body.id,
                op,
            }),
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
    use rowcast_domain::Lsn;

    use super::*;

    fn at(lsn: u64, ordinal: u64) -> Position {
        Position::new(Lsn::new(lsn), ordinal)
    }

    #[test]
    fn what_lies_at_or_before_the_tail_is_stored() {
        let stored = Stored::up_to(Some(Last {
            position: at(20, 3),
            op: Op::Insert,
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
        }));
        assert!(!heartbeat.holds_begin(at(20, 0)) && !heartbeat.holds(at(20, 1)));
        let begin = Stored::up_to(Some(Last {
            position: at(20, 0),
            op: Op::Begin,
        }));
        assert!(begin.holds_begin(at(20, 0)));
    }
}
