//! Whether a JSON document of a column can stand in a message as it is: not where one of its readers could
//! refuse the whole message for it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::DocumentForm;

/// Levels of a document that stands as it is; half of what `serde_json` reads, and below the limits
/// of other readers.
const MAX_DEPTH: usize = 64;

impl DocumentForm {
    /// The form that this document takes; `None` where it stands as it is, and is not `null`.
    ///
    /// PostgreSQL takes more than readers do: in `json` a lone surrogate is not noticed, in both types
    /// a number may be greater than any double, and nesting ends only with the server's stack
    /// (PostgreSQL docs, "JSON Types"; RFC 7493, sections 2.1 and 2.2).
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let blank = |c| matches!(c, ' ' | '\t' | '\n' | '\r');
        if text.trim_matches(blank) == "null" {
            return Some(Self::Null);
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = Levels(MAX_DEPTH).deserialize(&mut reader);
        read.and_then(|()| reader.end())
            .is_err()
            .then_some(Self::Text)
    }
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
            assert_eq!(DocumentForm::of(text), None, "{text}");
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
            assert_eq!(DocumentForm::of(text), Some(DocumentForm::Text), "{text}");
        }
    }

    #[test]
    fn the_document_null_is_told_from_others() {
        assert_eq!(DocumentForm::of(" null\n"), Some(DocumentForm::Null));
        assert_eq!(DocumentForm::of("[null]"), None);
        assert_eq!(DocumentForm::of("\"null\""), None);
    }
}
