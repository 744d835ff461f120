//! What a user may ask of a task, and in which of its states.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{TaskEvent, TaskState};

/// A command on a task that its state can forbid or allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskCommand {
    /// Give it another definition: `PATCH /tasks/{id}`.
    Change,
    /// Give it other objects: `PUT` or `PATCH /tasks/{id}/objects`.
    ChangeObjects,
    /// Check what it needs: `POST /tasks/{id}/precheck`.
    Precheck,
    /// Buy its instance: `POST /tasks/{id}/purchase`.
    Purchase,
    /// Pay for further months: `POST /tasks/{id}/renew`.
    Renew,
    /// Let it run: `POST /tasks/{id}/start`.
    Start,
    /// Let it run again: `POST /tasks/{id}/resume`.
    Resume,
    /// Look again at what was prechecked: `POST /tasks/{id}/recheck`.
    Recheck,
    /// Stop it for a while: `POST /tasks/{id}/suspend`.
    Suspend,
    /// Let it begin anew: `POST /tasks/{id}/reset`.
    Reset,
    /// Give it another consumer group: `POST /tasks/{id}/groups`.
    CreateGroup,
    /// Make another task like it: `POST /tasks/{id}/clone`.
    Clone,
    /// End it for good: `POST /tasks/{id}/release`.
    Release,
}

impl TaskCommand {
    /// Every command.
    pub const ALL: [Self; 13] = [
        Self::Change,
        Self::ChangeObjects,
        Self::Precheck,
        Self::Purchase,
        Self::Renew,
        Self::Start,
        Self::Resume,
        Self::Recheck,
        Self::Suspend,
        Self::Reset,
        Self::CreateGroup,
        Self::Clone,
        Self::Release,
    ];

    /// The name, as problems tell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::ChangeObjects => "change_objects",
            Self::Precheck => "precheck",
            Self::Purchase => "purchase",
            Self::Renew => "renew",
            Self::Start => "start",
            Self::Resume => "resume",
            Self::Recheck => "recheck",
            Self::Suspend => "suspend",
            Self::Reset => "reset",
            Self::CreateGroup => "create_group",
            Self::Clone => "clone",
            Self::Release => "release",
        }
    }

    /// The command by which a user makes this event happen; `None` for what no user can ask for.
    #[must_use]
    pub const fn of_event(event: TaskEvent) -> Option<Self> {
        match event {
            TaskEvent::Configured => Some(Self::Change),
            TaskEvent::PrecheckStarted => Some(Self::Precheck),
            TaskEvent::Start => Some(Self::Start),
            TaskEvent::Suspend => Some(Self::Suspend),
            TaskEvent::Reset => Some(Self::Reset),
            TaskEvent::Release => Some(Self::Release),
            TaskEvent::PrecheckSucceeded
            | TaskEvent::PrecheckFailed
            | TaskEvent::CaptureRunning
            | TaskEvent::CaptureRetrying
            | TaskEvent::CaptureStopped
            | TaskEvent::CaptureRemoved
            | TaskEvent::Lock
            | TaskEvent::Unlock => None,
        }
    }
}

impl fmt::Display for TaskCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TaskState {
    /// Whether a task in this state takes the command.
    ///
    /// What moves a task follows from the lifecycle; the rest from what the task has in the state.
    #[must_use]
    pub fn takes(self, command: TaskCommand) -> bool {
        let can = |event| self.transition(event).is_ok();
        match command {
            TaskCommand::Precheck => can(TaskEvent::PrecheckStarted),
            TaskCommand::Start | TaskCommand::Resume => can(TaskEvent::Start),
            TaskCommand::Suspend => can(TaskEvent::Suspend),
            TaskCommand::Reset => can(TaskEvent::Reset),
            TaskCommand::Release => can(TaskEvent::Release),
            // What could not be started is not sold.
            TaskCommand::Purchase => self.has_passed_precheck() && self != Self::Released,
            TaskCommand::Recheck => self.was_started(),
            TaskCommand::Change
            | TaskCommand::ChangeObjects
            | TaskCommand::Renew
            | TaskCommand::CreateGroup => self != Self::Released,
            TaskCommand::Clone => true,
        }
    }

    /// All commands that a task in this state takes.
    pub fn commands(self) -> impl Iterator<Item = TaskCommand> {
        TaskCommand::ALL
            .into_iter()
            .filter(move |command| self.takes(*command))
    }

    /// Whether the last precheck has passed, or one had before the task went on.
    #[must_use]
    pub const fn has_passed_precheck(self) -> bool {
        match self {
            Self::NotConfigured | Self::NotStarted | Self::Prechecking | Self::PrecheckFailed => {
                false
            }
            Self::PrecheckPassed
            | Self::Starting
            | Self::Running
            | Self::Retrying
            | Self::Abnormal
            | Self::Suspended
            | Self::Locked
            | Self::Resetting
            | Self::Released => true,
        }
    }

    /// Whether the task was started, and its end was not asked for.
    fn was_started(self) -> bool {
        // What may expire under the task.
        self.transition(TaskEvent::Lock).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_takes_what_is_written_here() {
        let told = TaskState::ALL.map(|state| {
            let commands: Vec<&str> = state.commands().map(TaskCommand::as_str).collect();
            format!("{state}: {}", commands.join(" "))
        });
        let fresh = "change change_objects precheck renew create_group clone release";
        let started = "change change_objects purchase renew start resume recheck suspend reset \
                       create_group clone release";
        let expected = [
            "not_configured: change change_objects renew create_group clone release".to_owned(),
            format!("not_started: {fresh}"),
            "prechecking: change change_objects renew create_group clone release".to_owned(),
            format!("precheck_failed: {fresh}"),
            "precheck_passed: change change_objects precheck purchase renew start resume \
             create_group clone release"
                .to_owned(),
            format!("starting: {started}"),
            format!("running: {started}"),
            format!("retrying: {started}"),
            format!("abnormal: {started}"),
            format!("suspended: {started}"),
            format!("locked: {}", started.replace("suspend ", "")),
            "resetting: change change_objects purchase renew reset create_group clone release"
                .to_owned(),
            "released: clone release".to_owned(),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_command_that_was_carried_out_can_be_sent_again() {
        for (state, event) in [
            (TaskState::Starting, TaskEvent::Start),
            (TaskState::Running, TaskEvent::Start),
            (TaskState::Retrying, TaskEvent::Start),
            (TaskState::Suspended, TaskEvent::Suspend),
            (TaskState::Resetting, TaskEvent::Reset),
            (TaskState::Released, TaskEvent::Release),
        ] {
            assert_eq!(state.transition(event), Ok(state), "{event:?}");
        }
    }

    #[test]
    fn each_event_of_a_user_has_its_command() {
        for event in TaskEvent::ALL {
            let Some(command) = TaskCommand::of_event(event) else {
                continue;
            };
            // A change is possible where it does not move the task, too.
            for state in TaskState::ALL {
                assert!(
                    state.transition(event).is_err() || state.takes(command),
                    "{state} {command}"
                );
            }
        }
    }
}
