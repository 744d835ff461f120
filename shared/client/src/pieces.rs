//! Joins a change that came in pieces, because it is larger than a message of the broker.
//!
//! Holds one change at a time. Pieces come in the order of the stream; what is sent again while its
//! change is being joined is here already.

use data_encoding::{BASE64, HEXLOWER};
use ring::digest;
use rowcast_domain::Position;
use rowcast_proto::change::Part;

use crate::delivery::Place;

/// Names a change that comes in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    position: Position,
    sha256: String,
    bytes: u64,
}

/// The change that is being joined.
#[derive(Debug)]
struct Joining {
    name: Name,
    data: Vec<u8>,
    /// Stream sequence of the newest piece.
    sequence: u64,
}

/// Joins pieces.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    joining: Option<Joining>,
    /// The change that was joined, or given up, last: pieces of it that come again are no news.
    past: Option<Name>,
}

impl Pieces {
    /// Takes a piece. Gives the change's bytes with the last one.
    ///
    /// # Errors
    /// What does not fit, in words. The change is given up until it comes again from its beginning.
    pub(crate) fn take(
        &mut self,
        position: Position,
        part: &Part,
        place: Place,
    ) -> Result<Option<Vec<u8>>, String> {
        let name = Name {
            position,
            sha256: part.sha256.clone(),
            bytes: part.bytes,
        };
        // A server that was killed sends pieces again as if for the first time; with the first piece the change
        // begins anew, perhaps elsewhere.
        let late = |joining: &Joining| {
            place.stream_sequence <= joining.sequence
                && (place.redelivered || (joining.name == name && part.offset > 0))
        };
        if self.joining.as_ref().is_some_and(late) {
            // Of this change, or of one that was handed out before it.
            return Ok(None);
        }
        let known = |joining: &Joining| joining.name == name;
        let is_past =
            self.past.as_ref() == Some(&name) && !self.joining.as_ref().is_some_and(known);
        if part.offset > 0 && is_past {
            return Ok(None);
        }
        let joined = self.join(name.clone(), part, place.stream_sequence);
        if joined.is_err() {
            self.joining = None;
            self.past = Some(name);
        }
        joined
    }

    /// A change in one message has passed: behind the pieces it means that their writer has given
    /// them up.
    pub(crate) fn passed(&mut self, sequence: u64) {
        self.joining.take_if(|joining| joining.sequence < sequence);
    }

    /// Whether a change is being joined.
    pub(crate) const fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    fn join(&mut self, name: Name, part: &Part, sequence: u64) -> Result<Option<Vec<u8>>, String> {
        let position = name.position;
        let piece = BASE64
            .decode(part.data.as_bytes())
            .map_err(|error| format!("a piece of {position} is no base64: {error}"))?;
        let mut joining = match self.joining.take() {
            _ if part.offset == 0 => begin(name)?,
            Some(joining) if joining.name == name && joining.data.len() as u64 == part.offset => {
                joining
            }
            Some(_) | None => {
                return Err(format!(
                    "the piece of {position} at byte {} does not follow another",
                    part.offset
                ));
            }
        };
        joining.data.extend_from_slice(&piece);
        joining.sequence = sequence;
        let length = joining.data.len() as u64;
        if length < part.bytes {
            self.joining = Some(joining);
            return Ok(None);
        }
        if length > part.bytes {
            return Err(format!(
                "the pieces of {position} are {length} bytes instead of {}",
                part.bytes
            ));
        }
        let sum = HEXLOWER.encode(digest::digest(&digest::SHA256, &joining.data).as_ref());
        if sum != part.sha256 {
            return Err(format!(
                "the pieces of {position} have the SHA-256 {sum} instead of {}",
                part.sha256
            ));
        }
        self.past = Some(joining.name);
        Ok(Some(joining.data))
    }
}

/// Takes the memory at once: growing would take more than twice as much.
fn begin(name: Name) -> Result<Joining, String> {
    let mut data = Vec::new();
    let room = usize::try_from(name.bytes).unwrap_or(usize::MAX);
    data.try_reserve_exact(room)
        .map_err(|_too_large| format!("no memory for {} bytes of {}", name.bytes, name.position))?;
    Ok(Joining {
        name,
        data,
        sequence: 0,
    })
}

#[cfg(test)]
mod tests {
    use rowcast_domain::Lsn;
    use rowcast_proto::change::Operation;

    use super::*;

    fn position(ordinal: u64) -> Position {
        Position::new(Lsn::new(16), ordinal)
    }

    /// The pieces of a text, three bytes each.
    fn cut(text: &str) -> Vec<Part> {
        let sha256 = HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        let pieces = text.as_bytes().chunks(3).zip((0_u64..).step_by(3));
        pieces
            .map(|(piece, offset)| Part {
                op: Operation::Insert,
                offset,
                bytes: text.len() as u64,
                sha256: sha256.clone(),
                data: BASE64.encode(piece),
            })
            .collect()
    }

    const fn place(stream_sequence: u64, redelivered: bool) -> Place {
        Place {
            stream_sequence,
            delivery: 0,
            redelivered,
            attempt: 1,
        }
    }

    fn new(sequence: u64) -> Place {
        place(sequence, false)
    }

