//! States in DTS's words.

use rowcast_domain::TaskState;

/// The word for a state.
///
/// They are those of DTS for change tracking, with two exceptions. For a paused task that list has none:
/// `Suspending` is what DTS calls other paused tasks. A released task is not there any more in DTS:
/// `Released` is ours, and so is `Resetting`. No task is ever in DTS's `Upgrade` and `Downgrade`.
pub(super) const fn word(state: TaskState) -> &'static str {
    match state {
        TaskState::NotConfigured => "NotConfigured",
        TaskState::NotStarted => "NotStarted",
        TaskState::Prechecking => "Prechecking",
        TaskState::PrecheckFailed => "PrecheckFailed",
        TaskState::PrecheckPassed => "PreCheckPass",
        TaskState::Starting => "Starting",
        TaskState::Running => "Normal",
        TaskState::Retrying => "Retrying",
        TaskState::Abnormal => "Abnormal",
        TaskState::Suspended => "Suspending",
        TaskState::Locked => "Locked",
        TaskState::Resetting => "Resetting",
        TaskState::Released => "Released",
    }
}

/// The state that a word stands for, in any case.
pub(super) fn state(asked: &str) -> Option<TaskState> {
    TaskState::ALL
        .into_iter()
        .find(|state| word(*state).eq_ignore_ascii_case(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_for_one_state() {
        for stands_for in TaskState::ALL {
            assert_eq!(state(word(stands_for)), Some(stands_for));
        }
        assert_eq!(state("PRECHECKPASS"), Some(TaskState::PrecheckPassed));
        assert_eq!(state("Upgrade"), None);
    }
}
