//! A change that was put away, as the stream of dead letters holds it: its body and headers, and why it is there.

use chrono::{DateTime, Utc};
use rowcast_bus::async_nats::HeaderMap;
use rowcast_bus::async_nats::jetstream::message::StreamMessage;
use rowcast_domain::GroupId;
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::dead_letter as header;
use rowcast_proto::message::{self, DeadLetter, StreamPosition};
use rowcast_proto::rest::DeadLetterCause;

use crate::head::Head;

/// Characters kept of what a member says of its last attempt: the headers must fit beside the largest body, to which
/// capture leaves 4 KiB.
const MAX_ERROR: usize = 500;

/// Bytes, about, of the headers that say why it is one.
const OWN_HEADERS: usize = 400;

/// What is put away.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) group: GroupId,
    /// The subject that it had; empty where it was gone already.
    pub(crate) subject: String,
    /// Its sequence in the task's stream.
    pub(crate) sequence: u64,
    /// When the task's stream stored it, in nanoseconds of Unix; 0 where it was gone already.
    pub(crate) stored_at: i128,
    pub(crate) cause: DeadLetterCause,
    /// How often it was sent, over all redrives.
    pub(crate) attempts: u64,
    /// What the last member said of it.
    pub(crate) error: String,
    /// How often it was redriven.
    pub(crate) redriven: u32,
    /// `None` where it was gone already.
    pub(crate) body: Option<bytes::Bytes>,
    /// Those that it had.
    pub(crate) headers: HeaderMap,
}

impl Letter {
    /// Of a message of the task's stream.
    pub(crate) fn of_change(group: GroupId, message: StreamMessage) -> Self {
        Self {
            subject: message.subject.to_string(),
            sequence: message.sequence,
            stored_at: message.time.unix_timestamp_nanos(),
            body: Some(message.payload),
            headers: message.headers,
            ..Self::gone(group, message.sequence)
        }
    }

    /// Of a message that retention has removed already.
    pub(crate) fn gone(group: GroupId, sequence: u64) -> Self {
        Self {
            group,
            subject: String::new(),
            sequence,
            stored_at: 0,
            cause: DeadLetterCause::Exhausted,
            attempts: 0,
            error: String::new(),
            redriven: 0,
            body: None,
            headers: HeaderMap::new(),
        }
    }

    /// Of a message of the stream of dead letters; `None` where it is none.
    pub(crate) fn read(group: GroupId, message: &StreamMessage) -> Option<Self> {
        let text = |name: &str| message.headers.get(name).map(AsRef::<str>::as_ref);
        let is_without_body = text(header::WITHOUT_BODY).is_some();
        Some(Self {
            group,
            subject: text(header::SUBJECT).unwrap_or_default().to_owned(),
            sequence: text(header::SEQUENCE)?.parse().ok()?,
            stored_at: text(header::STORED_AT)?.parse().ok()?,
            cause: text(header::CAUSE).and_then(DeadLetterCause::from_name)?,
            attempts: text(header::ATTEMPTS)?.parse().ok()?,
            error: text(header::ERROR).unwrap_or_default().to_owned(),
            redriven: text(header::REDRIVEN)?.parse().ok()?,
            body: (!is_without_body).then(|| message.payload.clone()),
            headers: message.headers.clone(),
        })
    }

    /// What it takes, about.
    pub(crate) fn bytes(&self) -> u64 {
        let body = self.body.as_ref().map_or(0, bytes::Bytes::len);
        let headers = self.headers.iter().flat_map(|(name, values)| {
            let name: &str = name.as_ref();
            values
                .iter()
                .map(move |value| name.len() + value.as_str().len())
        });
        let headers: usize = headers.sum();
        u64::try_from(body + headers + OWN_HEADERS).unwrap_or(u64::MAX)
    }

    /// What is known of why it is one.
    fn last_error(&self) -> String {
        if !self.error.is_empty() {
            return self.error.clone();
        }
        match self.cause {
            DeadLetterCause::Exhausted if self.attempts == 1 => {
                "not acknowledged in 1 attempt; the client has not said why".to_owned()
            }
            DeadLetterCause::Exhausted => format!(
                "not acknowledged in {} attempts; the client has not said why",
                self.attempts
            ),
            DeadLetterCause::GivenUp => "given up by the client, which has not said why".to_owned(),
            DeadLetterCause::Skipped => "put away by hand without a reason".to_owned(),
        }
    }

    /// Whether it is a piece of a change that is larger than a message: alone, nobody can read it.
    pub(crate) fn is_piece(&self) -> bool {
        let body = self.body.as_deref().unwrap_or_default();
        Change::read(body).is_ok_and(|change| change.op == Operation::Part)
    }

    /// As it was after one more redrive.
    pub(crate) fn redriven_once_more(self) -> Self {
        Self {
            redriven: self.redriven.saturating_add(1),
            ..self
        }
    }

