//! What a message of a group's own stream says in its headers.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use rowcast_domain::{Lsn, Position};

/// Header: which messages of the task's stream it was made of; a [`Made`].
pub const MADE_OF: &str = "Rowcast-Made-Of";

/// Header: the position of the change, as `id` of the task's message.
pub const ID: &str = "Rowcast-Id";

/// Header: when the transaction was committed, RFC 3339.
pub const COMMITTED_AT: &str = "Rowcast-Committed-At";

/// Header: the transaction's id; absent where there is none.
pub const XID: &str = "Rowcast-Xid";

/// Which messages of the task's stream a message of a group's own stream was made of, and what must be known to go on
/// behind it.
///
/// As text `<first>-<last> <number>/<of> <left out> <transaction> <at> <before>+<pieces>`, and ` p<policy>` where the group's
/// policy was ever changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Sequence of the first of them: of a row in pieces, that of the first piece.
    pub first: u64,
    /// Sequence of the last of them.
    pub last: u64,
    /// Number of this one of what was made of them, from 1.
    pub number: u64,
    /// How many were made of them.
    pub of: u64,
    /// How many changes of the transaction that was read last were left out by now.
    pub left_out: u64,
    /// Commit LSN of that transaction.
    pub transaction: Lsn,
    /// Position of the last of the messages that it was made of: tells whether it is still the one that stands there.
    pub at: Position,
    /// Everything up to this position stands whole in the stream before it.
    pub before: Position,
    /// Of a change in pieces that is not whole with this one, how many pieces of it there are by now; else 0.
    pub pieces: u64,
    /// Under which of the group's policies it was made: how often that had been changed.
    pub policy: u64,
}

impl Made {
    /// Whether nothing else was made of the same messages behind it.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.number == self.of
    }
}

impl Display for Made {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            first,
            last,
            number,
            of,
            left_out,
            transaction,
            at,
            before,
            pieces,
            policy,
        } = self;
        write!(
            f,
            "{first}-{last} {number}/{of} {left_out} {transaction} {at} {before}+{pieces}"
        )?;
        if *policy > 0 {
            write!(f, " p{policy}")?;
        }
        Ok(())
    }
}

/// A text that is no [`Made`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not of the form <first>-<last> <number>/<of> <left out> <transaction> <at> <before>+<pieces>[ p<policy>]"
)]
pub struct NotMade;

impl FromStr for Made {
    type Err = NotMade;

    fn from_str(text: &str) -> Result<Self, NotMade> {
        let number = |text: &str| text.parse::<u64>().map_err(|_malformed| NotMade);
        let mut words = text.split(' ');
        let (first, last) = words
            .next()
            .and_then(|word| word.split_once('-'))
            .ok_or(NotMade)?;
        let (which, of) = words
            .next()
            .and_then(|word| word.split_once('/'))
            .ok_or(NotMade)?;
        let left_out = words.next().ok_or(NotMade)?;
        let transaction = words.next().ok_or(NotMade)?;
        let position = |text: &str| text.parse::<Position>().map_err(|_malformed| NotMade);
        let at = words.next().ok_or(NotMade)?;
        let (before, pieces) = words
            .next()
            .and_then(|word| word.split_once('+'))
            .ok_or(NotMade)?;
        let policy = match words.next() {
            None => 0,
            Some(word) => number(word.strip_prefix('p').ok_or(NotMade)?)?,
        };
        if words.next().is_some() {
            return Err(NotMade);
        }
        Ok(Self {
            first: number(first)?,
            last: number(last)?,
            number: number(which)?,
            of: number(of)?,
            left_out: number(left_out)?,
            transaction: transaction.parse().map_err(|_malformed| NotMade)?,
            at: position(at)?,
            before: position(before)?,
            pieces: number(pieces)?,
            policy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_the_same() {
        let made = Made {
            first: 17,
            last: 19,
            number: 2,
            of: 5,
            left_out: 3,
            transaction: Lsn::new(0x16_B3748),
            at: Position::new(Lsn::new(0x16_B3748), 7),
            before: Position::new(Lsn::new(0x16_B3748), 4),
            pieces: 1,
            policy: 0,
        };
        let text = "17-19 2/5 3 0/16B3748 0/16B3748.7 0/16B3748.4+1";
        assert_eq!(made.to_string(), text);
        assert_eq!(made.to_string().parse(), Ok(made));
        let changed = Made { policy: 12, ..made };
        assert_eq!(changed.to_string(), format!("{text} p12"));
        assert_eq!(changed.to_string().parse(), Ok(changed));
        for text in [
            "",
            "1",
            "1-2",
            "1-2 1/1",
            "1-2 1/1 x 0/1",
            "1-2 1/1 0",
            "1-2 1/1 0 0/1",
            "1-2 1/1 0 0/1 0/1.1 0/1.0",
            "1-2 1/1 0 0/1 0/1.1 0/1.0+0 0",
            "1-2 1/1 0 0/1 0/1.1 0/1.0+0 p",
            "1-2 1/1 0 0/1 0/1.1 0/1.0+0 p1 0",
            "a-2 1/1 0 0/1 0/1.1 0/1.0+0",
        ] {
            assert_eq!(text.parse::<Made>(), Err(NotMade), "{text:?}");
        }
    }
}
