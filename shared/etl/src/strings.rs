//! Functions of texts. Positions count characters, from 0.

use std::{borrow::Cow, ops::Range};

use crate::{
    function::Plain,
    kind::Kind,
    moment::Style,
    value::{Fault, TEXT_MAX, Value},
};

/// Applies a function to its arguments, none of which is null or unknown. What was not given is
/// null.
pub(crate) fn apply<'a>(plain: Plain, arguments: [Value<'a>; 4]) -> Result<Value<'a>, Fault> {
    let [first, second, third, fourth] = arguments;
    let text = text(first);
    Ok(match plain {
        Plain::Replace => {
            let (old, new) = (self::text(second), self::text(third));
            Value::Text(replace(text, &old, &new, number(&fourth))?)
        }
        Plain::Strip => Value::Text(strip(text, &second)),
        Plain::Lower => Value::Text(lower(text)),
        Plain::Upper => Value::Text(upper(text)),
        Plain::ToNumber => {
            let number = text.trim().parse().ok();
            Value::Int(number.ok_or(Fault::Unreadable(Kind::Int))?)
        }
        Plain::ToText => Value::Text(text),
        Plain::Count => Value::Int(count(&text, &self::text(second))),
        Plain::Find => Value::Int(find(&text, &self::text(second))),
        Plain::Contains => Value::Bool(text.contains(self::text(second).as_ref())),
        Plain::StartsWith => Value::Bool(text.starts_with(self::text(second).as_ref())),
        Plain::EndsWith => Value::Bool(text.ends_with(self::text(second).as_ref())),
        Plain::IsAlpha => Value::Bool(!text.is_empty() && text.chars().all(char::is_alphabetic)),
        Plain::IsDigit => {
            let mut bytes = text.bytes();
            Value::Bool(!text.is_empty() && bytes.all(|byte| byte.is_ascii_digit()))
        }
        Plain::Mask => {
            let mask = self::text(fourth).chars().next().unwrap_or('*');
            Value::Text(masked(text, number(&second), number(&third), mask))
        }
        Plain::After => {
            let range = after(&text, 0, &self::text(second));
            Value::Text(part(text, range))
        }
        Plain::Before => {
            let end = text.find(self::text(second).as_ref());
            Value::Text(part(text, end.map(|end| 0..end)))
        }
        Plain::Between => {
            let start = after(&text, 0, &self::text(second)).map(|range| range.start);
            let rest = start.and_then(|start| text.get(start..));
            let length = rest.and_then(|rest| rest.find(self::text(third).as_ref()));
            let range = start
                .zip(length)
                .map(|(start, length)| start..start + length);
            Value::Text(part(text, range))
        }
    })
}

/// The text of a value.
pub(crate) fn text(value: Value<'_>) -> Cow<'_, str> {
    value.write(Style::Timestamptz).unwrap_or_default()
}

fn number(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Unknown
        | Value::Null
        | Value::Bool(_)
        | Value::Decimal(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Moment(_) => None,
    }
}

/// A part of a text, or an empty one.
fn part(text: Cow<'_, str>, range: Option<Range<usize>>) -> Cow<'_, str> {
    let Some(range) = range else {
        return Cow::Borrowed("");
    };
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(range).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(range).unwrap_or_default().to_owned()),
    }
}

fn after(text: &str, from: usize, mark: &str) -> Option<Range<usize>> {
    let found = text.get(from..)?.find(mark)?;
    Some(from + found + mark.len()..text.len())
}

/// Replaces from the left, at most so many times; a count below zero is no limit.
pub(crate) fn replace<'a>(
    text: Cow<'a, str>,
    old: &str,
    new: &str,
    count: Option<i64>,
) -> Result<Cow<'a, str>, Fault> {
    let count = count.map_or(usize::MAX, |count| {
        usize::try_from(count).unwrap_or(usize::MAX)
    });
    if old.is_empty() || count == 0 || !text.contains(old) {
        return Ok(text);
    }
    let found = text.matches(old).take(count).count();
    let length = found.saturating_mul(new.len()).saturating_add(text.len());
    if length > TEXT_MAX {
        return Err(Fault::TooLong);
    }
    Ok(Cow::Owned(text.replacen(old, new, count)))
}

