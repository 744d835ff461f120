//! The lifecycle of a task.
//!
//! ```text
//! NotConfigured ─▶ NotStarted ─▶ Prechecking ─▶ PrecheckFailed | PrecheckPassed ─▶ Starting ─▶ Running ⇄ Retrying ─▶ Abnormal
//!                                                                                     ▲           │
//!                                                                                     └─ Suspended ◀┘     any ─▶ Released
//!
//! started ─▶ Resetting ─▶ NotStarted
//! started ─▶ Locked (expired) ─▶ Starting, or Suspended where it was so (renewed) | Released (not renewed)
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Bought, but nothing says yet what to track. Entered by a purchase without a configuration.
    NotConfigured,
    /// Configured, not yet prechecked. Entered by creation or by a change of the configuration.
    NotStarted,
    /// A precheck runs. Entered by the user's request.
    Prechecking,
    /// The last precheck found a problem that must be repaired. Entered by its report.
    PrecheckFailed,
    /// The last precheck passed; the task may be bought and started. Entered by its report.
    PrecheckPassed,
    /// Asked to run; no capture has reported it running yet. Entered by start and resume.
    Starting,
    /// Changes flow. Entered by the report of the capture that holds the lease.
    Running,
    /// Interrupted by something that may pass; capture tries again within the retry window.
    Retrying,
    /// Stopped by something that needs a decision. Entered by the report of capture.
    Abnormal,
    /// Stopped by the user; the slot keeps the source's WAL.
    Suspended,
    /// Stopped because it is expired or unpaid.
    Locked,
    /// What it made is being removed, so that it can begin anew. Entered by the user's request.
    Resetting,
    /// Ended for good; everything it made is removed.
    Released,
}

/// What can happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskEvent {
    /// The user said what to track.
    Configured,
    /// A precheck began.
    PrecheckStarted,
    /// The precheck ended without an open problem.
    PrecheckSucceeded,
    /// The precheck ended with an open problem.
    PrecheckFailed,
    /// The user asked to start or resume.
    Start,
    /// Capture reports that changes flow.
    CaptureRunning,
    /// Capture reports an interruption that it retries.
    CaptureRetrying,
    /// Capture reports that it stopped and needs a decision.
    CaptureStopped,
    /// The user asked to suspend.
    Suspend,
    /// The user asked to begin anew.
    Reset,
    /// Capture reports that everything the task made is removed.
    CaptureRemoved,
    /// The instance is expired or unpaid.
    Lock,
    /// The instance was renewed, and the user had suspended the task before it was locked.
    Unlock,
    /// The user asked to release.
    Release,
}

impl TaskEvent {
    /// Every event.
    pub const ALL: [Self; 14] = [
        Self::Configured,
        Self::PrecheckStarted,
        Self::PrecheckSucceeded,
        Self::PrecheckFailed,
        Self::Start,
        Self::CaptureRunning,
        Self::CaptureRetrying,
        Self::CaptureStopped,
        Self::Suspend,
        Self::Reset,
        Self::CaptureRemoved,
        Self::Lock,
        Self::Unlock,
        Self::Release,
    ];

    /// The states of a task that was started, and whose end was not asked for.
    const STARTED: &[TaskState] = &[
        TaskState::Starting,
        TaskState::Running,
        TaskState::Retrying,
        TaskState::Abnormal,
        TaskState::Suspended,
        TaskState::Locked,
    ];

    /// Whether the event has nothing left to do in this state: the start that it asks for lies behind the task.
    #[must_use]
    pub const fn is_done_in(self, state: TaskState) -> bool {
        matches!(
            (self, state),
            (Self::Start, TaskState::Running | TaskState::Retrying)
        )
    }

    /// The states in which the event may come, and the state it leads to.
    const fn rule(self) -> (&'static [TaskState], TaskState) {
        use TaskState as S;
        match self {
            Self::Configured => {
                let from = &[
                    S::NotConfigured,
                    S::NotStarted,
                    S::PrecheckFailed,
                    S::PrecheckPassed,
                ];
                (from, S::NotStarted)
            }
            Self::PrecheckStarted => (
                &[S::NotStarted, S::PrecheckFailed, S::PrecheckPassed],
                S::Prechecking,
            ),
            Self::PrecheckSucceeded => (&[S::Prechecking], S::PrecheckPassed),
            Self::PrecheckFailed => (&[S::Prechecking], S::PrecheckFailed),
            Self::Start => {
                let from = &[
                    S::PrecheckPassed,
                    S::Suspended,
                    S::Abnormal,
                    S::Locked,
                    S::Starting,
                ];
                (from, S::Starting)
            }
            Self::CaptureRunning => (&[S::Starting, S::Running, S::Retrying], S::Running),
            Self::CaptureRetrying => (&[S::Starting, S::Running, S::Retrying], S::Retrying),
            Self::CaptureStopped => (
                &[S::Starting, S::Running, S::Retrying, S::Abnormal],
                S::Abnormal,
            ),
            Self::Suspend => {
                let from = &[
                    S::Starting,
                    S::Running,
                    S::Retrying,
                    S::Abnormal,
                    S::Suspended,
                ];
                (from, S::Suspended)
            }
            Self::Lock => (Self::STARTED, S::Locked),
            Self::Unlock => (&[S::Locked], S::Suspended),
            Self::Reset => {
                let from = &[
                    S::Starting,
                    S::Running,
                    S::Retrying,
                    S::Abnormal,
                    S::Suspended,
                    S::Locked,
                    S::Resetting,
                ];
                (from, S::Resetting)
            }
            Self::CaptureRemoved => (&[S::Resetting], S::NotStarted),
            Self::Release => (&TaskState::ALL, S::Released),
        }
    }
}

