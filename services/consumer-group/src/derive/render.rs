//! Messages of a group's own stream in its format.

mod avro;
mod cloudevents;
mod debezium;
mod protobuf;

use std::fmt::Write as _;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use data_encoding::{BASE64, HEXLOWER};
use ring::digest;
use rowcast_domain::{Position, TaskId};
use rowcast_proto::change::protobuf as pb;
use rowcast_proto::change::{Operation, Part};
use rowcast_proto::derived;
use rowcast_proto::message::GroupFormat;

use self::avro::Avro;
use super::change::Out;
use super::format::{self, Pieces};
use super::message::{Message, bare};
use super::tables::Tables;

/// Room for the headers that are added to those of the format, in bytes: what it was made of, and of its batch.
const HEADER_ROOM: usize = 1024;

/// Fewer bytes of the whole in a piece are not worth its envelope.
const LEAST_STEP: usize = 1024;

/// Most that a piece of protobuf has around its data beside what an empty one has: the number and the length of the data,
/// and a longer length of the part.
const AROUND_DATA: usize = 16;

/// A message as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) subject: String,
    pub(super) payload: Bytes,
    /// `\r\n<name>:<value>` each.
    pub(super) headers: String,
    /// Position of the change.
    pub(super) id: Position,
    /// Of a change in pieces that is not whole with this one, how many pieces of it there are by now; else 0.
    pub(super) pieces: u64,
}

/// A message cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    /// It is larger than the broker takes, and the format has no pieces.
    #[error("the change has {0} bytes in this format, and the broker takes {1}")]
    TooLarge(usize, usize),
    /// It has no form in JSON.
    #[error("the change cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The time of its commit is none.
    #[error("the time of commit {0:?} of the change {1} cannot be read")]
    Time(String, Position),
    /// It is not of the shape that it names.
    #[error("the change {0} is not of the shape that it names: {1}")]
    Shape(Position, String),
}

impl RenderError {
    /// Whether it is only that the broker does not take it.
    pub(super) const fn is_too_large(&self) -> bool {
        match self {
            Self::TooLarge(_, _) => true,
            Self::Json(_) | Self::Time(_, _) | Self::Shape(_, _) => false,
        }
    }
}

/// When a message's transaction was committed.
fn moment(message: &Message) -> Result<DateTime<Utc>, RenderError> {
    let read = message.committed_at.parse::<DateTime<Utc>>();
    read.map_err(|_malformed| RenderError::Time(message.committed_at.clone(), message.id))
}

/// What is written of one group.
#[derive(Debug)]
pub(super) struct Renderer {
    task: TaskId,
    format: GroupFormat,
    /// Largest message that the broker takes, headers included.
    max_payload: usize,
    avro: Avro,
}

/// What is cut.
struct Whole<'a> {
    bytes: &'a Bytes,
    sha256: digest::Digest,
}

impl Renderer {
    pub(super) fn new(task: TaskId, format: GroupFormat, max_payload: usize) -> Self {
        Self {
            task,
            format,
            max_payload,
            avro: Avro::new(),
        }
    }

    /// Writes a message: whole, or in pieces.
    ///
    /// # Errors
    /// Where it cannot be.
    pub(super) fn render(
        &mut self,
        out: &Out,
        tables: &Tables,
    ) -> Result<Vec<Rendered>, RenderError> {
        let Some(payload) = self.payload(out, tables)? else {
            return Ok(Vec::new());
        };
        let rendered = self.rendered(out, &out.message, payload);
        let room = self.room(&rendered.headers);
        if rendered.payload.len() <= room {
            return Ok(vec![rendered]);
        }
        match format::pieces(self.format) {
            Some(pieces) => self.pieces(pieces, out, &rendered.payload),
            None => Err(RenderError::TooLarge(rendered.payload.len(), room)),
        }
    }

    /// The body; `None` for what has no form in the format.
    fn payload(&mut self, out: &Out, tables: &Tables) -> Result<Option<Bytes>, RenderError> {
        if let Some(payload) = &out.as_it_came {
            return Ok(Some(payload.clone()));
        }
        let message = &out.message;
        let payload = match self.format {
            GroupFormat::Unspecified | GroupFormat::Json | GroupFormat::Cloudevents => {
                Some(serde_json::to_vec(message)?)
            }
            GroupFormat::Debezium => debezium::body(&self.task, message, tables)?,
            GroupFormat::Protobuf => Some(protobuf::body(message, tables)?),
            GroupFormat::Avro => self.avro.body(message, tables)?,
        };
        Ok(payload.map(Bytes::from))
    }

    /// Largest body beside these headers: the broker counts both.
    const fn room(&self, headers: &str) -> usize {
        self.max_payload
            .saturating_sub(HEADER_ROOM)
            .saturating_sub(headers.len())
    }

    fn pieces(
        &self,
        pieces: Pieces,
        out: &Out,
        bytes: &Bytes,
    ) -> Result<Vec<Rendered>, RenderError> {
        let whole = Whole {
            bytes,
            sha256: digest::digest(&digest::SHA256, bytes),
        };
        // Nothing but its data is longer in any other.
        let last = self.piece(pieces, out, &whole, (bytes.len(), Default::default()))?;
        let room = self.room(&last.headers);
        let room_for_data = room.saturating_sub(last.payload.len());
        let step = match pieces {
            // Three bytes are four characters.
            Pieces::Base64 => room_for_data / 4 * 3,
            Pieces::Raw => room_for_data.saturating_sub(AROUND_DATA),
        };
        if step < LEAST_STEP {
            return Err(RenderError::TooLarge(bytes.len(), room));
        }
        let of = bytes.len().div_ceil(step);
        let all = bytes.chunks(step).enumerate().map(|(number, data)| {
            let by_now = number + 1;
            Ok(Rendered {
                pieces: if by_now < of { by_now as u64 } else { 0 },
                ..self.piece(pieces, out, &whole, (number * step, data))?
            })
        });
        all.collect()
    }

