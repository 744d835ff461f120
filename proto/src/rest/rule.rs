//! When somebody is to know of tasks or their groups.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rowcast_domain::{ContactId, RuleId, TaskId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a rule watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleMetric {
    /// How far a running task is behind its source, in seconds.
    TaskDelaySeconds,
    /// How much WAL the source keeps for a running task: bytes between its end and what is confirmed.
    TaskLagBytes,
    /// Whether the task has stopped and needs a decision.
    TaskAbnormal,
    /// Whether the task is locked, as one that is not paid.
    TaskLocked,
    /// Whether what a started task needs of its source or the broker is no longer as it was prechecked.
    SourceDrifted,
    /// Whether retention has removed what a group had not read.
    GroupGap,
    /// Whether retention will soon remove what a group has not read.
    GroupBehind,
    /// Whether a change that a group must acknowledge before others was sent as often as it allows.
    GroupBlocked,
    /// Whether a group has dead letters.
    GroupDeadLetters,
}

impl RuleMetric {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::TaskDelaySeconds,
        Self::TaskLagBytes,
        Self::TaskAbnormal,
        Self::TaskLocked,
        Self::SourceDrifted,
        Self::GroupGap,
        Self::GroupBehind,
        Self::GroupBlocked,
        Self::GroupDeadLetters,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TaskDelaySeconds => "task_delay_seconds",
            Self::TaskLagBytes => "task_lag_bytes",
            Self::TaskAbnormal => "task_abnormal",
            Self::TaskLocked => "task_locked",
            Self::SourceDrifted => "source_drifted",
            Self::GroupGap => "group_gap",
            Self::GroupBehind => "group_behind",
            Self::GroupBlocked => "group_blocked",
            Self::GroupDeadLetters => "group_dead_letters",
        }
    }

    /// The metric with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == name)
    }

    /// What it is counted in, of a number that a rule compares with its threshold; `None` where it is true or not.
    #[must_use]
    pub const fn unit(self) -> Option<&'static str> {
        match self {
            Self::TaskDelaySeconds => Some("s"),
            Self::TaskLagBytes => Some("bytes"),
            Self::TaskAbnormal
            | Self::TaskLocked
            | Self::SourceDrifted
            | Self::GroupGap
            | Self::GroupBehind
            | Self::GroupBlocked
            | Self::GroupDeadLetters => None,
        }
    }
}

/// How much an incident matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it.
    #[default]
    Warning,
    /// Somebody must look at it now.
    Critical,
}

impl Severity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == name)
    }
}

/// `POST /rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRule {
    /// The user's name for it, 1–64 characters.
    pub name: String,
    /// What it watches; fixed from here on.
    pub metric: RuleMetric,
    /// Above it an incident is raised, which ends below half of it or at 0: 10–86400 for seconds, at least 1048576 for
    /// bytes. Left out of a metric that is true or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u64>,
    /// For how long it must be above without a break, 0–86400 seconds.
    #[serde(default)]
    pub hold_seconds: u32,
    /// How much it matters.
    #[serde(default)]
    pub severity: Severity,
    /// Only these tasks, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub task_ids: Vec<TaskId>,
    /// Only tasks that have all of these tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The name of those who share it: only their tasks are watched. All tasks where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    /// Ids of the contacts that are told, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub contacts: Vec<ContactId>,
    /// They are told again after so many minutes while it lasts, 5–10080; once where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_minutes: Option<u32>,
    /// Whether it watches.
    #[serde(default = "default_enabled")]
    pub enabled: bool,
}

/// A new rule watches.
#[must_use]
pub const fn default_enabled() -> bool {
    true
}

/// `PATCH /rules/{id}`: what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchRule {
    /// The user's name for it, 1–64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Above it an incident is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u64>,
    /// For how long it must be above without a break, 0–86400 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_seconds: Option<u32>,
    /// How much it matters; of an incident, as it was when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Only these tasks; empty for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub task_ids: Option<Vec<TaskId>>,
    /// Only tasks that have all of these tags; empty for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// The name of those who share it; empty for all tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    /// Ids of the contacts that are told of the next incidents; those of an open one stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub contacts: Option<Vec<ContactId>>,
    /// They are told again after so many minutes while it lasts; 0 for once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_minutes: Option<u32>,
    /// Whether it watches; what is open ends where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// When somebody is to know of tasks or their groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// Its id.
    #[schema(value_type = String)]
    pub id: RuleId,
    /// The user's name for it.
    pub name: String,
    /// What it watches.
    pub metric: RuleMetric,
    /// Above it an incident is raised; absent of a metric that is true or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u64>,
    /// For how long it must be above without a break, in seconds.
    pub hold_seconds: u32,
    /// How much it matters.
    pub severity: Severity,
    /// Only these tasks; all where empty.
    #[schema(value_type = Vec<String>)]
    pub task_ids: Vec<TaskId>,
    /// Only tasks that have all of these tags.
    pub tags: BTreeMap<String, String>,
    /// The name of those who share it: only their tasks are watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    /// Ids of the contacts that are told.
    #[schema(value_type = Vec<String>)]
    pub contacts: Vec<ContactId>,
    /// They are told again after so many minutes while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_minutes: Option<u32>,
    /// Whether it watches.
    pub enabled: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// `GET /rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleList {
    /// Oldest first.
    pub rules: Vec<Rule>,
}
