//! Position of a change: commit LSN and ordinal in the transaction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::lsn::Lsn;

/// Where a change stands in a task's stream.
///
/// The LSN of a change is no key: COPY and multi-row statements share one, and the changes of
/// transactions that overlap are not in LSN order. The LSN of the *commit record* orders
/// transactions, the ordinal the changes within one. Text form is `16/B374D848.3`.
///
/// Ordinals count decoded changes from 1, before any filter, so that a position does not move when
/// the task's selection does. Ordinal 0 lies before the first change of the transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Position {
    /// LSN of the transaction's commit record.
    pub commit_lsn: Lsn,
    /// Number of the change in its transaction, from 1.
    pub ordinal: u64,
}

/// The text is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a position: expected an LSN, a dot and a number as in 16/B374D848.3")]
pub struct ParsePositionError(String);

impl Position {
    /// The position of the change with this number in the transaction committed at `commit_lsn`.
    #[must_use]
    pub const fn new(commit_lsn: Lsn, ordinal: u64) -> Self {
        Self {
            commit_lsn,
            ordinal,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.commit_lsn, self.ordinal)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (lsn, ordinal) = text.split_once('.')?;
            let plain = ordinal.bytes().all(|byte| byte.is_ascii_digit());
            plain.then_some(())?;
            Some(Self::new(lsn.parse().ok()?, ordinal.parse().ok()?))
        };
        parse().ok_or_else(|| ParsePositionError(text.to_owned()))
    }
}

impl TryFrom<String> for Position {
    type Error = ParsePositionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_form_round_trips(lsn: u64, ordinal: u64) {
            let position = Position::new(Lsn::new(lsn), ordinal);
            prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        }

        #[test]
        fn commit_orders_before_ordinal(a: (u64, u64), b: (u64, u64)) {
            let left = Position::new(Lsn::new(a.0), a.1);
            let right = Position::new(Lsn::new(b.0), b.1);
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
        }
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in ["", "0/1", "0/1.", ".1", "0/1.-1", "0/1.+1", "0/1.1.1"] {
            assert!(text.parse::<Position>().is_err(), "{text:?}");
        }
    }
}
