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

/// Rounded down, so that 100 means all.
fn success_percent(items: &[CheckResult]) -> u32 {
    let good = items.iter().filter(|item| is_good(item)).count();
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
    fn alerts_do_not_hinder_but_skipped_checks_do() {
        let good = items(&[CheckOutcome::Pass, CheckOutcome::Alert]);
        assert!(passed(&good));
        assert_eq!(success_percent(&good), 100);
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