    /// A piece that begins at `offset` of the whole.
    fn piece(
        &self,
        pieces: Pieces,
        out: &Out,
        whole: &Whole<'_>,
        (offset, data): (usize, &[u8]),
    ) -> Result<Rendered, RenderError> {
        let mut message = bare(&out.message, Operation::Part);
        let (offset, bytes) = (offset as u64, whole.bytes.len() as u64);
        let payload = match pieces {
            Pieces::Base64 => {
                message.part = Some(Part {
                    op: out.message.op,
                    offset,
                    bytes,
                    sha256: HEXLOWER.encode(whole.sha256.as_ref()),
                    data: BASE64.encode(data),
                });
                serde_json::to_vec(&message)?
            }
            Pieces::Raw => {
                let part = pb::Part {
                    op: pb::Operation::from(out.message.op).into(),
                    offset,
                    bytes,
                    sha256: Bytes::copy_from_slice(whole.sha256.as_ref()),
                    data: Bytes::copy_from_slice(data),
                };
                protobuf::piece(&message, part)?
            }
        };
        Ok(self.rendered(out, &message, payload.into()))
    }

    fn rendered(&self, out: &Out, message: &Message, payload: Bytes) -> Rendered {
        let mut headers = String::new();
        let mut header = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            write!(headers, "\r\n{name}:{value}").unwrap_or_default();
        };
        header(derived::ID, &message.id.to_string());
        if format::has_place_in_headers(self.format) {
            header(derived::COMMITTED_AT, &message.committed_at);
            if let Some(xid) = message.xid {
                header(derived::XID, &xid.to_string());
            }
        }
        if self.format == GroupFormat::Cloudevents {
            cloudevents::headers(&self.task, message, &mut header);
        }
        if let Some(content_type) = format::content_type(self.format) {
            header("content-type", content_type);
        }
        Rendered {
            subject: out.subject.clone(),
            payload,
            headers,
            id: message.id,
            pieces: 0,
        }
    }
}

/// An operation's name.
const fn name(op: Operation) -> &'static str {
    match op {
        Operation::Insert => "insert",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Truncate => "truncate",
        Operation::Schema => "schema",
        Operation::Begin => "begin",
        Operation::Commit => "commit",
        Operation::Heartbeat => "heartbeat",
        Operation::Ddl => "ddl",
        Operation::Message => "message",
        Operation::Gap => "gap",
        Operation::Part => "part",
        Operation::Pack => "pack",
        Operation::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use rowcast_bus::batch::HEADERS_MAX;
    use rowcast_domain::Lsn;
    use rowcast_proto::derived::{MADE_OF, Made};
    use serde_json::json;

    use super::*;
    use crate::derive::message;

    /// Bytes that the longest headers take that are added to those of the format.
    fn longest_added() -> usize {
        let at = Position::new(Lsn::new(u64::MAX), u64::MAX);
        let made = Made {
            first: u64::MAX,
            last: u64::MAX,
            number: u64::MAX,
            of: u64::MAX,
            left_out: u64::MAX,
            transaction: at.commit_lsn,
            at,
            before: at,
            pieces: u64::MAX,
            policy: u64::MAX,
        };
        format!("\r\n{MADE_OF}:{made}").len() + HEADERS_MAX
    }

    #[test]
    fn the_longest_headers_that_are_added_have_room() {
        let added = longest_added();
        assert!(added <= HEADER_ROOM, "{added} bytes");
    }

    #[test]
    fn what_is_cut_to_the_largest_size_fits_with_all_its_headers() {
        // Each byte of these is three in a header.
        let name = "\u{e9}".repeat(31);
        let body = json!({
            "id": "FFFFFFFF/FFFFFFFF.18446744073709551615", "op": "insert", "database": "shop",
            "schema": name, "table": name, "lsn": "FFFFFFFF/FFFFFFFF",
            "ordinal": u64::MAX, "xid": u32::MAX, "committed_at": "2026-11-23T05:33:10.123456Z",
            "schema_id": "orders-1", "key": { "id": 1 },
            "after": { "id": 1, "note": "x".repeat(100_000) },
        });
        let payload = Bytes::from(serde_json::to_vec(&body).unwrap());
        let out = Out {
            subject: "rowcast.derived.g111111111111.000.s.t.insert".to_owned(),
            message: message::read(&payload).unwrap(),
            as_it_came: Some(payload),
        };
        let tables = Tables::new(None);
        for format in [GroupFormat::Json, GroupFormat::Cloudevents] {
            for largest in [8 << 10, 10_000, 64 << 10] {
                let mut renderer = Renderer::new("t000000000000".parse().unwrap(), format, largest);
                let pieces = renderer.render(&out, &tables).unwrap();
                let sizes = pieces
                    .iter()
                    .map(|one| one.headers.len() + one.payload.len());
                let size = sizes.max().unwrap() + longest_added();
                assert!(size <= largest, "{size} of {largest}, {format:?}");
                // And the room is not left empty.
                assert!(
                    size + HEADER_ROOM > largest,
                    "{size} of {largest}, {format:?}"
                );
            }
        }
    }
}
