//! Prechecks: what was found, and who ignores it.

use chrono::{DateTime, Utc};
use rowcast_domain::TaskState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// Nothing to do.
    Pass,
    /// To be repaired, or ignored by somebody who answers for it, before the task can be bought and started.
    Alert,
    /// Must be repaired before the task can start.
    Fail,
    /// Could not run because an earlier check failed.
    Skipped,
}

/// One check's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckItem {
    /// Stable name, as `wal_level`.
    pub code: String,
    /// For people.
    pub title: String,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// The SQL or the action that was run.
    pub ran: String,
    /// What was seen.
    pub saw: String,
    /// Why that is a problem; empty on pass.
    pub cause: String,
    /// SQL or setting that repairs it; empty on pass.
    pub repair: String,
    /// How long it took.
    pub duration_ms: u32,
    /// When it ran, where an earlier precheck has run it; absent where this one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<DateTime<Utc>>,
    /// Of an alert: whether somebody may answer for it. One that nobody can answer for must be repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignorable: Option<bool>,
    /// Who ignores it, where it is an alert that somebody answers for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<Ignored>,
}

impl CheckItem {
    /// Whether it is an alert that is neither repaired nor ignored: it hinders purchase and start.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.outcome == CheckOutcome::Alert && self.ignored.is_none()
    }

    /// Whether it is an alert that somebody may answer for.
    #[must_use]
    pub fn may_be_ignored(&self) -> bool {
        // Reports from before there were others have alerts of this kind only.
        self.outcome == CheckOutcome::Alert && self.ignorable != Some(false)
    }

    /// Whether it counts as passed: it has, or somebody answers for its alert.
    #[must_use]
    pub fn counts_as_passed(&self) -> bool {
        match self.outcome {
            CheckOutcome::Pass => true,
            CheckOutcome::Alert => self.ignored.is_some(),
            // A check that could not run proves nothing.
            CheckOutcome::Fail | CheckOutcome::Skipped => false,
        }
    }
}

/// Who ignores an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ignored {
    /// The person who answers for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// `POST /tasks/{id}/precheck`. The body may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunPrecheck {
    /// Runs only what failed, was skipped or has an alert that nobody ignores in the last precheck, and
    /// whether the source can be reached; the rest is kept from there.
    #[serde(default)]
    pub only_failed: bool,
    /// Runs only the checks of these codes, and whether the source can be reached; the rest is kept from the
    /// last precheck. Empty for all; not together with `only_failed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
}

/// A check that is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckName {
    /// Stable name, as `wal_level`.
    pub code: String,
    /// For people.
    pub title: String,
}

/// Event `begin` of `GET /tasks/{id}/precheck/progress`: what a run will look at. Each check that has ended
/// is an event `item` with a [`CheckItem`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrecheckBegun {
    /// Of the run; also that of its report.
    pub run: String,
    /// In about the order run.
    pub checks: Vec<CheckName>,
    /// When it began.
    pub started_at: DateTime<Utc>,
}

/// Event `end` of `GET /tasks/{id}/precheck/progress`: there is nothing more to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrecheckEnded {
    /// What the run means for the task.
    pub state: TaskState,
}

/// `POST /tasks/{id}/recheck`, `GET /tasks/{id}/recheck`: what a started task finds of what was prechecked.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Recheck {
    /// What every check has found.
    pub report: Precheck,
    /// Codes of the checks that fail, or alert where they passed before the start and nobody ignores it.
    pub problems: Vec<String>,
}

/// `POST /tasks/{id}/precheck/ignore`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IgnoreChecks {
    /// Codes of alerts of the last precheck, as `wal_keep`. What failed cannot be ignored, nor an alert that must
    /// be repaired.
    pub codes: Vec<String>,
    /// The person who answers for it, 1–64 characters.
    pub by: String,
    /// Why, 1–500 characters.
    pub reason: String,
}

/// How a task's last precheck stands to the task as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PrecheckState {
    /// One runs.
    Running,
    /// It has passed.
    Passed,
    /// It has found what must be repaired, or gave no report.
    Failed,
    /// The task, or its source, was changed after it: another one is needed.
    Outdated,
}

/// A task's last precheck in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrecheckSummary {
    /// How it stands to the task as it is now.
    pub state: PrecheckState,
    /// `success_percent` of the last report; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_percent: Option<u32>,
    /// When the last report was made; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
}

/// `POST /tasks/{id}/precheck`, `GET /tasks/{id}/precheck`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Precheck {
    /// Of the run.
    pub id: String,
    /// Whether nothing failed. That does not suffice for purchase and start while alerts are open.
    pub passed: bool,
    /// Share of checks that passed, or whose alert somebody answers for, in percent. Purchase and start need 100.
    pub success_percent: u32,
    /// Codes of the alerts that are neither repaired nor ignored; absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_alerts: Vec<String>,
    /// In the order run.
    pub items: Vec<CheckItem>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

impl Precheck {
    /// Counts anew, once it is known who ignores what.
    pub fn count(&mut self) {
        let good = self.items.iter().filter(|item| item.counts_as_passed());
        // Rounded down, so that 100 means all.
        let percent = (good.count() * 100).checked_div(self.items.len());
        self.success_percent = percent
            .and_then(|percent| u32::try_from(percent).ok())
            .unwrap_or(0);
        let open = self.items.iter().filter(|item| item.is_open());
        self.open_alerts = open.map(|item| item.code.clone()).collect();
    }
}
