//! Times as ISO 8601.

use bytes::{BufMut as _, BytesMut};
use chrono::{Datelike as _, Timelike as _};

use crate::server_time;

/// Appends microseconds since 2000-01-01 UTC as `2026-11-23T05:33:10.123456Z`.
///
/// A time that no calendar of four digits holds becomes the epoch's: commit times come from the
/// server's clock.
pub(crate) fn commit_time(out: &mut BytesMut, micros: i64) {
    let time = server_time::to_utc(micros)
        .filter(|time| (0..10_000).contains(&time.year()))
        .unwrap_or_default();
    let date = time.date_naive();
    let micros = time.nanosecond() / 1000;
    digits(out, date.year().unsigned_abs(), 4);
    out.put_u8(b'-');
    digits(out, date.month(), 2);
    out.put_u8(b'-');
    digits(out, date.day(), 2);
    out.put_u8(b'T');
    digits(out, time.hour(), 2);
    out.put_u8(b':');
    digits(out, time.minute(), 2);
    out.put_u8(b':');
    digits(out, time.second(), 2);
    out.put_u8(b'.');
    digits(out, micros, 6);
    out.put_u8(b'Z');
}

fn digits(out: &mut BytesMut, number: u32, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number);
    for _ in text.len()..width {
        out.put_u8(b'0');
    }
    out.extend_from_slice(text.as_bytes());
}

/// The server's `2026-11-23 05:33:10.5` as `2026-11-23T05:33:10.5`; `None` for what is no such
/// time: `infinity`, `-infinity`, and dates before Christ.
pub(crate) fn timestamp(text: &str) -> Option<(&str, &str)> {
    let (date, time) = text.split_once(' ')?;
    (!text.ends_with(" BC") && time.contains(':')).then_some((date, time))
}

/// The server's `2026-11-23 05:33:10.5+00` without its zone, which is UTC because the session's is;
/// `None` for what is no such time.
pub(crate) fn timestamptz(text: &str) -> Option<(&str, &str)> {
    let (date, time) = timestamp(text)?;
    Some((date, time.strip_suffix("+00")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(micros: i64) -> String {
        let mut out = BytesMut::new();
        commit_time(&mut out, micros);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn commit_times_count_from_the_year_2000() {
        assert_eq!(commit(0), "2000-01-01T00:00:00.000000Z");
        assert_eq!(commit(848_727_190_123_456), "2026-11-23T05:33:10.123456Z");
        assert_eq!(commit(i64::MAX), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn what_iso_cannot_say_stays_the_servers_text() {
        assert_eq!(
            timestamp("2026-11-23 05:33:10.5"),
            Some(("2026-11-23", "05:33:10.5"))
        );
        assert_eq!(
            timestamptz("2026-11-23 05:33:10+00"),
            Some(("2026-11-23", "05:33:10"))
        );
        for text in ["infinity", "-infinity", "0044-03-15 12:00:00 BC"] {
            assert_eq!(timestamp(text), None, "{text}");
        }
        assert_eq!(timestamptz("0044-03-15 12:00:00+00 BC"), None);
    }
}
