//! The time in a commit line: ISO, with the session's offset from UTC.

use std::ops::RangeInclusive;

use chrono::{NaiveDate, NaiveTime};

/// Microseconds since 2000-01-01 UTC of a text as `2026-11-24 03:40:07.749169+00`; the fraction has
/// no trailing zeros and may be absent, the offset may have minutes and seconds.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(' ')?;
    let (clock, offset) = rest.split_at_checked(rest.find(['+', '-'])?)?;
    let mut date = date.splitn(3, '-');
    let year = number(date.next()?, 4..=6)?;
    let month = number(date.next()?, 2..=2)?;
    let day = number(date.next()?, 2..=2)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let epoch = NaiveDate::from_ymd_opt(2000, 1, 1)?;
    let (clock, micros) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, micros(fraction)?),
        None => (clock, 0),
    };
    let clock = clock_time(clock)?;
    let local = date
        .and_time(clock)
        .signed_duration_since(epoch.and_time(NaiveTime::MIN))
        .num_microseconds()?;
    let offset_seconds = i64::from(offset_seconds(offset)?);
    local
        .checked_add(i64::from(micros))?
        .checked_sub(offset_seconds.checked_mul(1_000_000)?)
}

fn clock_time(text: &str) -> Option<NaiveTime> {
    let mut parts = text.splitn(3, ':');
    let mut next = || number(parts.next()?, 2..=2);
    NaiveTime::from_hms_opt(next()?, next()?, next()?)
}

fn micros(fraction: &str) -> Option<u32> {
    let digits = u32::try_from(fraction.len()).ok()?;
    let value = number(fraction, 1..=6)?;
    value.checked_mul(10_u32.pow(6_u32.checked_sub(digits)?))
}

/// East of Greenwich is positive.
fn offset_seconds(text: &str) -> Option<i32> {
    let (east, text) = match text.strip_prefix('-') {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix('+')?),
    };
    let mut seconds = 0;
    let mut weight = 3600;
    for part in text.splitn(3, ':') {
        seconds += i32::try_from(number(part, 2..=2)?).ok()? * weight;
        weight /= 60;
    }
    Some(if east { seconds } else { -seconds })
}

/// Digits and nothing else, in one of the lengths.
fn number(text: &str, lengths: RangeInclusive<usize>) -> Option<u32> {
    let plain = lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_time;

    #[test]
    fn times_are_read_as_the_server_writes_them() {
        for (text, expected) in [
            ("2000-01-01 00:00:00+00", "2000-01-01T00:00:00Z"),
            (
                "2026-11-24 03:40:07.749169+00",
                "2026-11-24T03:40:07.749169Z",
            ),
            ("2026-11-24 03:40:07.75+00", "2026-11-24T03:40:07.75Z"),
            ("2026-11-24 03:40:07.75+05:30", "2026-11-23T22:10:07.75Z"),
            ("2026-11-24 03:40:07-03:30", "2026-11-24T07:10:07Z"),
            (
                "1999-12-31 23:59:59.000001-00:00:10",
                "2000-01-01T00:00:09.000001Z",
            ),
            ("12026-02-28 00:00:00+00", "+12026-02-28T00:00:00Z"),
        ] {
            let expected: chrono::DateTime<chrono::Utc> = expected.parse().unwrap();
            let micros = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(server_time::to_utc(micros).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "infinity",
            "2026-11-24",
            "2026-11-24 03:40:07",
            "2026-13-24 03:40:07+00",
            "2026-02-30 03:40:07+00",
            "2026-11-24 24:40:07+00",
            "2026-11-24 03:40+00",
            "2026-11-24 03:40:07.+00",
            "2026-11-24 03:40:07.1234567+00",
            "2026-11-24 03:40:07+",
            "2026-11-24 03:40:07+0",
            "2026-11-24 03:40:07+00 BC",
            "2026-11-24 03:40:07.5 UTC",
            "+026-11-24 03:40:07+00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
