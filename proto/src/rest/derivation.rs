//! How far the own stream of a group is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether a group's own stream is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DerivationState {
    /// Nobody has begun: the task was not started yet, or no copy of consumer-group has come to it.
    Waiting,
    /// It is.
    Running,
    /// It was interrupted, and is tried again.
    Retrying,
    /// It waits for a decision: the policy does not fit.
    Stopped,
}

impl DerivationState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Stopped => "stopped",
        }
    }
}

/// How far the own stream of a group with a policy or format of its own is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Derivation {
    /// Whether it is being written.
    pub state: DerivationState,
    /// Why it is not, or what was lost, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Sequence of the last message of the task's stream that it holds what is told of.
    pub source_sequence: u64,
    /// Messages of the task's stream that were not taken yet.
    pub behind: u64,
    /// Changes that the policy could not be applied to and that were parked.
    pub parked: u64,
}
