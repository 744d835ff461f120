//! ETL policies of tasks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is done with each row before it is told: filtered, masked, given other columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Etl {
    /// The script, of at most 16 KiB and 1024 lines. Empty, where a task or a group is changed, for no policy any more.
    pub script: String,
    /// What becomes of a row that the script cannot be applied to.
    #[serde(default, skip_serializing_if = "OnRowError::is_park")]
    pub on_error: OnRowError,
}

/// What becomes of a row that a policy cannot be applied to: never is it told as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnRowError {
    /// It is parked with the reason, and the stream tells that it is missing.
    #[default]
    Park,
    /// It is left out, without a word.
    Drop,
    /// The task stops and waits for a decision.
    Stop,
}

impl OnRowError {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Park, Self::Drop, Self::Stop];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Park => "park",
            Self::Drop => "drop",
            Self::Stop => "stop",
        }
    }

    /// The action with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }

    /// Whether it is what is done where nothing is said.
    #[must_use]
    pub fn is_park(&self) -> bool {
        *self == Self::Park
    }
}
