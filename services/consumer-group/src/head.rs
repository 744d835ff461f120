//! Where a message of a task's stream stands in its source's history.

use chrono::{DateTime, Utc};
use rowcast_bus::async_nats::{HeaderMap, HeaderValue};
use rowcast_domain::Position;
use rowcast_proto::change::{Change, Operation, is_json};
use rowcast_proto::derived;
use rowcast_proto::subject::Op;
use serde::Deserialize;

/// What a message says of its place. Rows are passed over unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Of a pack, that of its last change; of a schema message, that of the change before it.
    pub(crate) position: Position,
    pub(crate) committed_at: DateTime<Utc>,
    /// The transaction; absent on a heartbeat.
    pub(crate) xid: Option<u32>,
    /// Whether it is the transaction's begin marker, before which the transaction has nothing.
    pub(crate) is_begin: bool,
    /// Whether it tells a table's shape.
    pub(crate) is_shape: bool,
}

#[derive(Deserialize)]
struct Json {
    id: Position,
    op: Operation,
    committed_at: DateTime<Utc>,
    #[serde(default)]
    xid: Option<u32>,
}

impl Head {
    /// `None` for what is no message of a task's stream.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        if is_json(payload) {
            let read: Json = serde_json::from_slice(payload).ok()?;
            return Some(Self {
                position: read.id,
                committed_at: read.committed_at,
                xid: read.xid,
                is_begin: read.op == Operation::Begin,
                is_shape: read.op == Operation::Schema,
            });
        }
        let read = Change::read(payload).ok()?;
        Some(Self {
            position: read.id,
            committed_at: read.committed_at.parse().ok()?,
            xid: read.xid,
            is_begin: read.op == Operation::Begin,
            is_shape: read.op == Operation::Schema,
        })
    }

    /// As [`Self::read`], of a message in another format, which says it in its headers.
    pub(crate) fn of_derived(headers: &HeaderMap, subject: &str) -> Option<Self> {
        let header = |name: &str| headers.get(name).map(HeaderValue::as_str);
        Some(Self {
            position: header(derived::ID)?.parse().ok()?,
            committed_at: header(derived::COMMITTED_AT)?.parse().ok()?,
            xid: header(derived::XID).and_then(|xid| xid.parse().ok()),
            is_begin: subject.rsplit('.').next() == Some(Op::Begin.as_str()),
            is_shape: subject.rsplit('.').next() == Some(Op::Schema.as_str()),
        })
    }
}

#[cfg(test)]
mod tests {
    use rowcast_domain::Lsn;

    use super::*;

    #[test]
    fn both_formats_say_the_same() {
        let json = include_bytes!("../../../proto/golden/change/Change.insert.v1.json");
        let head = Head::read(json).unwrap();
        let whole = Change::read(json).unwrap();
        assert_eq!((head.position, head.xid), (whole.id, whole.xid));
        assert!(!head.is_begin && head.position.commit_lsn > Lsn::INVALID);

        let hex = include_str!("../../../proto/golden/protobuf/Change.insert.v1.hex");
        let digits: String = hex.split_whitespace().collect();
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
        assert_eq!(Head::read(&bytes.unwrap()), Some(head));
        let begin = include_bytes!("../../../proto/golden/change/Change.begin.v1.json");
        assert!(Head::read(begin).unwrap().is_begin);
    }

    #[test]
    fn a_message_in_another_format_says_it_in_its_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(derived::ID, "0/300.2");
        headers.insert(derived::COMMITTED_AT, "2026-11-23T05:33:10.123456Z");
        headers.insert(derived::XID, "703");
        let head = Head::of_derived(&headers, "rowcast.derived.g1.tx.begin").unwrap();
        assert_eq!(head.position, Position::new(Lsn::new(0x300), 2));
        assert!(head.is_begin && head.xid == Some(703));
        assert_eq!(Head::of_derived(&HeaderMap::new(), "a.begin"), None);
    }

    #[test]
    fn what_is_no_message_says_nothing() {
        for text in ["", "1", "{}", r#"{"id":"0/1.1"}"#, "\u{1}\u{2}"] {
            assert_eq!(Head::read(text.as_bytes()), None, "{text:?}");
        }
    }
}
