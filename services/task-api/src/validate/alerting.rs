//! When somebody is to know of a task.

use std::ops::RangeInclusive;

use rowcast_proto::rest::Alerting;

use super::Issues;

/// From what no report can be late for, to a day.
const DELAY_SECONDS: RangeInclusive<u32> = 30..=86_400;

const CONTACTS_MAX: usize = 20;

pub(super) fn alerting(issues: &mut Issues, alerting: Option<&Alerting>) {
    let Some(alerting) = alerting else {
        return;
    };
    if let Some(seconds) = alerting.delay_seconds {
        issues.range("alerting.delay_seconds", seconds, &DELAY_SECONDS);
    }
    if alerting.contacts.len() > CONTACTS_MAX {
        let detail = format!("must name at most {CONTACTS_MAX} contacts");
        issues.note(
            "alerting.contacts",
            detail,
            "Tell a group of people by one webhook.",
        );
    }
    issues.unique("alerting.contacts", &alerting.contacts);
}
