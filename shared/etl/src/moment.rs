//! Dates and times as PostgreSQL writes them, from its first year to its last.

use std::cmp::Ordering;

/// Years that are computed with lie within this distance of year 0; PostgreSQL's dates end in
/// the year 5,874,897.
const YEAR_MAX: i64 = 6_000_000;

const SECOND: i128 = 1_000_000;
const DAY: i128 = 86_400 * SECOND;

/// Microseconds from 1970 to 2000, where PostgreSQL begins to count.
pub(crate) const EPOCH_2000: i128 = 10_957 * DAY;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) at: Point,
    /// The seconds east of UTC of the clock that showed it. A value without a zone has none, and
    /// counts as one of UTC.
    pub(crate) offset: Option<i32>,
}

/// Microseconds since 1970 UTC, or one of PostgreSQL's infinities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    Past,
    At(i128),
    Future,
}

/// How a moment is written to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Date,
    Timestamp,
    Timestamptz,
}

/// What a clock and a calendar show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// 0 is the year 1 BC.
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) micros: i64,
}

impl Moment {
    /// A moment of UTC.
    pub(crate) fn utc(micros: i128) -> Moment {
        Moment {
            at: Point::At(micros),
            offset: Some(0),
        }
    }

    /// The moment at which a clock of this offset shows this.
    pub(crate) fn of(clock: &Clock, offset: Option<i32>) -> Option<Moment> {
        let micros = clock.micros()? - offset_micros(offset);
        Some(Moment {
            at: Point::At(micros),
            offset,
        })
    }

    /// Reads PostgreSQL's text of a date, a timestamp or a timestamp with time zone.
    pub(crate) fn parse(text: &str) -> Option<Moment> {
        let infinite = |at| Some(Moment { at, offset: None });
        match text {
            "infinity" => return infinite(Point::Future),
            "-infinity" => return infinite(Point::Past),
            _ => {}
        }
        let (text, before_christ) = match text.strip_suffix(" BC") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (date, time) = match text.split_once([' ', 'T']) {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut parts = date.split('-');
        let year = number(parts.next()?)?;
        let mut clock = Clock {
            year: if before_christ { 1 - year } else { year },
            month: number(parts.next()?)?,
            day: number(parts.next()?)?,
            ..Clock::START
        };
        if parts.next().is_some() {
            return None;
        }
        let offset = match time {
            Some(time) => clock.read_time(time)?,
            None => None,
        };
        Moment::of(&clock, offset)
    }

    /// PostgreSQL's text of it.
    pub(crate) fn write(self, style: Style) -> String {
        let moment = match style {
            Style::Timestamptz => Moment {
                offset: Some(0),
                ..self
            },
            Style::Date | Style::Timestamp => self,
        };
        let Some(clock) = moment.clock() else {
            let future = self.at == Point::Future;
            return if future { "infinity" } else { "-infinity" }.to_owned();
        };
        let (year, era) = match clock.year {
            year if year > 0 => (year, ""),
            year => (1 - year, " BC"),
        };
        let (month, day) = (clock.month, clock.day);
        if style == Style::Date {
            return format!("{year:04}-{month:02}-{day:02}{era}");
        }
        let (hour, minute, second) = (clock.hour, clock.minute, clock.second);
        let mut fraction = String::new();
        if clock.micros != 0 {
            fraction = format!(".{:06}", clock.micros);
            fraction.truncate(fraction.trim_end_matches('0').len());
        }
        let zone = if style == Style::Timestamptz {
            "+00"
        } else {
            ""
        };
        format!(
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction}{zone}{era}"
        )
    }

    /// What its own clock shows, unless it is infinite.
    pub(crate) fn clock(self) -> Option<Clock> {
        let Point::At(micros) = self.at else {
            return None;
        };
        let shown = micros + offset_micros(self.offset);
        let days = i64::try_from(shown.div_euclid(DAY)).ok()?;
        let rest = i64::try_from(shown.rem_euclid(DAY)).ok()?;
        let (year, month, day) = civil(days);
        let seconds = rest / 1_000_000;
        Some(Clock {
            year,
            month,
            day,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: rest % 1_000_000,
        })
    }

    /// It, so many months and then so many microseconds later, unless that is out of reach.
    ///
    /// A day that the month does not have becomes the month's last.
    pub(crate) fn later(self, months: i64, micros: i128) -> Option<Moment> {
        let Some(mut clock) = self.clock() else {
            return Some(self);
        };
        let count = (clock.year * 12 + clock.month - 1).checked_add(months)?;
        clock.year = count.div_euclid(12);
        clock.month = count.rem_euclid(12) + 1;
        if clock.year.abs() > YEAR_MAX {
            return None;
        }
        clock.day = clock.day.min(days_in_month(clock.year, clock.month));
        let moment = Moment::of(&clock, self.offset)?;
        let Point::At(at) = moment.at else {
            return Some(moment);
        };
        let at = at.checked_add(micros)?;
        within_reach(at).then_some(Moment {
            at: Point::At(at),
            ..moment
        })
    }

    pub(crate) fn compare(self, other: Moment) -> Ordering {
        self.at.cmp(&other.at)
    }
}

