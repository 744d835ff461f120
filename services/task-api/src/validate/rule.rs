//! Rules. Whether its contacts and tasks are there is asked elsewhere.

use std::ops::RangeInclusive;

use rowcast_proto::rest::{CreateRule, PatchRule, Rule, RuleMetric};

use super::{Issues, tags};
use crate::error::ApiError;

/// From two reports on, of which one comes every five seconds, to a day.
const SECONDS: RangeInclusive<u64> = 10..=86_400;

/// A segment of WAL has 16 MiB; less than one comes and goes.
const BYTES: RangeInclusive<u64> = 1024 * 1024..=i64::MAX.unsigned_abs();

const HOLD_SECONDS: RangeInclusive<u32> = 0..=86_400;

/// From what nobody takes for an accident, to a week.
const REPEAT_MINUTES: RangeInclusive<u32> = 5..=10_080;

const TASKS_MAX: usize = 50;

const CONTACTS_MAX: usize = 20;

/// # Errors
/// Every problem of the body.
pub(crate) fn made(body: &CreateRule) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    issues.name("name", &body.name);
    threshold(&mut issues, body.metric, body.threshold);
    issues.range("hold_seconds", body.hold_seconds, &HOLD_SECONDS);
    if let Some(minutes) = body.repeat_minutes {
        issues.range("repeat_minutes", minutes, &REPEAT_MINUTES);
    }
    issues.at_most("task_ids", body.task_ids.len(), TASKS_MAX, BY_TAGS);
    issues.unique("task_ids", &body.task_ids);
    issues.at_most("contacts", body.contacts.len(), CONTACTS_MAX, BY_WEBHOOK);
    issues.unique("contacts", &body.contacts);
    tags::tags(&mut issues, &body.tags);
    if let Some(name) = &body.resource_group {
        tags::resource_group(&mut issues, name, false);
    }
    issues.finish()
}

/// # Errors
/// Every problem of the body.
pub(crate) fn changed(body: &PatchRule, there: &Rule) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    if let Some(name) = &body.name {
        issues.name("name", name);
    }
    if body.threshold.is_some() {
        threshold(&mut issues, there.metric, body.threshold);
    }
    if let Some(seconds) = body.hold_seconds {
        issues.range("hold_seconds", seconds, &HOLD_SECONDS);
    }
    if let Some(minutes) = body.repeat_minutes.filter(|minutes| *minutes > 0) {
        issues.range("repeat_minutes", minutes, &REPEAT_MINUTES);
    }
    if let Some(tasks) = &body.task_ids {
        issues.at_most("task_ids", tasks.len(), TASKS_MAX, BY_TAGS);
        issues.unique("task_ids", tasks);
    }
    if let Some(contacts) = &body.contacts {
        issues.at_most("contacts", contacts.len(), CONTACTS_MAX, BY_WEBHOOK);
        issues.unique("contacts", contacts);
    }
    if let Some(tags) = &body.tags {
        tags::tags(&mut issues, tags);
    }
    if let Some(name) = &body.resource_group {
        tags::resource_group(&mut issues, name, true);
    }
    issues.finish()
}

const BY_TAGS: &str = "Choose the tasks by a tag.";
const BY_WEBHOOK: &str = "Tell a group of people by one webhook.";

fn threshold(issues: &mut Issues, metric: RuleMetric, threshold: Option<u64>) {
    let range = match metric {
        RuleMetric::TaskDelaySeconds => &SECONDS,
        RuleMetric::TaskLagBytes => &BYTES,
        RuleMetric::TaskAbnormal
        | RuleMetric::TaskLocked
        | RuleMetric::SourceDrifted
        | RuleMetric::GroupGap
        | RuleMetric::GroupBehind
        | RuleMetric::GroupBlocked
        | RuleMetric::GroupDeadLetters => {
            if threshold.is_some() {
                let detail = format!("{} is true or not", metric.as_str());
                issues.note("threshold", detail, "Leave it out.");
            }
            return;
        }
    };
    match threshold {
        Some(value) => issues.range("threshold", value, range),
        None => {
            let (least, most) = (range.start(), range.end());
            let detail = "is missing";
            let repair = format!("Give a value from {least} to {most}.");
            issues.note("threshold", detail, repair);
        }
    }
}

impl Issues {
    fn at_most(&mut self, field: &str, given: usize, most: usize, repair: &str) {
        if given > most {
            self.note(field, format!("has {given}, but may have {most}"), repair);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(changes: &Value) -> Vec<String> {
        let mut body = json!({"name": "late", "metric": "task_delay_seconds", "threshold": 60});
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        match made(&serde_json::from_value(body).unwrap()) {
            Ok(()) => Vec::new(),
            Err(ApiError::Invalid(issues)) => issues.into_iter().map(|issue| issue.field).collect(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_named() {
        let none: [String; 0] = [];
        assert_eq!(fields(&json!({})), none);
        let state = json!({"metric": "group_blocked", "threshold": null, "repeat_minutes": 5,
                           "tags": {"env": "prod"}, "resource_group": "sales"});
        assert_eq!(fields(&state), none);
        let contact = "a000000000001";
        for (changes, field) in [
            (json!({"name": ""}), "name"),
            (json!({"threshold": null}), "threshold"),
            (json!({"threshold": 9}), "threshold"),
            (json!({"threshold": 86_401}), "threshold"),
            (json!({"metric": "task_lag_bytes"}), "threshold"),
            (json!({"metric": "task_abnormal"}), "threshold"),
            (json!({"hold_seconds": 86_401}), "hold_seconds"),
            (json!({"repeat_minutes": 4}), "repeat_minutes"),
            (json!({"contacts": [contact, contact]}), "contacts"),
            (json!({"tags": {"a=b": "c"}}), "tags.a=b"),
            (json!({"resource_group": ""}), "resource_group"),
        ] {
            assert_eq!(fields(&changes), [field], "{changes}");
        }
    }
}
