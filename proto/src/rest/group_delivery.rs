//! How changes come to the clients of a group.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How changes come to the clients of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupDelivery {
    /// Clients ask for them.
    #[default]
    Pull,
    /// They are sent to whoever subscribes to the group's subject.
    Push,
}

impl GroupDelivery {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
        }
    }

    /// Whether it is the one of a group that was not asked for another.
    #[must_use]
    pub const fn is_pull(&self) -> bool {
        matches!(self, Self::Pull)
    }
}

impl std::fmt::Display for GroupDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
