//! What a stream that groups read holds.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rowcast_bus::Bus;
use rowcast_bus::async_nats::jetstream::ErrorCode;
use rowcast_bus::async_nats::jetstream::message::StreamMessage;
use rowcast_bus::async_nats::jetstream::stream::{
    DiscardPolicy, RawMessageError, RawMessageErrorKind, Stream,
};
use rowcast_proto::message::{StreamPosition, StreamRange};
use rowcast_service::BoxError;

use crate::consumer;
use crate::head::Head;
use crate::reads::Reads;

/// A stream that groups read, without what it was when it was opened.
pub(crate) type TaskStream = Stream<()>;

/// What a stream that groups read holds, and what removes it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// Whether it is a group's own, which has the limits of its task's for itself.
    pub(crate) is_own: bool,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Of an empty stream, the next one to come.
    pub(crate) first: u64,
    /// Also where it was removed.
    pub(crate) last: u64,
    /// When the first one was stored.
    pub(crate) first_stored_at: DateTime<Utc>,
    pub(crate) max_age: Option<Duration>,
    /// The limit at which the oldest are removed.
    pub(crate) max_bytes: Option<u64>,
}

/// A message that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) stored_at: DateTime<Utc>,
    /// `None` where its body cannot be read.
    pub(crate) head: Option<Head>,
}

/// Looks at the stream; `None` where there is none.
pub(crate) async fn look(data: &Bus, reads: &Reads) -> Result<Option<Held>, BoxError> {
    let info = match stream(data, reads).await?.get_info().await {
        Ok(info) => info,
        Err(error) if consumer::says_no_stream(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (state, config) = (info.state, info.config);
    let discards_old = config.discard == DiscardPolicy::Old;
    Ok(Some(Held {
        is_own: matches!(reads, Reads::Own(_)),
        messages: state.messages,
        bytes: state.bytes,
        first: state.first_sequence.max(1),
        last: state.last_sequence,
        first_stored_at: {
            let at = state.first_timestamp;
            time(at.unix_timestamp(), at.nanosecond())
        },
        max_age: (!config.max_age.is_zero()).then_some(config.max_age),
        max_bytes: u64::try_from(config.max_bytes)
            .ok()
            .filter(|bytes| discards_old && *bytes > 0),
    }))
}

/// The stream, without a question whether it is there.
pub(crate) async fn stream(data: &Bus, reads: &Reads) -> Result<TaskStream, BoxError> {
    Ok(data.jetstream().get_stream_no_info(reads.stream()).await?)
}

/// The first message at or behind a sequence, from the stream's leader.
pub(crate) async fn at_or_after(
    stream: &TaskStream,
    sequence: u64,
) -> Result<Option<Stored>, BoxError> {
    next_of(stream, sequence, ">").await
}

/// The first message on these subjects at or behind a sequence, from the stream's leader.
pub(crate) async fn next_of(
    stream: &TaskStream,
    sequence: u64,
    subjects: &str,
) -> Result<Option<Stored>, BoxError> {
    let question = stream.raw_message_builder().sequence(sequence.max(1));
    found(question.next_by_subject(subjects).send().await)
}

/// The message with this sequence, from the stream's leader.
pub(crate) async fn exactly(
    stream: &TaskStream,
    sequence: u64,
) -> Result<Option<Stored>, BoxError> {
    if sequence == 0 {
        return Ok(None);
    }
    found(stream.get_raw_message(sequence).await)
}

fn found(answer: Result<StreamMessage, RawMessageError>) -> Result<Option<Stored>, BoxError> {
    match answer {
        Ok(message) => Ok(Some(Stored {
            sequence: message.sequence,
            stored_at: time(message.time.unix_timestamp(), message.time.nanosecond()),
            head: Head::read(&message.payload)
                .or_else(|| Head::of_derived(&message.headers, &message.subject)),
        })),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(cause)
                if cause.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            RawMessageErrorKind::JetStream(_)
            | RawMessageErrorKind::InvalidSubject
            | RawMessageErrorKind::Other => Err(error.into()),
        },
    }
}

impl Stored {
    /// When its transaction was committed; of what cannot be read, when it was stored.
    pub(crate) fn at(&self) -> DateTime<Utc> {
        self.head.map_or(self.stored_at, |head| head.committed_at)
    }
}

impl From<&Stored> for StreamPosition {
    fn from(stored: &Stored) -> Self {
        let position = stored.head.map(|head| head.position);
        Self {
            sequence: stored.sequence,
            lsn: position.map_or_else(String::new, |position| position.commit_lsn.to_string()),
            ordinal: position.map_or(0, |position| position.ordinal),
            committed_at: Some(stored.at().into()),
        }
    }
}

/// The stream with its ends, as others see it.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    pub(crate) held: Held,
    pub(crate) first: Option<Stored>,
    pub(crate) last: Option<Stored>,
}

impl Range {
    /// Reads the ends of what is held.
    pub(crate) async fn read(stream: &TaskStream, held: Held) -> Result<Self, BoxError> {
        if held.messages == 0 {
            return Ok(Self {
                held,
                first: None,
                last: None,
            });
        }
        let (first, last) =
            futures::try_join!(at_or_after(stream, held.first), exactly(stream, held.last))?;
        Ok(Self { held, first, last })
    }
}

impl From<&Range> for StreamRange {
    fn from(range: &Range) -> Self {
        Self {
            messages: range.held.messages,
            first_sequence: range.held.first,
            last_sequence: range.held.last,
            first: range.first.as_ref().map(Into::into),
            last: range.last.as_ref().map(Into::into),
        }
    }
}

fn time(seconds: i64, nanoseconds: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, nanoseconds).unwrap_or_default()
}
