//! How far the caller has acknowledged: what comes again from before that is dropped.

use std::sync::{Mutex, PoisonError};

use rowcast_domain::Position;

/// The last change that the caller acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Fence(Mutex<Option<Acked>>);

#[derive(Debug, Clone, Copy)]
struct Acked {
    position: Position,
    sequence: u64,
    /// What the server has been told: in the middle of a pack, the message before it.
    stored: u64,
}

impl Fence {
    /// Notes an acknowledgement, of which the server knows up to the message `stored`. One of an earlier
    /// change changes nothing.
    pub(crate) fn advance(&self, position: Position, sequence: u64, stored: u64) {
        let mut acked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if acked.is_none_or(|acked| sequence > acked.sequence || position > acked.position) {
            *acked = Some(Acked {
                position,
                sequence,
                stored,
            });
        }
    }

    /// Notes that the server sends this message as if for the first time: it was killed, and does not know of the
    /// acknowledgement that it had confirmed, so the next one is news to it.
    pub(crate) fn forgotten(&self, sequence: u64) {
        let mut acked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(acked) = acked.as_mut() {
            acked.stored = acked.stored.min(sequence.saturating_sub(1));
        }
    }

    /// Whether the caller has acknowledged this change, or one after it.
    ///
    /// Position and sequence must agree. A schema message shares the position of the change before
    /// it, a source that was replaced begins with low positions, and a stream that was made anew
    /// begins with low sequences: each alone would drop what was never seen.
    pub(crate) fn covers(&self, position: Position, sequence: u64) -> bool {
        self.get()
            .is_some_and(|acked| position <= acked.position && sequence <= acked.sequence)
    }

    /// Whether the caller has acknowledged this change of the pack at `sequence` and not all of the pack.
    /// The server cannot know: after a crash of its own it sends the pack as if for the first time.
    pub(crate) fn is_within(&self, position: Position, sequence: u64) -> bool {
        self.get().is_some_and(|acked| {
            acked.sequence == sequence && acked.stored != sequence && position <= acked.position
        })
    }

    /// Stream sequence up to which the server knows of acknowledgements.
    pub(crate) fn stored(&self) -> Option<u64> {
        self.get().map(|acked| acked.stored)
    }

    fn get(&self) -> Option<Acked> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rowcast_domain::Lsn;

    use super::*;

    fn position(lsn: u64, ordinal: u64) -> Position {
        Position::new(Lsn::new(lsn), ordinal)
    }

    #[test]
    fn what_was_acknowledged_is_covered_and_what_follows_is_not() {
        let fence = Fence::default();
        assert!(!fence.covers(position(1, 1), 1));
        fence.advance(position(10, 2), 5, 5);
        assert!(fence.covers(position(10, 1), 4));
        assert!(fence.covers(position(10, 2), 5));
        assert!(!fence.covers(position(10, 3), 6));
    }

    #[test]
    fn a_message_that_shares_its_position_is_not_covered_by_the_one_before() {
        let fence = Fence::default();
        fence.advance(position(10, 2), 5, 5);
        assert!(!fence.covers(position(10, 2), 6));
    }

    #[test]
    fn a_new_stream_or_a_new_source_is_not_covered() {
        let fence = Fence::default();
        fence.advance(position(10, 2), 500, 500);
        assert!(!fence.covers(position(11, 1), 1), "a stream made anew");
        assert!(!fence.covers(position(3, 1), 501), "a source replaced");
        fence.advance(position(3, 1), 501, 501);
        assert!(fence.covers(position(3, 1), 501));
    }

    #[test]
    fn what_the_server_has_forgotten_is_not_stored() {
        let fence = Fence::default();
        fence.advance(position(10, 2), 5, 5);
        fence.forgotten(6);
        assert_eq!(fence.stored(), Some(5));
        fence.forgotten(5);
        assert_eq!(fence.stored(), Some(4));
        assert!(fence.covers(position(10, 2), 5));
    }

    #[test]
    fn what_the_server_has_forgotten_of_a_pack_is_not_handed_out_again() {
        let fence = Fence::default();
        fence.advance(position(10, 4), 5, 5);
        assert!(!fence.is_within(position(10, 4), 5));
        fence.forgotten(5);
        assert!(fence.is_within(position(10, 1), 5) && fence.is_within(position(10, 4), 5));
        assert!(!fence.is_within(position(10, 5), 5));
    }

    #[test]
    fn a_late_acknowledgement_does_not_go_back() {
        let fence = Fence::default();
        fence.advance(position(10, 2), 5, 5);
        fence.advance(position(10, 1), 4, 4);
        assert!(fence.covers(position(10, 2), 5));
    }
}
