//! What a user can ask of a task, and in which states.

use crate::{TaskEvent, TaskState};

/// A request that a user makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskCommand {
    /// Run the precheck.
    Precheck,
    /// Buy an instance.
    Purchase,
    /// Let it run for the first time, or after a reset.
    Start,
    /// Stop it; the slot stays.
    Suspend,
    /// Let it run again.
    Resume,
    /// Track other objects.
    ReplaceObjects,
    /// Remove what it made, and begin anew.
    Reset,
    /// Make another one like it.
    Clone,
    /// Remove what it made, for good.
    Release,
}

impl TaskCommand {
    /// Every command, in the order of the lifecycle.
    pub const ALL: [Self; 9] = [
        Self::Precheck,
        Self::Purchase,
        Self::Start,
        Self::Suspend,
        Self::Resume,
        Self::ReplaceObjects,
        Self::Reset,
        Self::Clone,
        Self::Release,
    ];

    /// The name that is told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Precheck => "precheck",
            Self::Purchase => "purchase",
            Self::Start => "start",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::ReplaceObjects => "replace_objects",
            Self::Reset => "reset",
            Self::Clone => "clone",
            Self::Release => "release",
        }
    }

    /// Whether it leads a task in this state anywhere. That the same is asked for twice is no fault, but no offer either.
    fn leads_on(self, state: TaskState) -> bool {
        let moves = |event| state.transition(event).is_ok_and(|next| next != state);
        let is_prechecked = state == TaskState::PrecheckPassed;
        match self {
            Self::Precheck => moves(TaskEvent::PrecheckStarted),
            Self::Suspend => moves(TaskEvent::Suspend),
            Self::Reset => moves(TaskEvent::Reset),
            Self::Release => moves(TaskEvent::Release),
            Self::Start => is_prechecked && moves(TaskEvent::Start),
            Self::Resume => !is_prechecked && moves(TaskEvent::Start),
            // What was started was bought.
            Self::Purchase => is_prechecked,
            Self::ReplaceObjects => state != TaskState::Released,
            Self::Clone => true,
        }
    }
}

impl TaskState {
    /// The commands that lead a task in this state on. What else may hinder them, as an instance that is missing, the
    /// state does not know.
    pub fn commands(self) -> impl Iterator<Item = TaskCommand> {
        TaskCommand::ALL
            .into_iter()
            .filter(move |command| command.leads_on(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(state: TaskState) -> Vec<&'static str> {
        state.commands().map(TaskCommand::as_str).collect()
    }

    #[test]
    fn a_state_offers_what_leads_on() {
        let always = ["replace_objects", "clone", "release"];
        assert_eq!(
            names(TaskState::NotStarted),
            ["precheck", "replace_objects", "clone", "release"]
        );
        assert_eq!(names(TaskState::Prechecking), always);
        assert_eq!(
            names(TaskState::PrecheckPassed),
            [
                "precheck",
                "purchase",
                "start",
                "replace_objects",
                "clone",
                "release"
            ]
        );
        assert_eq!(
            names(TaskState::Running),
            ["suspend", "replace_objects", "reset", "clone", "release"]
        );
        assert_eq!(
            names(TaskState::Suspended),
            ["resume", "replace_objects", "reset", "clone", "release"]
        );
        assert_eq!(names(TaskState::Resetting), always);
        assert_eq!(names(TaskState::Released), ["clone"]);
    }
}
