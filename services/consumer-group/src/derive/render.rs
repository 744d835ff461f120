//! Messages of a group's own stream in its format.

mod cloudevents;
mod debezium;

use std::fmt::Write as _;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use ring::digest;
use rowcast_domain::TaskId;
use rowcast_proto::change::{Operation, Part};
use rowcast_proto::derived;
use rowcast_proto::message::GroupFormat;

use super::change::Out;
use super::message::{Message, bare};
use super::tables::Tables;

/// Room for the headers of a message, in bytes: the names of a table are the longest of what they hold, escaped.
const HEADER_ROOM: usize = 3 * 1024;

/// Fewer bytes of the whole in a piece are not worth its envelope.
const LEAST_STEP: usize = 1024;

/// A message as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) subject: String,
    pub(super) payload: Bytes,
    /// `\r\n<name>:<value>` each.
    pub(super) headers: String,
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
        let room = self.max_payload.saturating_sub(HEADER_ROOM);
        if self.format == GroupFormat::Debezium {
            let body = debezium::body(&self.task, &out.message, tables)?;
            let Some(payload) = body else {
                return Ok(Vec::new());
            };
            if payload.len() > room {
                return Err(RenderError::TooLarge(payload.len(), room));
            }
            return Ok(vec![self.rendered(out, &out.message, payload.into())]);
        }
        let payload = match &out.as_it_came {
            Some(payload) => payload.clone(),
            None => serde_json::to_vec(&out.message)?.into(),
        };
        if payload.len() <= room {
            return Ok(vec![self.rendered(out, &out.message, payload)]);
        }
        self.pieces(out, &payload, room)
    }

    fn pieces(&self, out: &Out, whole: &Bytes, room: usize) -> Result<Vec<Rendered>, RenderError> {
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
        let envelope = serde_json::to_vec(&piece(whole.len(), &[]))?.len();
        // In base64 three bytes are four characters.
        let step = room.saturating_sub(envelope) / 4 * 3;
        if step < LEAST_STEP {
            return Err(RenderError::TooLarge(whole.len(), room));
        }
        let pieces = whole.chunks(step).enumerate().map(|(number, data)| {
            let message = piece(number * step, data);
            let payload = serde_json::to_vec(&message)?;
            Ok(self.rendered(out, &message, payload.into()))
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
        }
    }
}
