//! When somebody is to know of a task.

use std::ops::RangeInclusive;

use rowcast_proto::rest::Alerting;

use super::Issues;

/// From what no report can be late for, to a day.
const DELAY_SECONDS: RangeInclusive<u32> = 30..=86_400;

pub(super) fn alerting(issues: &mut Issues, alerting: Option<&Alerting>) {
    if let Some(seconds) = alerting.and_then(|alerting| alerting.delay_seconds) {
        issues.range("alerting.delay_seconds", seconds, &DELAY_SECONDS);
    }
}
