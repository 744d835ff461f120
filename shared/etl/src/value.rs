//! Values while a script runs: read from PostgreSQL's text and written as such again.

use std::borrow::Cow;

use bigdecimal::BigDecimal;

use crate::{
    kind::Kind,
    moment::{Moment, Style},
};

/// How many digits a decimal may have before and after its point together. PostgreSQL lets a
/// column declare as many.
pub(crate) const DIGITS_MAX: usize = 1000;

/// How many bytes a text that a script makes may have. No message is as large, and it bounds what
/// a script can take by doubling a text again and again.
pub(crate) const TEXT_MAX: usize = 64 * 1024 * 1024;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// It was not sent, or was made of something that was not.
    Unknown,
    Null,
    Bool(bool),
    Int(i64),
    Decimal(BigDecimal),
    /// A float, or what numerics have beside their numbers: `NaN` and the infinities.
    Float(f64),
    Text(Cow<'a, str>),
    Moment(Moment),
}

/// Why a value could not be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a value cannot be read as {0}")]
    Unreadable(Kind),
    #[error("a text is not of the format")]
    NotOfFormat,
    #[error("a number is divided by zero")]
    DivisionByZero,
    #[error("a number is too large for {0}")]
    Overflow(Kind),
    #[error("a decimal has more than {DIGITS_MAX} digits")]
    TooManyDigits,
    #[error("a text would have more than {TEXT_MAX} bytes")]
    TooLong,
    #[error("a datetime is out of reach")]
    OutOfReach,
    #[error(
        "a row cannot be judged by what the source has not sent: a large value that an update left as it was"
    )]
    NotSent,
    #[error("the row has {1} columns where the table has {0}")]
    OtherShape(usize, usize),
}

impl Value<'static> {
    /// The same value, which borrows its text.
    pub(crate) fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
            Value::Unknown => Value::Unknown,
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(*value),
            Value::Int(value) => Value::Int(*value),
            Value::Decimal(value) => Value::Decimal(value.clone()),
            Value::Float(value) => Value::Float(*value),
            Value::Moment(value) => Value::Moment(*value),
        }
    }
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Value::Text(text.into())
    }

    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Unknown => Value::Unknown,
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::Decimal(value) => Value::Decimal(value),
            Value::Float(value) => Value::Float(value),
            Value::Moment(value) => Value::Moment(value),
        }
    }

    /// Reads PostgreSQL's text of a column of this kind.
    pub(crate) fn read(text: Cow<'a, str>, kind: Kind) -> Result<Self, Fault> {
        let read = match kind {
            Kind::Any | Kind::Null | Kind::Text | Kind::Opaque => return Ok(Value::Text(text)),
            Kind::Bool => match text.as_ref() {
                "t" | "true" => Some(Value::Bool(true)),
                "f" | "false" => Some(Value::Bool(false)),
                _ => None,
            },
            Kind::Int => text.parse().ok().map(Value::Int),
            Kind::Float => text.parse().ok().map(Value::Float),
            Kind::Moment => Moment::parse(&text).map(Value::Moment),
            Kind::Decimal => return decimal(&text),
        };
        read.ok_or(Fault::Unreadable(kind))
    }

    /// PostgreSQL's text of it, if it has one.
    pub(crate) fn write(self, style: Style) -> Option<Cow<'a, str>> {
        match self {
            Value::Unknown | Value::Null => None,
            Value::Bool(value) => Some(Cow::Borrowed(if value { "t" } else { "f" })),
            Value::Int(value) => Some(Cow::Owned(value.to_string())),
            Value::Decimal(value) => Some(Cow::Owned(value.to_plain_string())),
            Value::Float(value) => Some(Cow::Owned(float(value))),
            Value::Text(text) => Some(text),
            Value::Moment(value) => Some(Cow::Owned(value.write(style))),
        }
    }

    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Value::Unknown)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub(crate) fn is_true(&self) -> bool {
        matches!(self, Value::Bool(true))
    }
}

/// Reads a decimal, of digits with one point at most: no exponent makes it longer than its text.
fn decimal<'a>(text: &str) -> Result<Value<'a>, Fault> {
    match text {
        "NaN" => return Ok(Value::Float(f64::NAN)),
        "Infinity" => return Ok(Value::Float(f64::INFINITY)),
        "-Infinity" => return Ok(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits
        .bytes()
        .all(|one| one.is_ascii_digit() || one == b'.')
    {
        return Err(Fault::Unreadable(Kind::Decimal));
    }
    if digits.len() > DIGITS_MAX + 1 {
        return Err(Fault::TooManyDigits);
    }
    let read = text.parse().map(Value::Decimal).ok();
    read.ok_or(Fault::Unreadable(Kind::Decimal))
}

/// The shortest text that is read as the same float, with an exponent where PostgreSQL has one.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 || (1e-4..1e15).contains(&value.abs()) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str, kind: Kind) -> String {
        let value = Value::read(Cow::Borrowed(text), kind).unwrap();
        value.write(Style::Timestamptz).unwrap().into_owned()
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        for (text, kind) in [
            ("t", Kind::Bool),
            ("-9223372036854775808", Kind::Int),
            ("1.50", Kind::Decimal),
            ("-0.000000000000000000001", Kind::Decimal),
            ("100000000000000000000", Kind::Decimal),
            ("NaN", Kind::Decimal),
            ("-Infinity", Kind::Decimal),
            ("0.1", Kind::Float),
            ("1e+300", Kind::Float),
            ("1.5e-07", Kind::Float),
            ("Infinity", Kind::Float),
            ("any text", Kind::Text),
            ("2026-11-23 05:33:10.5+00", Kind::Moment),
        ] {
            assert_eq!(again(text, kind), text);
        }
    }

    #[test]
    fn what_is_of_another_kind_is_a_fault() {
        let fault = |text: &'static str, kind| Value::read(Cow::Borrowed(text), kind).unwrap_err();
        assert_eq!(fault("x", Kind::Bool), Fault::Unreadable(Kind::Bool));
        assert_eq!(fault("1.5", Kind::Int), Fault::Unreadable(Kind::Int));
        assert_eq!(
            fault("1e9", Kind::Decimal),
            Fault::Unreadable(Kind::Decimal)
        );
        assert_eq!(
            fault("1.2.3", Kind::Decimal),
            Fault::Unreadable(Kind::Decimal)
        );
        assert_eq!(fault("", Kind::Decimal), Fault::Unreadable(Kind::Decimal));
        let long = Cow::Owned("9".repeat(1002));
        let read = Value::read(long, Kind::Decimal);
        assert_eq!(read.unwrap_err(), Fault::TooManyDigits);
    }
}
