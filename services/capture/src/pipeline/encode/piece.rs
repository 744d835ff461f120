//! Messages that are larger than the broker takes, in pieces ([`rowcast_proto::change::Part`]).
//!
//! The whole is kept once and shared by its pieces. A piece becomes JSON only when it is sent, so a
//! row of 1 GB does not lie in memory once more as base64.

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use data_encoding::{BASE64, HEXLOWER};
use ring::digest;
use rowcast_proto::subject::Op;

use super::json;
use crate::pipeline::publish::tail::Half;

/// Fewer bytes of the whole in a piece are not worth its envelope, and a large row would be too many
/// messages.
const LEAST_STEP: usize = 1024;

/// Ends a piece's JSON.
const END: &[u8] = b"\"}}";

/// What is stored of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload {
    /// All of it.
    Whole(Bytes),
    /// A piece.
    Piece(Piece),
}

impl Payload {
    /// Size in bytes as it is sent.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(body) => body.len(),
            Self::Piece(piece) => piece.rendered_len(),
        }
    }

    /// The body as it is sent.
    pub(crate) fn render(self) -> Bytes {
        match self {
            Self::Whole(body) => body,
            Self::Piece(piece) => piece.render(),
        }
    }

    /// Whether the message ends with it.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Piece(piece) => piece.range.end == piece.large.whole.len(),
        }
    }
}

/// Some bytes of a large message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    large: Arc<Large>,
    range: Range<usize>,
}

/// A large message.
#[derive(Debug, PartialEq, Eq)]
struct Large {
    whole: Bytes,
    sha256: [u8; 32],
    /// A piece's JSON up to its offset.
    before_offset: Vec<u8>,
    /// From the offset to the data.
    after_offset: Vec<u8>,
    /// Bytes of the whole in a piece.
    step: usize,
}

/// Where the members of a message that its pieces repeat stand in its JSON.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    /// The operation's name.
    pub(super) op: Range<usize>,
    /// End of the small members; the large ones follow.
    pub(super) end: usize,
}

