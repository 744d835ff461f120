//! Times as PostgreSQL counts them: microseconds since 2000-01-01 UTC (PostgreSQL docs, "Streaming
//! Replication Protocol").

use chrono::{DateTime, Utc};

/// Microseconds from 1970-01-01 to 2000-01-01.
const EPOCH_OFFSET: i64 = 946_684_800_000_000;

/// The time; `None` where no calendar of ours holds it.
pub(crate) fn to_utc(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros.checked_add(EPOCH_OFFSET)?)
}

/// The time that a message tells; `None` where it is none, or one that no calendar of ours holds.
pub(crate) fn from_rfc3339(text: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    time.timestamp_micros().checked_sub(EPOCH_OFFSET)
}

/// Microseconds since 1970-01-01 UTC.
pub(crate) const fn since_1970(micros: i64) -> i64 {
    micros.saturating_add(EPOCH_OFFSET)
}

/// The same of microseconds since 1970-01-01 UTC.
pub(crate) const fn since_2000(micros: i64) -> i64 {
    micros.saturating_sub(EPOCH_OFFSET)
}

/// Now, by our clock.
pub(crate) fn now() -> i64 {
    Utc::now().timestamp_micros() - EPOCH_OFFSET
}