    fn again(sequence: u64) -> Place {
        place(sequence, true)
    }

    #[test]
    fn the_last_piece_gives_the_whole() {
        let (mut pieces, parts) = (Pieces::default(), cut("rowcast"));
        assert_eq!(pieces.take(position(1), &parts[0], new(1)), Ok(None));
        assert_eq!(pieces.take(position(1), &parts[1], new(2)), Ok(None));
        let whole = pieces.take(position(1), &parts[2], new(3)).unwrap();
        assert_eq!(whole.as_deref(), Some(&b"rowcast"[..]));
        assert!(!pieces.is_joining());
    }

    #[test]
    fn the_first_piece_voids_what_was_collected() {
        let (mut pieces, parts) = (Pieces::default(), cut("rowcast"));
        pieces.take(position(1), &parts[0], new(1)).unwrap();
        pieces.take(position(1), &parts[1], new(2)).unwrap();
        let other = cut("change");
        pieces.take(position(1), &other[0], new(3)).unwrap();
        let whole = pieces.take(position(1), &other[1], new(4)).unwrap();
        assert_eq!(whole.as_deref(), Some(&b"change"[..]));
    }

    #[test]
    fn what_comes_again_in_the_middle_changes_nothing() {
        let (mut pieces, parts) = (Pieces::default(), cut("rowcast"));
        let earlier = cut("before");
        pieces.take(position(1), &earlier[0], new(1)).unwrap();
        assert!(
            pieces
                .take(position(1), &earlier[1], new(2))
                .unwrap()
                .is_some()
        );
        pieces.take(position(2), &parts[0], new(3)).unwrap();
        pieces.take(position(2), &parts[1], new(4)).unwrap();
        for (ordinal, part, sequence) in [
            (1, &earlier[0], 1),
            (1, &earlier[1], 2),
            (2, &parts[0], 3),
            (2, &parts[1], 4),
        ] {
            let taken = pieces.take(position(ordinal), part, again(sequence));
            assert_eq!(taken, Ok(None), "sequence {sequence}");
        }
        assert!(
            pieces
                .take(position(2), &parts[2], new(5))
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn what_comes_again_after_the_whole_is_no_error_and_from_its_start_a_whole_again() {
        let (mut pieces, parts) = (Pieces::default(), cut("rowcast"));
        for (part, sequence) in parts.iter().zip(1..) {
            pieces.take(position(1), part, new(sequence)).unwrap();
        }
        assert_eq!(pieces.take(position(1), &parts[1], again(2)), Ok(None));
        pieces.take(position(1), &parts[0], again(1)).unwrap();
        pieces.take(position(1), &parts[1], again(2)).unwrap();
        assert!(
            pieces
                .take(position(1), &parts[2], again(3))
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn a_change_without_its_start_is_told_once() {
        let (mut pieces, parts) = (Pieces::default(), cut("rowcast"));
        let error = pieces.take(position(1), &parts[1], new(2)).unwrap_err();
        assert!(error.contains("0/10.1 at byte 3"), "{error}");
        assert_eq!(pieces.take(position(1), &parts[2], new(3)), Ok(None));
    }

    #[test]
    fn what_does_not_add_up_is_told() {
        let (mut pieces, mut parts) = (Pieces::default(), cut("rowcast"));
        parts[1].data = BASE64.encode(b"ROW");
        pieces.take(position(1), &parts[0], new(1)).unwrap();
        pieces.take(position(1), &parts[1], new(2)).unwrap();
        let error = pieces.take(position(1), &parts[2], new(3)).unwrap_err();
        assert!(error.contains("SHA-256"), "{error}");

        let mut parts = cut("abc");
        parts[0].data = BASE64.encode(b"abcdef");
        let error = pieces.take(position(2), &parts[0], new(4)).unwrap_err();
        assert!(error.contains("6 bytes instead of 3"), "{error}");
        parts[0].data = "?".to_owned();
        let error = pieces.take(position(2), &parts[0], new(5)).unwrap_err();
        assert!(error.contains("base64"), "{error}");
        parts[0].bytes = u64::MAX;
        parts[0].data = String::new();
        let error = pieces.take(position(2), &parts[0], new(6)).unwrap_err();
        assert!(error.contains("no memory"), "{error}");
    }

    #[test]
    fn a_piece_that_comes_again_as_if_for_the_first_time_disturbs_nothing() {
        let parts = cut("abcdefghi");
        let mut pieces = Pieces::default();
        for (sequence, part) in (1..).zip(&parts[..2]) {
            assert_eq!(pieces.take(position(1), part, new(sequence)), Ok(None));
        }
        assert_eq!(pieces.take(position(1), &parts[1], new(2)), Ok(None));
        let whole = pieces.take(position(1), &parts[2], new(3));
        assert_eq!(whole, Ok(Some(b"abcdefghi".to_vec())));
    }

    #[test]
    fn a_newer_change_ends_the_joining_and_an_older_one_does_not() {
        let (mut pieces, parts) = (Pieces::default(), cut("rowcast"));
        pieces.take(position(1), &parts[0], new(5)).unwrap();
        pieces.passed(4);
        assert!(pieces.is_joining());
        pieces.passed(6);
        assert!(!pieces.is_joining());
    }
}
