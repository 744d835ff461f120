//! Messages that are larger than the broker takes, in pieces ([`rowcast_proto::change::Part`]).
//!
//! The whole is kept once and shared by its pieces. A piece is written only when it is sent, so a row of
//! 1 GB does not lie in memory once more as base64.

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use data_encoding::{BASE64, HEXLOWER};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use ring::digest;
use rowcast_proto::change::protobuf as pb;
use rowcast_proto::subject::Op;

use super::draft::Format;
use super::json;
use super::protobuf::field;
use crate::pipeline::publish::tail::Half;

/// Fewer bytes of the whole in a piece are not worth its envelope, and a large row would be too many
/// messages.
const LEAST_STEP: usize = 1024;

/// Most that a piece of protobuf has around its data: number and length of the part and of the data, and
/// the offset.
const AROUND_DATA: usize = 32;

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
    format: Format,
    /// A piece up to its offset; of protobuf, up to the length of the part.
    before_offset: Vec<u8>,
    /// From the offset to the data; of protobuf, what the part has before its offset.
    after_offset: Vec<u8>,
    /// Bytes of the whole in a piece.
    step: usize,
}

/// Where the members of a message that its pieces repeat stand in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    /// The operation's name, or number.
    pub(super) op: Range<usize>,
    /// End of the small members; the large ones follow.
    pub(super) end: usize,
}

impl Piece {
    /// A message as one piece, still to be cut. `None` where `limit`, in bytes of a piece, has no room for
    /// one.
    pub(super) fn all(
        whole: Bytes,
        head: &Head,
        op: Op,
        (format, limit): (Format, usize),
    ) -> Option<Self> {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest::digest(&digest::SHA256, &whole).as_ref());
        let part = |range| whole.get(range).unwrap_or_default();
        let before_op = part(0..head.op.start);
        let behind_op = part(head.op.end..head.end);
        let (before_offset, after_offset, room) = match format {
            Format::Json => {
                let opened = format!(",\"part\":{{\"op\":\"{}\",\"offset\":", op.as_str());
                let before = [before_op, b"part", behind_op, opened.as_bytes()].concat();
                let after = format!(
                    ",\"bytes\":{},\"sha256\":\"{}\",\"data\":\"",
                    whole.len(),
                    HEXLOWER.encode(&sha256)
                );
                let digits = itoa::Buffer::new().format(whole.len()).len();
                let room = limit.checked_sub(before.len() + digits + after.len() + END.len())?;
                // In base64 three bytes are four characters.
                (before, after.into_bytes(), room / 4 * 3)
            }
            Format::Protobuf => {
                let mut number = BytesMut::new();
                encode_varint(pb::Operation::Part as u64, &mut number);
                let before = [before_op, &number, behind_op].concat();
                let part = pb::Part {
                    op: pb::Operation::from(op).into(),
                    bytes: whole.len() as u64,
                    sha256: Bytes::copy_from_slice(&sha256),
                    ..pb::Part::default()
                };
                let part = part.encode_to_vec();
                let room = limit.checked_sub(before.len() + part.len() + AROUND_DATA)?;
                (before, part, room)
            }
        };
        if room < LEAST_STEP {
            return None;
        }
        Some(Self {
            range: 0..whole.len(),
            large: Arc::new(Large {
                whole,
                sha256,
                format,
                before_offset,
                after_offset,
                step: room,
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
        let Large {
            format,
            before_offset,
            after_offset,
            ..
        } = &*self.large;
        let fixed = before_offset.len() + after_offset.len();
        match format {
            Format::Json => {
                let digits = itoa::Buffer::new().format(self.range.start).len();
                fixed + digits + END.len() + BASE64.encode_len(self.range.len())
            }
            Format::Protobuf => {
                let part = self.part_len();
                before_offset.len() + key_len(field::PART) + encoded_len_varint(part as u64) + part
            }
        }
    }

    /// Of protobuf: the length of the part.
    fn part_len(&self) -> usize {
        let rest = self.rest();
        self.large.after_offset.len() + rest.encoded_len()
    }

    /// Of protobuf: what of the part is another one in each piece.
    fn rest(&self) -> pb::Part {
        pb::Part {
            offset: self.range.start as u64,
            data: self.large.whole.slice(self.range.clone()),
            ..pb::Part::default()
        }
    }

    fn render(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.rendered_len());
        out.extend_from_slice(&self.large.before_offset);
        match self.large.format {
            Format::Json => {
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
            }
            Format::Protobuf => {
                encode_key(field::PART, WireType::LengthDelimited, &mut out);
                encode_varint(self.part_len() as u64, &mut out);
                out.extend_from_slice(&self.large.after_offset);
                // Fields may come in any order, and in parts.
                self.rest().encode_raw(&mut out);
            }
        }
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
            let all = |limit| Piece::all(whole.clone(), &head(), Op::Insert, (Format::Json, limit)).unwrap();
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
        let piece = Piece::all(whole.clone(), &head(), Op::Insert, (Format::Json, 4000)).unwrap();
        let expected = HEXLOWER.encode(digest::digest(&digest::SHA256, &whole).as_ref());
        for piece in piece.cut(0) {
            let part = part(&piece.render());
            assert_eq!((&part.sha256, part.op), (&expected, Operation::Insert));
            assert_eq!(part.bytes, whole.len() as u64);
        }
    }

    #[test]
    fn another_message_at_the_same_place_is_not_the_one_that_was_begun() {
        let first = Piece::all(
            whole(&"x".repeat(5000)),
            &head(),
            Op::Insert,
            (Format::Json, 4000),
        )
        .unwrap();
        let stored = first.cut(0).next().unwrap().render();
        let half = Last::read(&stored).unwrap().half.unwrap();
        let other = Piece::all(
            whole(&"y".repeat(5000)),
            &head(),
            Op::Insert,
            (Format::Json, 4000),
        )
        .unwrap();
        assert!(!other.is_begun(&half));
    }

    #[test]
    fn a_limit_below_the_envelope_gives_no_pieces() {
        assert!(
            Piece::all(
                whole(&"x".repeat(5000)),
                &head(),
                Op::Insert,
                (Format::Json, 600)
            )
            .is_none()
        );
        assert!(
            Piece::all(
                whole(&"x".repeat(5000)),
                &head(),
                Op::Insert,
                (Format::Json, 10)
            )
            .is_none()
        );
    }
}
