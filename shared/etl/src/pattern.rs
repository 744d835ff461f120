//! Formats of dates and times, as `yyyy-MM-dd HH:mm:ss`.

use crate::moment::{self, Clock, Moment, Point, days_in_month};

/// A format, cut into its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// A field and how many letters it was written with.
    Field(Field, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    Hour,
    HourOfHalfDay,
    Minute,
    Second,
    Fraction,
    HalfDay,
    Offset,
}

/// What a format may be made of, for messages.
pub(crate) const LETTERS: &str = "yyyy, yy, MM, dd, HH, hh, mm, ss, SSS, a and XXX";

impl Pattern {
    /// Reads a format, or says which part of it is not one.
    pub(crate) fn parse(format: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut rest = format.chars().peekable();
        while let Some(letter) = rest.next() {
            if letter == '\'' {
                let mut quoted: String = rest.by_ref().take_while(|next| *next != '\'').collect();
                if quoted.is_empty() {
                    quoted.push('\'');
                }
                pieces.push(Piece::Literal(quoted));
            } else if letter.is_ascii_alphabetic() {
                let mut count = 1;
                while rest.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                let field = field(letter, count);
                let field = field.ok_or_else(|| letter.to_string().repeat(count))?;
                pieces.push(Piece::Field(field, count));
            } else {
                pieces.push(Piece::Literal(letter.to_string()));
            }
        }
        Ok(Pattern(pieces))
    }

    /// Writes a moment as its own clock shows it.
    pub(crate) fn write(&self, moment: Moment) -> String {
        let Some(clock) = moment.clock() else {
            let future = moment.at == Point::Future;
            return if future { "infinity" } else { "-infinity" }.to_owned();
        };
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Field(field, width) => {
                    text.push_str(&written(*field, *width, &clock, moment.offset));
                }
            }
        }
        text
    }

    /// Reads a text that was written in this format, and all of it.
    pub(crate) fn read(&self, text: &str) -> Option<Moment> {
        let mut rest = text;
        let mut clock = Clock::START;
        let mut offset = None;
        let mut afternoon = None;
        for piece in &self.0 {
            let (field, width) = match piece {
                Piece::Literal(literal) => {
                    rest = rest.strip_prefix(literal.as_str())?;
                    continue;
                }
                Piece::Field(field, width) => (*field, *width),
            };
            match field {
                Field::HalfDay => {
                    let (half, after) = rest.split_at_checked(2)?;
                    afternoon = Some(half.eq_ignore_ascii_case("PM"));
                    if afternoon == Some(false) && !half.eq_ignore_ascii_case("AM") {
                        return None;
                    }
                    rest = after;
                }
                Field::Offset if rest.starts_with('Z') => {
                    offset = Some(0);
                    rest = rest.strip_prefix('Z')?;
                }
                Field::Offset => {
                    let (zone, after) = rest.split_at_checked(6)?;
                    offset = Some(moment::offset(zone)?);
                    rest = after;
                }
                Field::Year
                | Field::Month
                | Field::Day
                | Field::Hour
                | Field::HourOfHalfDay
                | Field::Minute
                | Field::Second
                | Field::Fraction => {
                    let (digits, after) = rest.split_at_checked(digits(rest, field, width))?;
                    set(&mut clock, field, width, moment::number(digits)?)?;
                    rest = after;
                }
            }
        }
        if let Some(afternoon) = afternoon {
            clock.hour = clock.hour % 12 + if afternoon { 12 } else { 0 };
        }
        clock.day = (clock.day <= days_in_month(clock.year, clock.month)).then_some(clock.day)?;
        rest.is_empty().then_some(())?;
        Moment::of(&clock, offset)
    }
}

