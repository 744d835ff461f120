//! JSON documents of columns: as they are where every reader takes them, as a string where one of
//! them could make a reader refuse the whole message.

use std::fmt;

use bytes::BytesMut;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::json;

/// Levels of a document that stands as it is; half of what `serde_json` reads, and below the limits
/// of other readers.
const MAX_DEPTH: usize = 64;

/// How a document stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// As it is, which is `null`.
    Null,
    /// As a string that holds its text.
    Text,
}

impl Form {
    /// The form that this document takes.
    ///
    /// PostgreSQL takes more than readers do: in `json` a lone surrogate is not noticed, in both types
    /// a number may be greater than any double, and nesting ends only with the server's stack
    /// (PostgreSQL docs, "JSON Types"; RFC 7493, sections 2.1 and 2.2).
    pub(crate) fn of(text: &str) -> Self {
        let blank = |c| matches!(c, ' ' | '\t' | '\n' | '\r');
        if text.trim_matches(blank) == "null" {
            return Self::Null;
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = Levels(MAX_DEPTH).deserialize(&mut reader);
        match read.and_then(|()| reader.end()) {
            Ok(()) => Self::Plain,
            Err(_refused) => Self::Text,
        }
    }

    /// Its name in a message; `None` where nothing needs to be said.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Null => Some("null"),
            Self::Text => Some("text"),
        }
    }
}

/// Appends the document, and tells how.
pub(crate) fn write(out: &mut BytesMut, text: &str) -> Form {
    let form = Form::of(text);
    match form {
        Form::Plain | Form::Null => out.extend_from_slice(text.as_bytes()),
        Form::Text => json::string(out, text),
    }
    form
}

/// Reads a document of this many levels and keeps nothing of it.
struct Levels(usize);

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a document of few levels")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _value: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while items.next_element_seed(Self(below))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while members.next_key_seed(Self(below))?.is_some() {
            members.next_value_seed(Self(below))?;
        }
        Ok(())
    }
}

impl Levels {
    fn below<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.0
            .checked_sub(1)
            .ok_or_else(|| E::custom("a document of many levels"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_reader_takes_stands_as_it_is() {
        for text in [
            "{}",
            " [1, 2.50]\n",
            r#"{"a": 1, "a": 2}"#,
            "1e-400",
            "123456789012345678901234567890.5",
            r#""\ud83d\ude00""#,
            &format!("{}{}", "[".repeat(64), "]".repeat(64)),
        ] {
            assert_eq!(Form::of(text), Form::Plain, "{text}");
        }
    }

    #[test]
    fn what_one_of_them_refuses_is_a_string() {
        for text in [
            r#""\ud800""#,
            r#"{"\udc00": 1}"#,
            "[1e400]",
            &"9".repeat(400),
            &format!("{}{}", "[".repeat(65), "]".repeat(65)),
            "",
            "{",
            "1 2",
        ] {
            assert_eq!(Form::of(text), Form::Text, "{text}");
        }
    }

    #[test]
    fn the_document_null_is_told_from_others() {
        assert_eq!(Form::of(" null\n"), Form::Null);
        assert_eq!(Form::of("[null]"), Form::Plain);
        assert_eq!(Form::of("\"null\""), Form::Plain);
    }
}
