//! Asking another service.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{HeaderMap, Request};
use rowcast_proto::message::RpcError;
use rowcast_proto::rpc::{DEADLINE_HEADER, ERROR_HEADER, Rpc};
use tracing::Instrument as _;

use crate::connect::Bus;
use crate::trace_context;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The service answered that it will not.
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(RpcError),
    /// No copy of the service is there.
    #[error("the service {0} is not running")]
    Unavailable(&'static str),
    /// The service did not answer in time; it may still do what was asked.
    #[error("the service {0} did not answer in time")]
    Timeout(&'static str),
    /// The connection failed.
    #[error("the question to {service} could not be sent")]
    Transport {
        /// Who was asked.
        service: &'static str,
        /// Why.
        #[source]
        source: async_nats::client::RequestError,
    },
    /// The question or its answer is not of the agreed form.
    #[error("the question to {service} or its answer is malformed")]
    Malformed {
        /// Who was asked.
        service: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Asks, and waits at most `timeout`.
///
/// # Errors
/// See [`AskError`].
pub async fn ask<R: Rpc>(
    bus: &Bus,
    question: &R::Request,
    timeout: Duration,
) -> Result<R::Reply, AskError> {
    let span = tracing::info_span!(
        "ask",
        otel.name = R::SUBJECT,
        otel.kind = "client",
        messaging.system = "nats",
        messaging.destination.name = R::SUBJECT,
    );
    ask_within_span::<R>(bus, question, timeout)
        .instrument(span)
        .await
}

async fn ask_within_span<R: Rpc>(
    bus: &Bus,
    question: &R::Request,
    timeout: Duration,
) -> Result<R::Reply, AskError> {
    let service = R::SERVICE;
    let malformed = |source| AskError::Malformed { service, source };
    let payload = serde_json::to_vec(question).map_err(malformed)?;
    let mut headers = HeaderMap::new();
    trace_context::write_headers(&mut headers, &trace_context::current());
    headers.insert(DEADLINE_HEADER, timeout.as_millis().to_string().as_str());
    let request = Request::new()
        .payload(payload.into())
        .headers(headers)
        .timeout(Some(timeout));
    let reply = bus
        .client()
        .send_request(R::SUBJECT, request)
        .await
        .map_err(|source| match source.kind() {
            RequestErrorKind::TimedOut => AskError::Timeout(service),
            RequestErrorKind::NoResponders => AskError::Unavailable(service),
            RequestErrorKind::InvalidSubject
            | RequestErrorKind::MaxPayloadExceeded
            | RequestErrorKind::Other => AskError::Transport { service, source },
        })?;
    let refused = reply
        .headers
        .as_ref()
        .is_some_and(|headers| headers.get(ERROR_HEADER).is_some());
    if refused {
        return Err(AskError::Refused(
            serde_json::from_slice(&reply.payload).map_err(malformed)?,
        ));
    }
    serde_json::from_slice(&reply.payload).map_err(malformed)
}
