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