impl Piece {
    /// A message as one piece, still to be cut. `None` where `limit`, in bytes of a piece's JSON, has
    /// no room for a piece.
    pub(super) fn all(whole: Bytes, head: &Head, op: Op, limit: usize) -> Option<Self> {
        let part = |range| whole.get(range).unwrap_or_default();
        let mut before_offset = part(0..head.op.start).to_vec();
        before_offset.extend_from_slice(b"part");
        before_offset.extend_from_slice(part(head.op.end..head.end));
        let opened = format!(",\"part\":{{\"op\":\"{}\",\"offset\":", op.as_str());
        before_offset.extend_from_slice(opened.as_bytes());

        let digits = itoa::Buffer::new().format(whole.len()).len();
        // SHA-256 is of one size, so what is missing of the envelope is known before it is made.
        let after = format!(",\"bytes\":{},\"sha256\":\"\",\"data\":\"", whole.len()).len() + 64;
        let room = limit.checked_sub(before_offset.len() + digits + after + END.len())?;
        // In base64 three bytes are four characters.
        let step = room / 4 * 3;
        if step < LEAST_STEP {
            return None;
        }

        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest::digest(&digest::SHA256, &whole).as_ref());
        let after_offset = format!(
            ",\"bytes\":{},\"sha256\":\"{}\",\"data\":\"",
            whole.len(),
            HEXLOWER.encode(&sha256)
        );
        Some(Self {
            range: 0..whole.len(),
            large: Arc::new(Large {
                whole,
                sha256,
                before_offset,
                after_offset: after_offset.into_bytes(),
                step,
            }),
        })
    }

    /// Cuts what follows the first `from` bytes of the message into pieces that the broker takes.
    pub(super) fn cut(self, from: usize) -> impl Iterator<Item = Self> {
        let end = self.range.end;
        let step = self.large.step;
        (from..end).step_by(step).map(move |start| Self {
            large: Arc::clone(&self.large),
            range: start..end.min(start + step),
        })
    }

    /// Whether the stream ends with a piece of this very message.
    pub(super) fn is_begun(&self, half: &Half) -> bool {
        half.bytes == self.large.whole.len() as u64 && half.sha256 == self.large.sha256
    }

    fn rendered_len(&self) -> usize {
        let envelope = self.large.before_offset.len()
            + itoa::Buffer::new().format(self.range.start).len()
            + self.large.after_offset.len()
            + END.len();
        envelope + BASE64.encode_len(self.range.len())
    }

    fn render(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.rendered_len());
        out.extend_from_slice(&self.large.before_offset);
        json::number(&mut out, self.range.start as u64);
        out.extend_from_slice(&self.large.after_offset);
        let data = self.large.whole.get(self.range.clone());
        let data = data.unwrap_or_default();
        let written = out.len();
        out.put_bytes(0, BASE64.encode_len(data.len()));
        if let Some(encoded) = out.get_mut(written..) {
            BASE64.encode_mut(data, encoded);
        }
        out.extend_from_slice(END);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rowcast_domain::{Lsn, Position};
    use rowcast_proto::change::{Change, Operation, Part};

    use super::*;
    use crate::pipeline::publish::tail::Last;

    const SMALL: &str = r#"{"id":"0/10.1","op":"insert","database":"shop","lsn":"0/10","ordinal":1,"committed_at":"t""#;

    fn head() -> Head {
        let start = SMALL.find("insert").unwrap();
        Head {
            op: start..start + 6,
            end: SMALL.len(),
        }
    }

    fn whole(text: &str) -> Bytes {
        let text = serde_json::to_string(text).unwrap();
        Bytes::from(format!(r#"{SMALL},"after":{{"a":{text}}}}}"#))
    }

    fn part(body: &[u8]) -> Part {
        let piece: Change = serde_json::from_slice(body).unwrap();
        assert_eq!(piece.op, Operation::Part);
        assert_eq!(piece.id, Position::new(Lsn::new(16), 1));
        piece.part.unwrap()
    }

    fn join<'a>(bodies: impl IntoIterator<Item = &'a Bytes>) -> Vec<u8> {
        let mut joined = Vec::new();
        for body in bodies {
            let part = part(body);
            assert_eq!(part.offset, joined.len() as u64);
            joined.extend(BASE64.decode(part.data.as_bytes()).unwrap());
        }
        joined
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the message and the limit, the pieces fit and join to the message, also where the
        /// writer was interrupted after any of them and goes on with another limit.
        #[test]
        fn pieces_fit_and_join_to_the_whole(
            text in "\\PC{0,400}",
            times in 1_usize..40,
            limit in 1700_usize..6000,
            later in 1700_usize..6000,
            stop in any::<prop::sample::Index>(),
        ) {
            let whole = whole(&text.repeat(times));
            let all = |limit| Piece::all(whole.clone(), &head(), Op::Insert, limit).unwrap();
            let bodies: Vec<Bytes> = all(limit)
                .cut(0)
                .map(|piece| {
                    let expected = piece.rendered_len();
                    let body = piece.render();
                    assert_eq!(body.len(), expected);
                    body
                })
                .collect();
            prop_assert!(bodies.iter().all(|body| body.len() <= limit));
            prop_assert_eq!(&join(&bodies), &whole);

            let stored = &bodies[..=stop.index(bodies.len())];
            let last = Last::read(stored.last().unwrap()).unwrap();
            match last.half {
                None => prop_assert_eq!(stored.len(), bodies.len()),
                Some(half) => {
                    let again = all(later);
                    prop_assert!(again.is_begun(&half));
                    let from = usize::try_from(half.end).unwrap();
                    let rest: Vec<Bytes> = again.cut(from).map(|piece| piece.render()).collect();
                    prop_assert!(rest.iter().all(|body| body.len() <= later));
                    prop_assert_eq!(&join(stored.iter().chain(&rest)), &whole);
                }
            }
        }
    }

    #[test]
    fn the_sum_is_that_of_the_whole() {
        let whole = whole(&"x".repeat(5000));
        let piece = Piece::all(whole.clone(), &head(), Op::Insert, 4000).unwrap();
        let expected = HEXLOWER.encode(digest::digest(&digest::SHA256, &whole).as_ref());
        for piece in piece.cut(0) {
            let part = part(&piece.render());
            assert_eq!((&part.sha256, part.op), (&expected, Operation::Insert));
            assert_eq!(part.bytes, whole.len() as u64);
        }
    }

    #[test]
    fn another_message_at_the_same_place_is_not_the_one_that_was_begun() {
        let first = Piece::all(whole(&"x".repeat(5000)), &head(), Op::Insert, 4000).unwrap();
        let stored = first.cut(0).next().unwrap().render();
        let half = Last::read(&stored).unwrap().half.unwrap();
        let other = Piece::all(whole(&"y".repeat(5000)), &head(), Op::Insert, 4000).unwrap();
        assert!(!other.is_begun(&half));
    }

    #[test]
    fn a_limit_below_the_envelope_gives_no_pieces() {
        assert!(Piece::all(whole(&"x".repeat(5000)), &head(), Op::Insert, 600).is_none());
        assert!(Piece::all(whole(&"x".repeat(5000)), &head(), Op::Insert, 10).is_none());
    }
}
