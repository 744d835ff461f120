//! Identifiers: a letter that says what it names, then twelve random characters.
//!
//! An id is made of `[a-z0-9]` only, so that it is at once a NATS subject token, a KV key, part of a
//! stream name and part of a PostgreSQL slot name, without escaping in any of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Random characters behind the letter. 12 characters of 32 are 60 bits: one in a billion for a
/// collision among 50,000 ids.
const RANDOM_LEN: usize = 12;

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u` to misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind} id: expected '{prefix}' and {RANDOM_LEN} characters of [0-9a-z]")]
pub struct ParseIdError {
    text: String,
    kind: &'static str,
    prefix: char,
}

fn random_id(prefix: char) -> String {
    let mut id = String::with_capacity(1 + RANDOM_LEN);
    id.push(prefix);
    for byte in rand::random::<[u8; RANDOM_LEN]>() {
        id.push(char::from(ALPHABET[usize::from(byte & 31)]));
    }
    id
}

fn is_id(text: &str, prefix: char) -> bool {
    let mut characters = text.chars();
    characters.next() == Some(prefix)
        && text.len() == 1 + RANDOM_LEN
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Makes a new random id.
            #[must_use]
            pub fn random() -> Self {
                Self(random_id($prefix))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                if is_id(&text, $prefix) {
                    Ok(Self(text))
                } else {
                    Err(ParseIdError { text, kind: $kind, prefix: $prefix })
                }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A source: a customer's database server.
    SourceId, 's', "source"
);
id!(
    /// A task: what the user asked to track.
    TaskId, 't', "task"
);
id!(
    /// An instance: what is bought for a task.
    InstanceId, 'n', "instance"
);
id!(
    /// An order: one thing that was bought.
    OrderId, 'o', "order"
);
id!(
    /// A consumer group.
    GroupId, 'g', "group"
);
id!(
    /// An incident.
    IncidentId, 'c', "incident"
);
id!(
    /// A contact: who is told of incidents.
    ContactId, 'a', "contact"
);
id!(
    /// A delivery: what a contact is told, once.
    DeliveryId, 'd', "delivery"
);
id!(
    /// A rule: when somebody is to know of tasks or their groups.
    RuleId, 'r', "rule"
);
id!(
    /// A token of the API.
    TokenId, 'k', "token"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_id_parses_as_its_own_kind_only() {
        let id = TaskId::random();
        assert_eq!(id.as_str().parse::<TaskId>().unwrap(), id);
        assert!(id.as_str().parse::<SourceId>().is_err());
    }

    #[test]
    fn text_that_would_break_a_subject_is_refused() {
        for text in [
            "",
            "t",
            "t.23456789012",
            "t12345678901>",
            "T123456789012",
            "t1234567890123",
        ] {
            assert!(text.parse::<TaskId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn serde_refuses_what_parse_refuses() {
        assert!(serde_json::from_str::<TaskId>("\"x\"").is_err());
        let id = TaskId::random();
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
    }
}