fn field(letter: char, count: usize) -> Option<Field> {
    let (field, counts) = match letter {
        'y' if count == 2 || count == 4 => (Field::Year, 1..=4),
        'M' => (Field::Month, 1..=2),
        'd' => (Field::Day, 1..=2),
        'H' => (Field::Hour, 1..=2),
        'h' => (Field::HourOfHalfDay, 1..=2),
        'm' => (Field::Minute, 1..=2),
        's' => (Field::Second, 1..=2),
        'S' => (Field::Fraction, 1..=6),
        'a' => (Field::HalfDay, 1..=1),
        'X' => (Field::Offset, 3..=3),
        _ => return None,
    };
    counts.contains(&count).then_some(field)
}

fn written(field: Field, width: usize, clock: &Clock, offset: Option<i32>) -> String {
    let number = match field {
        Field::Year if width == 2 => era_year(clock.year) % 100,
        Field::Year => era_year(clock.year),
        Field::Month => clock.month,
        Field::Day => clock.day,
        Field::Hour => clock.hour,
        Field::HourOfHalfDay => (clock.hour + 11) % 12 + 1,
        Field::Minute => clock.minute,
        Field::Second => clock.second,
        Field::Fraction => {
            let mut micros = format!("{:06}", clock.micros);
            micros.truncate(width);
            return micros;
        }
        Field::HalfDay => return if clock.hour < 12 { "AM" } else { "PM" }.to_owned(),
        Field::Offset => {
            let seconds = offset.unwrap_or(0);
            let sign = if seconds < 0 { '-' } else { '+' };
            let minutes = seconds.abs() / 60;
            return format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
        }
    };
    format!("{number:0width$}")
}

/// The year as people count it, before Christ backwards from 1.
fn era_year(year: i64) -> i64 {
    if year > 0 { year } else { 1 - year }
}

/// How many digits of the text belong to the field: as many as its letters, or up to two for a
/// single letter.
fn digits(text: &str, field: Field, width: usize) -> usize {
    if width > 1 || field == Field::Fraction {
        return width;
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit);
    digits.take(2).count()
}

/// Sets a field that is a number. A year of two digits is one from 1970 to 2069.
fn set(clock: &mut Clock, field: Field, width: usize, number: i64) -> Option<()> {
    match field {
        Field::Year if width == 2 => clock.year = number + if number < 70 { 2000 } else { 1900 },
        Field::Year => clock.year = number,
        Field::Month => clock.month = number,
        Field::Day => clock.day = number,
        Field::Hour => clock.hour = number,
        Field::HourOfHalfDay => clock.hour = (1..=12).contains(&number).then_some(number)? % 12,
        Field::Minute => clock.minute = number,
        Field::Second => clock.second = number,
        Field::Fraction => {
            let missing = u32::try_from(6_usize.checked_sub(width)?).ok()?;
            clock.micros = number * 10_i64.pow(missing);
        }
        Field::HalfDay | Field::Offset => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_and_read_in_a_format() {
        for (format, text) in [
            ("yyyy-MM-dd HH:mm:ss", "2021-02-03 14:05:06"),
            ("yyyyMMddHHmmssSSS", "20210203140506007"),
            ("d/M/yy h:m a", "3/2/21 2:5 PM"),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2021-02-03T14:05:06+08:00"),
            ("yyyy ''MM''", "2021 '02'"),
        ] {
            let pattern = Pattern::parse(format).unwrap();
            let moment = pattern.read(text).unwrap();
            assert_eq!(pattern.write(moment), text);
        }
    }

    #[test]
    fn a_text_of_another_format_is_not_read() {
        let pattern = Pattern::parse("yyyy-MM-dd").unwrap();
        for text in [
            "",
            "2021-2-03",
            "2021-02-30",
            "2021-02-03 ",
            "21-02-03",
            "2021-é1-01",
        ] {
            assert_eq!(pattern.read(text), None, "{text}");
        }
    }

    #[test]
    fn unknown_letters_are_named() {
        assert_eq!(Pattern::parse("yyyy-QQ"), Err("QQ".to_owned()));
        assert_eq!(Pattern::parse("yyy"), Err("yyy".to_owned()));
    }
}
