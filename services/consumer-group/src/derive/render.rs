//! Messages of a group's own stream in its format.

mod cloudevents;
mod debezium;

use std::fmt::Write as _;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use ring::digest;
use rowcast_domain::{Position, TaskId};
use rowcast_proto::change::{Operation, Part};
use rowcast_proto::derived;
use rowcast_proto::message::GroupFormat;

use super::change::Out;
use super::message::{Message, bare};
use super::tables::Tables;

/// Room for the headers that are added to those of the format, in bytes: what it was made of, and of its batch.
const HEADER_ROOM: usize = 1024;

/// Fewer bytes of the whole in a piece are not worth its envelope.
const LEAST_STEP: usize = 1024;

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
}

/// What is written of one group.
#[derive(Debug)]
pub(super) struct Renderer {
    task: TaskId,
    format: GroupFormat,
    /// Largest message that the broker takes, headers included.
    max_payload: usize,
}

impl Renderer {
    pub(super) const fn new(task: TaskId, format: GroupFormat, max_payload: usize) -> Self {
        Self {
            task,
            format,
            max_payload,
        }
    }

    /// Writes a message: whole, or in pieces.
    ///
    /// # Errors
    /// Where it cannot be.
    pub(super) fn render(&self, out: &Out, tables: &Tables) -> Result<Vec<Rendered>, RenderError> {
        let payload: Bytes = match (self.format, &out.as_it_came) {
            (GroupFormat::Debezium, _) => match debezium::body(&self.task, &out.message, tables)? {
                Some(payload) => payload.into(),
                None => return Ok(Vec::new()),
            },
            (
                GroupFormat::Unspecified | GroupFormat::Json | GroupFormat::Cloudevents,
                Some(payload),
            ) => payload.clone(),
            (GroupFormat::Unspecified | GroupFormat::Json | GroupFormat::Cloudevents, None) => {
                serde_json::to_vec(&out.message)?.into()
            }
        };
        let rendered = self.rendered(out, &out.message, payload);
        let room = self.room(&rendered.headers);
        if rendered.payload.len() <= room {
            return Ok(vec![rendered]);
        }
        if self.format == GroupFormat::Debezium {
            return Err(RenderError::TooLarge(rendered.payload.len(), room));
        }
        self.pieces(out, &rendered.payload)
    }

    /// Largest body beside these headers: the broker counts both.
    const fn room(&self, headers: &str) -> usize {
        self.max_payload
            .saturating_sub(HEADER_ROOM)
            .saturating_sub(headers.len())
    }

    fn pieces(&self, out: &Out, whole: &Bytes) -> Result<Vec<Rendered>, RenderError> {
        let sha256 = digest::digest(&digest::SHA256, whole);
        let piece = |offset: usize, data: &[u8]| Message {
            part: Some(Part {
                op: out.message.op,
                offset: offset as u64,
                bytes: whole.len() as u64,
                sha256: HEXLOWER.encode(sha256.as_ref()),
                data: BASE64.encode(data),
            }),
            ..bare(&out.message, Operation::Part)
        };
        // Nothing in it is longer than in the last one.
        let last = piece(whole.len(), &[]);
        let envelope = serde_json::to_vec(&last)?;
        let room = self.room(&self.rendered(out, &last, Bytes::new()).headers);
        // In base64 three bytes are four characters.
        let step = room.saturating_sub(envelope.len()) / 4 * 3;
        if step < LEAST_STEP {
            return Err(RenderError::TooLarge(whole.len(), room));
        }
        let of = whole.len().div_ceil(step);
        let pieces = whole.chunks(step).enumerate().map(|(number, data)| {
            let message = piece(number * step, data);
            let payload = serde_json::to_vec(&message)?;
            let by_now = number + 1;
            Ok(Rendered {
                pieces: if by_now < of { by_now as u64 } else { 0 },
                ..self.rendered(out, &message, payload.into())
            })
        });
        pieces.collect()
    }

    fn rendered(&self, out: &Out, message: &Message, payload: Bytes) -> Rendered {
        let mut headers = String::new();
        let mut header = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            write!(headers, "\r\n{name}:{value}").unwrap_or_default();
        };
        header(derived::ID, &message.id.to_string());
        match self.format {
            GroupFormat::Unspecified | GroupFormat::Json => {}
            GroupFormat::Debezium => {
                header(derived::COMMITTED_AT, &message.committed_at);
                if let Some(xid) = message.xid {
                    header(derived::XID, &xid.to_string());
                }
                header("content-type", "application/json");
            }
            GroupFormat::Cloudevents => cloudevents::headers(&self.task, message, &mut header),
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
                let renderer = Renderer::new("t000000000000".parse().unwrap(), format, largest);
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
