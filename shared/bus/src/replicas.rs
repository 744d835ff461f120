//! How many servers keep a copy of each stream and bucket.

use std::fmt;
use std::str::FromStr;

/// Copies of a stream or bucket. An even number survives no more lost servers than the odd one below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replicas {
    /// One server; its disk is all there is.
    #[default]
    One,
    /// Survives one lost server.
    Three,
    /// Survives two lost servers.
    Five,
}

/// Not a number of copies that makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1, 3 or 5")]
pub struct ReplicasError;

impl Replicas {
    /// The number.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Three => 3,
            Self::Five => 5,
        }
    }
}

impl FromStr for Replicas {
    type Err = ReplicasError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "1" => Ok(Self::One),
            "3" => Ok(Self::Three),
            "5" => Ok(Self::Five),
            _ => Err(ReplicasError),
        }
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.count().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_three_and_five_are_taken() {
        for replicas in [Replicas::One, Replicas::Three, Replicas::Five] {
            assert_eq!(replicas.to_string().parse(), Ok(replicas));
        }
        for text in ["", "0", "2", "4", "6", "three"] {
            assert_eq!(text.parse::<Replicas>(), Err(ReplicasError), "{text}");
        }
    }
}
