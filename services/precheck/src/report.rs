//! The report, from what the checks found.

use chrono::{DateTime, Utc};
use rowcast_domain::TaskId;
use rowcast_proto::message::{CheckOutcome, CheckResult, PrecheckReport};
use uuid::Uuid;

/// Puts the report of a run together.
pub(crate) fn assemble(
    run: String,
    task: &TaskId,
    items: Vec<CheckResult>,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
) -> PrecheckReport {
    PrecheckReport {
        id: if run.is_empty() {
            Uuid::now_v7().to_string()
        } else {
            run
        },
        task_id: task.to_string(),
        passed: passed(&items),
        success_percent: success_percent(&items),
        items,
        started_at: Some(started_at.into()),
        finished_at: Some(finished_at.into()),
    }
}

/// A check that could not run proves nothing, so it counts like a failed one.
fn is_good(item: &CheckResult) -> bool {
    match item.outcome() {
        CheckOutcome::Pass | CheckOutcome::Alert => true,
        CheckOutcome::Fail | CheckOutcome::Skipped | CheckOutcome::Unspecified => false,
    }
}

fn passed(items: &[CheckResult]) -> bool {
    !items.is_empty() && items.iter().all(is_good)
}

/// Rounded down, so that 100 means all. Who answers for an alert is not known here.
fn success_percent(items: &[CheckResult]) -> u32 {
    let passed = items
        .iter()
        .filter(|item| item.outcome() == CheckOutcome::Pass);
    let good = passed.count();
    let percent = (good * 100).checked_div(items.len()).unwrap_or(0);
    u32::try_from(percent).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(outcomes: &[CheckOutcome]) -> Vec<CheckResult> {
        let item = |outcome: &CheckOutcome| CheckResult {
            outcome: (*outcome).into(),
            ..CheckResult::default()
        };
        outcomes.iter().map(item).collect()
    }

    #[test]
    fn alerts_fail_nothing_and_have_not_passed() {
        let good = items(&[CheckOutcome::Pass, CheckOutcome::Alert]);
        assert!(passed(&good));
        assert_eq!(success_percent(&good), 50);
        assert_eq!(success_percent(&good[..1]), 100);
        let cut = items(&[
            CheckOutcome::Fail,
            CheckOutcome::Skipped,
            CheckOutcome::Pass,
        ]);
        assert!(!passed(&cut));
        assert_eq!(success_percent(&cut), 33);
        assert!(!passed(&[]));
        assert_eq!(success_percent(&[]), 0);
    }
}