    /// Headers of its message: those that the change had, but for what tells NATS how to store it, and why it is here.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in self.headers.iter() {
            let name: &str = name.as_ref();
            if name.starts_with("Nats-") || name.starts_with("Rowcast-Dead-") {
                continue;
            }
            for value in values {
                headers.append(name, value.as_str());
            }
        }
        headers.insert(header::SUBJECT, self.subject.as_str());
        headers.insert(header::SEQUENCE, self.sequence.to_string().as_str());
        headers.insert(header::STORED_AT, self.stored_at.to_string().as_str());
        headers.insert(header::CAUSE, self.cause.as_str());
        headers.insert(header::ATTEMPTS, self.attempts.to_string().as_str());
        headers.insert(header::REDRIVEN, self.redriven.to_string().as_str());
        if !self.error.is_empty() {
            headers.insert(header::ERROR, in_one_line(&self.error).as_str());
        }
        if self.body.is_none() {
            headers.insert(header::WITHOUT_BODY, "true");
        }
        headers
    }

    /// As others see it: it has this number since then.
    pub(crate) fn to_message(&self, id: u64, at: DateTime<Utc>, with_body: bool) -> DeadLetter {
        let body = self.body.clone().unwrap_or_default();
        // A body in a format of the group's own does not say it.
        let head = Head::read(&body).or_else(|| Head::of_derived(&self.headers, &self.subject));
        let stored_at = i64::try_from(self.stored_at).unwrap_or_default();
        let committed_at = match head {
            Some(head) => head.committed_at,
            None if stored_at == 0 => at,
            None => DateTime::from_timestamp_nanos(stored_at),
        };
        let position = head.map(|head| head.position);
        DeadLetter {
            id,
            group_id: self.group.to_string(),
            subject: self.subject.clone(),
            position: Some(StreamPosition {
                sequence: self.sequence,
                lsn: position.map_or_else(String::new, |place| place.commit_lsn.to_string()),
                ordinal: position.map_or(0, |place| place.ordinal),
                committed_at: Some(committed_at.into()),
            }),
            cause: message::DeadLetterCause::from(self.cause).into(),
            attempts: self.attempts,
            last_error: self.last_error(),
            at: Some(at.into()),
            bytes: u64::try_from(body.len()).unwrap_or(u64::MAX),
            payload: if with_body { body.to_vec() } else { Vec::new() },
            is_without_body: self.body.is_none(),
            redriven: self.redriven,
        }
    }
}

/// A header has no line breaks, nor other control characters.
pub(crate) fn in_one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MAX_ERROR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_says_fits_into_a_header() {
        assert_eq!(in_one_line("a\r\nb\tc"), "a  b c");
        assert_eq!(in_one_line(&"é".repeat(600)).chars().count(), MAX_ERROR);
    }

    #[test]
    fn what_a_silent_client_leaves_open_is_told_as_far_as_it_is_known() {
        let told = |cause, attempts, error: &str| {
            let letter = Letter {
                cause,
                attempts,
                error: error.to_owned(),
                ..Letter::gone(GroupId::random(), 7)
            };
            letter.to_message(1, Utc::now(), false).last_error
        };
        let exhausted = told(DeadLetterCause::Exhausted, 10, "");
        assert!(exhausted.starts_with("not acknowledged in 10 attempts"));
        assert!(told(DeadLetterCause::GivenUp, 1, "").starts_with("given up"));
        assert_eq!(told(DeadLetterCause::GivenUp, 1, "why"), "why");
    }

    #[test]
    fn a_letter_in_a_format_of_the_group_says_where_its_change_stands() {
        let mut letter = Letter::gone(GroupId::random(), 7);
        letter.headers.insert("Rowcast-Id", "0/300.2");
        letter
            .headers
            .insert("Rowcast-Committed-At", "2026-11-23T05:33:10Z");
        letter.body = Some(bytes::Bytes::from_static(br#"{"op":"c"}"#));
        let told = letter.to_message(1, Utc::now(), false);
        let position = told.position.unwrap();
        assert_eq!((position.lsn.as_str(), position.ordinal), ("0/300", 2));
        assert_eq!(position.committed_at.unwrap().seconds, 1_795_411_990);
    }

    #[test]
    fn a_letter_keeps_the_headers_of_its_change_but_those_for_nats() {
        let mut letter = Letter::gone(GroupId::random(), 7);
        letter.headers.insert("traceparent", "00-1-2-01");
        letter.headers.insert("Nats-Batch-Id", "b1");
        letter.headers.insert(header::ATTEMPTS, "3");
        letter.attempts = 4;
        let headers = letter.headers();
        assert_eq!(headers.get("traceparent").unwrap().as_str(), "00-1-2-01");
        assert!(headers.get("Nats-Batch-Id").is_none());
        assert_eq!(headers.get_all(header::ATTEMPTS).count(), 1);
        assert_eq!(headers.get(header::ATTEMPTS).unwrap().as_str(), "4");
        assert!(headers.get(header::WITHOUT_BODY).is_some());
    }
}