impl Clock {
    /// Midnight of 1970-01-01.
    pub(crate) const START: Clock = Clock {
        year: 1970,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        micros: 0,
    };

    /// Microseconds since 1970 of this clock, if there is such a date and time.
    fn micros(&self) -> Option<i128> {
        let fits = self.year.abs() <= YEAR_MAX
            && (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
            && (0..24).contains(&self.hour)
            && (0..60).contains(&self.minute)
            && (0..60).contains(&self.second);
        let seconds = i128::from(self.hour * 3600 + self.minute * 60 + self.second);
        fits.then(|| {
            i128::from(days(self.year, self.month, self.day)) * DAY
                + seconds * SECOND
                + i128::from(self.micros)
        })
    }

    /// Reads `05:33:10.123456+00` and gives the offset.
    fn read_time(&mut self, text: &str) -> Option<Option<i32>> {
        let (time, zone) = match text.find(['+', '-', 'Z']) {
            Some(at) => text.split_at_checked(at)?,
            None => (text, ""),
        };
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let mut parts = time.split(':');
        self.hour = number(parts.next()?)?;
        self.minute = number(parts.next()?)?;
        self.second = number(parts.next()?)?;
        if parts.next().is_some() {
            return None;
        }
        let missing = 6_usize.checked_sub(fraction.len())?;
        self.micros = number(fraction)? * 10_i64.pow(u32::try_from(missing).ok()?);
        match zone {
            "" => Some(None),
            "Z" => Some(Some(0)),
            zone => offset(zone).map(Some),
        }
    }
}

/// Whether a calendar can show it.
pub(crate) fn within_reach(micros: i128) -> bool {
    micros.abs() <= i128::from(YEAR_MAX) * 365 * DAY
}

fn offset_micros(offset: Option<i32>) -> i128 {
    i128::from(offset.unwrap_or(0)) * SECOND
}

/// The seconds east of UTC of `+08`, `+08:00` or `-03:30:00`.
pub(crate) fn offset(text: &str) -> Option<i32> {
    let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (None, Some(digits)) => (-1, digits),
        (None, None) => return None,
    };
    let mut seconds = 0;
    let mut unit = 3600;
    for part in digits.split(':') {
        let value = i32::try_from(number(part)?).ok()?;
        let limit = if unit == 3600 { 16 } else { 60 };
        if part.len() != 2 || value >= limit || unit == 0 {
            return None;
        }
        seconds += value * unit;
        unit /= 60;
    }
    Some(sign * seconds)
}

/// A number that consists of digits only.
pub(crate) fn number(digits: &str) -> Option<i64> {
    let fits = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| fits)
}

pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years are counted from March, so that leap days stand at their ends.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgresql_writes_is_read_and_written_the_same() {
        for text in [
            "2026-11-23 05:33:10.123456+00",
            "1999-12-31 23:59:59.1+00",
            "0044-03-15 00:00:00+00 BC",
            "294276-12-31 23:59:59.999999+00",
            "infinity",
            "-infinity",
        ] {
            let moment = Moment::parse(text).unwrap();
            assert_eq!(moment.write(Style::Timestamptz), text);
        }
        for text in ["2024-02-29 00:00:00", "4713-01-01 00:00:00 BC"] {
            assert_eq!(Moment::parse(text).unwrap().write(Style::Timestamp), text);
        }
        for text in ["2024-02-29", "5874897-12-31", "4714-11-24 BC", "infinity"] {
            assert_eq!(Moment::parse(text).unwrap().write(Style::Date), text);
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "x",
            "2023-02-29",
            "2023-13-01",
            "2023-01-00",
            "2023-01-01 24:00:00",
            "2023-01-01 1",
            "2023-01-01 00:00:00.1234567",
            "2023-01-01 00:00:00+99",
            "+1-01-01",
            "2023-01-01-01",
            "9999999-01-01",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_zone_is_taken_into_account() {
        let there = Moment::parse("2021-01-01 08:00:00+08").unwrap();
        let here = Moment::parse("2021-01-01 00:00:00").unwrap();
        assert_eq!(there.compare(here), Ordering::Equal);
        assert_eq!(there.write(Style::Timestamptz), "2021-01-01 00:00:00+00");
        assert_eq!(there.write(Style::Timestamp), "2021-01-01 08:00:00");
        assert_eq!(offset("-03:30"), Some(-12_600));
        assert_eq!(offset("+8"), None);
        assert_eq!(offset("Asia/Shanghai"), None);
    }

    #[test]
    fn months_end_where_the_calendar_says() {
        let end = Moment::parse("2024-01-31 12:00:00").unwrap();
        let later = |months| end.later(months, 0).unwrap().write(Style::Timestamp);
        assert_eq!(later(1), "2024-02-29 12:00:00");
        assert_eq!(later(-2), "2023-11-30 12:00:00");
        assert_eq!(later(12), "2025-01-31 12:00:00");
        assert_eq!(end.later(i64::MAX, 0), None);
        assert_eq!(end.later(0, i128::MAX), None);
    }

    #[test]
    fn every_day_of_many_years_is_found_again() {
        for number in -1_000_000..1_000_000 {
            let (year, month, day) = civil(number);
            assert_eq!(days(year, month, day), number);
        }
        assert_eq!(civil(10_957), (2000, 1, 1));
    }
}