/// The state does not allow this event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {state} cannot take {event:?}")]
pub struct IllegalTransition {
    /// The state the task is in.
    pub state: TaskState,
    /// What was asked of it.
    pub event: TaskEvent,
}

impl TaskState {
    /// Every state, in the order of the lifecycle.
    pub const ALL: [Self; 13] = [
        Self::NotConfigured,
        Self::NotStarted,
        Self::Prechecking,
        Self::PrecheckFailed,
        Self::PrecheckPassed,
        Self::Starting,
        Self::Running,
        Self::Retrying,
        Self::Abnormal,
        Self::Suspended,
        Self::Locked,
        Self::Resetting,
        Self::Released,
    ];

    /// The state after `event`.
    ///
    /// A report that says what is already so gives the same state: reports are level-triggered and
    /// may come twice. So does a command whose end is reached already: who lost its answer sends it again.
    ///
    /// # Errors
    /// Where the state does not allow the event.
    pub fn transition(self, event: TaskEvent) -> Result<Self, IllegalTransition> {
        let (from, to) = event.rule();
        if from.contains(&self) {
            Ok(to)
        } else if event.is_done_in(self) {
            Ok(self)
        } else {
            Err(IllegalTransition { state: self, event })
        }
    }

    /// Whether capture should be working on the task.
    #[must_use]
    pub const fn wants_capture(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Retrying)
    }

    /// Whether the hours spent in this state are billed: the task holds a slot and is served.
    #[must_use]
    pub const fn is_billable(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Retrying)
    }

    /// The stored and displayed name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::NotStarted => "not_started",
            Self::Prechecking => "prechecking",
            Self::PrecheckFailed => "precheck_failed",
            Self::PrecheckPassed => "precheck_passed",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Abnormal => "abnormal",
            Self::Suspended => "suspended",
            Self::Locked => "locked",
            Self::Resetting => "resetting",
            Self::Released => "released",
        }
    }

    /// The state with this stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_straight_way_leads_to_running() {
        let mut state = TaskState::NotStarted;
        for (event, expected) in [
            (TaskEvent::PrecheckStarted, TaskState::Prechecking),
            (TaskEvent::PrecheckSucceeded, TaskState::PrecheckPassed),
            (TaskEvent::Start, TaskState::Starting),
            (TaskEvent::CaptureRunning, TaskState::Running),
            (TaskEvent::CaptureRetrying, TaskState::Retrying),
            (TaskEvent::CaptureRunning, TaskState::Running),
            (TaskEvent::CaptureStopped, TaskState::Abnormal),
            (TaskEvent::Start, TaskState::Starting),
            (TaskEvent::Suspend, TaskState::Suspended),
            (TaskEvent::Release, TaskState::Released),
        ] {
            state = state.transition(event).unwrap();
            assert_eq!(state, expected);
        }
    }

    #[test]
    fn nothing_but_release_leaves_released() {
        for event in TaskEvent::ALL
            .into_iter()
            .filter(|event| *event != TaskEvent::Release)
        {
            assert!(TaskState::Released.transition(event).is_err(), "{event:?}");
        }
    }

    #[test]
    fn a_locked_task_goes_on_or_is_suspended_again() {
        for state in [
            TaskState::Running,
            TaskState::Abnormal,
            TaskState::Suspended,
        ] {
            assert_eq!(state.transition(TaskEvent::Lock), Ok(TaskState::Locked));
        }
        let locked = TaskState::Locked;
        assert_eq!(locked.transition(TaskEvent::Start), Ok(TaskState::Starting));
        assert_eq!(
            locked.transition(TaskEvent::Unlock),
            Ok(TaskState::Suspended)
        );
        assert!(locked.transition(TaskEvent::Suspend).is_err());
        assert!(locked.transition(TaskEvent::CaptureRunning).is_err());
    }

    #[test]
    fn a_late_report_of_capture_does_not_wake_a_suspended_task() {
        assert!(
            TaskState::Suspended
                .transition(TaskEvent::CaptureRunning)
                .is_err()
        );
    }

    #[test]
    fn a_task_that_failed_its_precheck_cannot_start() {
        assert!(
            TaskState::PrecheckFailed
                .transition(TaskEvent::Start)
                .is_err()
        );
        assert!(TaskState::NotStarted.transition(TaskEvent::Start).is_err());
    }

    #[test]
    fn names_are_read_back() {
        for state in TaskState::ALL {
            assert_eq!(TaskState::from_name(state.as_str()), Some(state));
        }
        assert_eq!(TaskState::from_name("running "), None);
    }
}
