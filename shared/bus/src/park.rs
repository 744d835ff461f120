//! What nobody can take is parked with its reason, never dropped and never tried for ever.

use std::error::Error as _;

use bytes::Bytes;
use rowcast_domain::GroupId;
use rowcast_proto::stream::{GROUP_PARKED, PARKED};
use rowcast_proto::subject;

use crate::async_nats::HeaderMap;
use crate::async_nats::header::NATS_MESSAGE_ID;
use crate::async_nats::jetstream::context::PublishError;
use crate::async_nats::jetstream::{self, ErrorCode};
use crate::{BoxError, Bus};

/// Room for the headers, in bytes.
const HEADER_ROOM: usize = 8 * 1024;

/// What is parked.
#[derive(Debug)]
pub struct Parked<'a> {
    /// Who could not take it: a durable consumer, or `capture`.
    pub by: &'a str,
    /// The group whose own stream lacks it: groups have a stream for that, and each has its share of it. `None` for what belongs
    /// to no group.
    pub group: Option<&'a GroupId>,
    /// Where it came from, as its subject.
    pub from: &'a str,
    /// Names it: within the stream's window of two minutes the same is parked once. `None` where it has no name.
    pub once: Option<String>,
    /// Why, in a sentence.
    pub reason: &'a str,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its bytes. Of more than the broker takes in one message the begin is kept, and the header
    /// `Rowcast-Parked-Bytes` tells how many there were.
    pub payload: Bytes,
}

/// Since when it is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was not before.
    Now,
    /// It was already.
    Before,
}

/// It is not parked.
#[derive(Debug, thiserror::Error)]
pub enum ParkError {
    /// There is no room, and nothing older is removed for it.
    #[error(
        "the stream {stream} is full: what it keeps has to be read and purged before anything else is passed over"
    )]
    Full {
        /// Its name.
        stream: &'static str,
    },
    /// The group has as many there as it may; others have room.
    #[error(
        "the group has as many parked changes as it may have: read them, then purge the subject {subject} of the stream {}, or give the group a policy that fits its rows", GROUP_PARKED.name
    )]
    NoShare {
        /// Where those of the group are.
        subject: String,
    },
    /// The broker does not say that it is.
    #[error(transparent)]
    Broker(BoxError),
}

/// What nats-server says of a subject that has as many messages as it may (`ErrMaxMsgsPerSubject`). It has the code of a
/// stream that is full.
const PER_SUBJECT: &str = "per subject";

impl ParkError {
    fn of(error: PublishError, group: Option<&GroupId>) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        let full = cause.filter(|cause: &&jetstream::Error| {
            cause.error_code() == ErrorCode::STREAM_STORE_FAILED
        });
        let is_of_subject = full.map(|cause| cause.to_string().contains(PER_SUBJECT));
        match (is_of_subject, group) {
            (None, _) => Self::Broker(error.into()),
            (Some(true), Some(group)) => Self::NoShare {
                subject: subject::parked_of_group(group),
            },
            (Some(false), Some(_group)) => Self::Full {
                stream: GROUP_PARKED.name,
            },
            (Some(_), None) => Self::Full {
                stream: PARKED.name,
            },
        }
    }
}

impl Parked<'_> {
    /// Parks it, and waits until it is stored.
    ///
    /// # Errors
    /// Where there is no room, or the broker does not say that it is.
    pub async fn store(self, bus: &Bus) -> Result<Kept, ParkError> {
        let Self {
            by,
            group,
            from,
            once,
            reason,
            mut headers,
            mut payload,
        } = self;
        tracing::error!(by, from, reason, "parked");
        headers.insert("Rowcast-Parked-Subject", from);
        let reason = reason.replace(['\r', '\n'], " ");
        headers.insert("Rowcast-Parked-Reason", reason.as_str());
        if let Some(once) = once {
            headers.insert(NATS_MESSAGE_ID, once.as_str());
        }
        let limit = bus.client().server_info().max_payload;
        let limit = limit.saturating_sub(HEADER_ROOM);
        if payload.len() > limit {
            headers.insert("Rowcast-Parked-Bytes", payload.len().to_string().as_str());
            payload.truncate(limit);
        }
        let to = match group {
            Some(group) => subject::parked_of_group(group),
            None => subject::parked(by),
        };
        let refused = |error| ParkError::of(error, group);
        let published = bus.jetstream().publish_with_headers(to, headers, payload);
        let acked = published.await.map_err(refused)?.await.map_err(refused)?;
        Ok(if acked.duplicate {
            Kept::Before
        } else {
            Kept::Now
        })
    }
}