/// Joins texts.
pub(crate) fn join<'a>(parts: &[Cow<'_, str>]) -> Result<Value<'a>, Fault> {
    let length = parts
        .iter()
        .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    if length > TEXT_MAX {
        return Err(Fault::TooLong);
    }
    Ok(Value::text(parts.concat()))
}

fn strip<'a>(text: Cow<'a, str>, characters: &Value<'_>) -> Cow<'a, str> {
    let stripped = match characters {
        Value::Text(characters) => text.trim_matches(|one| characters.contains(one)),
        Value::Unknown
        | Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Decimal(_)
        | Value::Float(_)
        | Value::Moment(_) => text.trim(),
    };
    if stripped.len() == text.len() {
        return text;
    }
    let start = stripped.as_ptr().addr() - text.as_ptr().addr();
    let range = start..start + stripped.len();
    part(text, Some(range))
}

fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return text;
    }
    Cow::Owned(text.to_lowercase())
}

fn upper(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return text;
    }
    Cow::Owned(text.to_uppercase())
}

fn masked(text: Cow<'_, str>, start: Option<i64>, end: Option<i64>, mask: char) -> Cow<'_, str> {
    let start = start.and_then(|start| usize::try_from(start).ok());
    let start = start.unwrap_or(0);
    let Some(end) = end.and_then(|end| usize::try_from(end).ok()) else {
        return text;
    };
    let characters = text.chars().enumerate();
    let masked = characters.map(|(at, one)| {
        let within = (start..=end).contains(&at);
        if within { mask } else { one }
    });
    Cow::Owned(masked.collect())
}

fn count(text: &str, part: &str) -> i64 {
    if part.is_empty() {
        return 0;
    }
    i64::try_from(text.matches(part).count()).unwrap_or(i64::MAX)
}

fn find(text: &str, part: &str) -> i64 {
    let before = text.find(part).and_then(|at| text.get(..at));
    before.map_or(-1, |before| {
        i64::try_from(before.chars().count()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(plain: Plain, first: &'static str, rest: [Value<'static>; 3]) -> Value<'static> {
        let [second, third, fourth] = rest;
        apply(plain, [Value::text(first), second, third, fourth]).unwrap()
    }

    fn masked_text(text: &'static str, start: i64, end: i64) -> String {
        let rest = [Value::Int(start), Value::Int(end), Value::text("#")];
        text_of(made(Plain::Mask, text, rest))
    }

    fn text_of(value: Value<'_>) -> String {
        text(value).into_owned()
    }

    #[test]
    fn a_mask_counts_characters_and_covers_both_ends() {
        assert_eq!(masked_text("13800001234", 7, 10), "1380000####");
        assert_eq!(masked_text("äöü", 1, 1), "ä#ü");
        assert_eq!(masked_text("abc", -5, 0), "#bc");
        assert_eq!(masked_text("abc", 1, 99), "a##");
        assert_eq!(masked_text("abc", 2, 1), "abc");
        assert_eq!(masked_text("abc", 0, -1), "abc");
    }

    #[test]
    fn texts_that_stay_are_borrowed() {
        let none = || [Value::Null, Value::Null, Value::Null];
        for (plain, text) in [
            (Plain::Lower, "abc"),
            (Plain::Upper, "ABC"),
            (Plain::Strip, " abc "),
        ] {
            let made = made(plain, text, none());
            assert!(matches!(made, Value::Text(Cow::Borrowed(_))), "{plain:?}");
        }
        let kept = replace(Cow::Borrowed("abc"), "x", "y", None).unwrap();
        assert!(matches!(kept, Cow::Borrowed("abc")));
    }

    #[test]
    fn no_text_grows_beyond_the_limit() {
        let long = "x".repeat(1 << 20);
        let replaced = replace(Cow::Borrowed(&long), "x", &"y".repeat(100), None);
        assert_eq!(replaced, Err(Fault::TooLong));
        let part = Cow::Borrowed(long.as_str());
        assert_eq!(join(&vec![part; 65]), Err(Fault::TooLong));
    }
}
