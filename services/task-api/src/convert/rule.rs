//! Rules.

use std::collections::BTreeMap;

use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::rest::{Rule, RuleMetric, Severity};

use super::{id, time};
use crate::error::ApiError;

pub(crate) fn tags(tags: &BTreeMap<String, String>) -> Vec<m::Tag> {
    let tag = |(key, value): (&String, &String)| m::Tag {
        key: key.clone(),
        value: value.clone(),
    };
    tags.iter().map(tag).collect()
}

/// With the version on which it was thought out.
pub(crate) fn rule_message(rule: Rule, version: u64) -> m::AlertRule {
    let Rule {
        id,
        name,
        metric,
        threshold,
        hold_seconds,
        severity,
        task_ids,
        tags,
        resource_group,
        contacts,
        repeat_minutes,
        enabled,
        created_at: _,
    } = rule;
    m::AlertRule {
        id: id.into(),
        name,
        metric: metric.as_str().to_owned(),
        threshold: threshold.unwrap_or_default(),
        hold_seconds,
        severity: severity.as_str().to_owned(),
        resource_group: resource_group.unwrap_or_default(),
        task_ids: task_ids.into_iter().map(String::from).collect(),
        tags: self::tags(&tags),
        contacts: contacts.into_iter().map(String::from).collect(),
        repeat_minutes: repeat_minutes.unwrap_or_default(),
        disabled: !enabled,
        created_at: None,
        version,
    }
}

/// With its version.
pub(crate) fn rule(rule: m::AlertRule) -> Result<(u64, Rule), ApiError> {
    let unreadable = |what: &str, name: &str| ApiError::Unreadable(format!("a {what} {name:?}"));
    let metric = RuleMetric::from_name(&rule.metric);
    let metric = metric.ok_or_else(|| unreadable("metric", &rule.metric))?;
    let severity = Severity::from_name(&rule.severity);
    let tasks = rule.task_ids.iter().map(|task| id::<TaskId>("task", task));
    let contacts = rule.contacts.iter().map(|contact| id("contact", contact));
    let read = Rule {
        id: id("rule", &rule.id)?,
        name: rule.name,
        metric,
        threshold: metric.unit().map(|_unit| rule.threshold),
        hold_seconds: rule.hold_seconds,
        severity: severity.ok_or_else(|| unreadable("severity", &rule.severity))?,
        task_ids: tasks.collect::<Result<_, _>>()?,
        tags: rule
            .tags
            .into_iter()
            .map(|tag| (tag.key, tag.value))
            .collect(),
        resource_group: Some(rule.resource_group).filter(|group| !group.is_empty()),
        contacts: contacts.collect::<Result<_, _>>()?,
        repeat_minutes: Some(rule.repeat_minutes).filter(|minutes| *minutes > 0),
        enabled: !rule.disabled,
        created_at: time("created_at", rule.created_at)?,
    };
    Ok((rule.version, read))
}
