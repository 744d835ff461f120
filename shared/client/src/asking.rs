//! Asks the service what a member may read.
//!
//! Copies of the service share the questions. One that stands still gets its part of them too, and answers none: what is
//! not answered soon is asked again, without giving the first question up. The service may hear both: it notes twice that
//! the member is there, and a share that was let go with a number is let go once.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Message, Request, Subject};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rowcast_domain::GroupId;
use rowcast_proto::message::{ErrorKind, MemberReply, MemberRequest, RpcError};
use rowcast_proto::rpc::ERROR_HEADER;
use rowcast_proto::subject::group_member;
use tokio::time::Instant;

/// How long an answer may take, to whichever of the questions: the service says after 1.5 s that it cannot decide.
const ANSWER: Duration = Duration::from_secs(2);

/// After this long without an answer it is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// What came of a question.
#[derive(Debug)]
pub(crate) enum Answer {
    /// This is held.
    Decided(MemberReply),
    /// Somebody is there, who cannot decide now, and has told the others so.
    Undecided,
    /// Nobody is there to answer, as far as this server of NATS knows.
    Nobody,
    /// It is not known what was decided.
    Silence,
    /// There is no such group any more.
    NoGroup,
}

/// Asks, and says when that was asked which was answered.
pub(crate) async fn ask(
    client: &Client,
    group: &GroupId,
    question: &MemberRequest,
) -> (Answer, Instant) {
    let begun = Instant::now();
    let Ok(payload) = serde_json::to_vec(question) else {
        return (Answer::Silence, begun);
    };
    let (subject, payload) = (Subject::from(group_member(group)), Bytes::from(payload));
    let mut open = FuturesUnordered::new();
    let (mut next, limit) = (begun, begun + ANSWER);
    loop {
        tokio::select! {
            biased;
            Some(answered) = open.next(), if !open.is_empty() => {
                if let Some(answer) = answered {
                    return answer;
                }
            }
            () = tokio::time::sleep_until(limit) => return (Answer::Silence, begun),
            () = tokio::time::sleep_until(next) => {
                open.push(one(client, subject.clone(), payload.clone()));
                next += AGAIN;
            }
        }
    }
}

/// A single question; `None` where it is not answered.
async fn one(client: &Client, subject: Subject, payload: Bytes) -> Option<(Answer, Instant)> {
    let asked = Instant::now();
    let request = Request::new().payload(payload).timeout(Some(ANSWER));
    let answer = match client.send_request(subject, request).await {
        Ok(reply) => read(&reply),
        Err(error) => {
            tracing::debug!(error = %error, "the service does not say what may be read");
            match error.kind() {
                RequestErrorKind::NoResponders => Answer::Nobody,
                RequestErrorKind::TimedOut
                | RequestErrorKind::InvalidSubject
                | RequestErrorKind::MaxPayloadExceeded
                | RequestErrorKind::Other => return None,
            }
        }
    };
    Some((answer, asked))
}

fn read(reply: &Message) -> Answer {
    let headers = reply.headers.as_ref();
    if headers.is_some_and(|headers| headers.get(ERROR_HEADER).is_some()) {
        return refused(&reply.payload);
    }
    let decided = serde_json::from_slice(&reply.payload);
    decided.map_or(Answer::Silence, Answer::Decided)
}

fn refused(payload: &[u8]) -> Answer {
    let Ok(refusal) = serde_json::from_slice::<RpcError>(payload) else {
        return Answer::Silence;
    };
    tracing::debug!(
        code = refusal.code,
        detail = refusal.detail,
        "the service refuses"
    );
    match refusal.kind() {
        ErrorKind::NotFound => Answer::NoGroup,
        ErrorKind::Unavailable => Answer::Undecided,
        ErrorKind::Unspecified | ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::Internal => {
            Answer::Silence
        }
    }
}
