//! What becomes of a change that was sent as often as its group allows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::group::GroupMode;

/// What becomes of a change that was sent as often as its group allows, and was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// The group, or the partition of a keyed one, stands still until it is acknowledged, or a person puts it away.
    Block,
    /// It is a dead letter, and the group, or the partition of a keyed one, goes on behind it.
    DeadLetter,
}

impl OnExhausted {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Block, Self::DeadLetter];

    /// That of a group that was not asked for another.
    #[must_use]
    pub const fn of(mode: GroupMode) -> Self {
        match mode {
            GroupMode::Ordered | GroupMode::Keyed => Self::Block,
            GroupMode::Shared => Self::DeadLetter,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::DeadLetter => "dead_letter",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

impl std::fmt::Display for OnExhausted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
