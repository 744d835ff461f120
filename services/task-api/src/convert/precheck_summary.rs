//! How a task's last precheck stands to the task as it is now.

use rowcast_domain::TaskState;
use rowcast_proto::rest;

use crate::store::precheck::LastPrecheck;

/// What a report that was made before means for the task as it is now.
pub(crate) fn precheck_summary(
    state: TaskState,
    last: Option<LastPrecheck>,
) -> Option<rest::PrecheckSummary> {
    use rest::PrecheckState as S;
    let passed = last.as_ref().map(|last| last.passed);
    let state = match (state, passed) {
        (TaskState::Prechecking, _) => S::Running,
        (TaskState::PrecheckFailed, None | Some(false)) => S::Failed,
        // It was changed while the precheck ran.
        (TaskState::PrecheckFailed, Some(true))
        | (TaskState::NotConfigured | TaskState::NotStarted, Some(_)) => S::Outdated,
        (TaskState::NotConfigured | TaskState::NotStarted, None) => return None,
        (
            TaskState::PrecheckPassed
            | TaskState::Starting
            | TaskState::Running
            | TaskState::Retrying
            | TaskState::Abnormal
            | TaskState::Suspended
            | TaskState::Locked
            | TaskState::Resetting
            | TaskState::Released,
            passed,
        ) => match passed? {
            true => S::Passed,
            false => S::Failed,
        },
    };
    Some(rest::PrecheckSummary {
        state,
        success_percent: last.as_ref().map(|last| last.success_percent),
        finished_at: last.map(|last| last.finished_at),
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rest::PrecheckState as S;

    use super::*;

    fn told(state: TaskState, passed: Option<bool>) -> Option<S> {
        let last = passed.map(|passed| LastPrecheck {
            passed,
            success_percent: 95,
            finished_at: DateTime::UNIX_EPOCH,
        });
        precheck_summary(state, last).map(|summary| summary.state)
    }

    #[test]
    fn a_report_is_outdated_once_the_task_is_another() {
        assert_eq!(told(TaskState::NotStarted, None), None);
        assert_eq!(told(TaskState::NotStarted, Some(true)), Some(S::Outdated));
        assert_eq!(told(TaskState::Prechecking, None), Some(S::Running));
        assert_eq!(told(TaskState::PrecheckFailed, None), Some(S::Failed));
        assert_eq!(
            told(TaskState::PrecheckFailed, Some(false)),
            Some(S::Failed)
        );
        assert_eq!(
            told(TaskState::PrecheckFailed, Some(true)),
            Some(S::Outdated)
        );
        assert_eq!(told(TaskState::Running, Some(true)), Some(S::Passed));
    }
}
