//! What nobody can take is parked with its reason, never dropped and never tried for ever.

use bytes::Bytes;
use rowcast_proto::subject;

use crate::async_nats::HeaderMap;
use crate::{BoxError, Bus};

/// Room for the headers, in bytes.
const HEADER_ROOM: usize = 8 * 1024;

/// What is parked.
#[derive(Debug)]
pub struct Parked<'a> {
    /// Who could not take it: a durable consumer, or `capture`.
    pub by: &'a str,
    /// Where it came from, as its subject.
    pub from: &'a str,
    /// Why, in a sentence.
    pub reason: &'a str,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its bytes. Of more than the broker takes in one message the begin is kept, and the header
    /// `Rowcast-Parked-Bytes` tells how many there were.
    pub payload: Bytes,
}

impl Parked<'_> {
    /// Parks it, and waits until it is stored.
    ///
    /// # Errors
    /// Where the broker does not say that it is.
    pub async fn store(self, bus: &Bus) -> Result<(), BoxError> {
        let Self {
            by,
            from,
            reason,
            mut headers,
            mut payload,
        } = self;
        tracing::error!(by, from, reason, "parked");
        headers.insert("Rowcast-Parked-Subject", from);
        let reason = reason.replace(['\r', '\n'], " ");
        headers.insert("Rowcast-Parked-Reason", reason.as_str());
        let limit = bus.client().server_info().max_payload;
        let limit = limit.saturating_sub(HEADER_ROOM);
        if payload.len() > limit {
            headers.insert("Rowcast-Parked-Bytes", payload.len().to_string().as_str());
            payload.truncate(limit);
        }
        bus.jetstream()
            .publish_with_headers(subject::parked(by), headers, payload)
            .await?
            .await?;
        Ok(())
    }
}
