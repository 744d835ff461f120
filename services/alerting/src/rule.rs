//! Rules of users: when somebody is to know of tasks or their groups.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_domain::{RuleId, TaskId};
use rowcast_proto::message::{AlertRule, Tag, TaskSpec};
use rowcast_proto::rest::{RuleMetric, Severity};

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) name: String,
    pub(crate) metric: RuleMetric,
    /// 0 for a metric that is true or not.
    pub(crate) threshold: u64,
    pub(crate) hold_seconds: u32,
    pub(crate) severity: Severity,
    /// Whose tasks are watched; `None` for all.
    pub(crate) resource_group: Option<String>,
    /// Which of them; empty for all.
    pub(crate) task_ids: Vec<TaskId>,
    /// All of which they have.
    pub(crate) tags: BTreeMap<String, String>,
    /// Ids of contacts.
    pub(crate) contacts: Vec<String>,
    /// 0 for never.
    pub(crate) repeat_minutes: u32,
    pub(crate) is_enabled: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) version: u64,
}

/// By what rules choose tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    tags: BTreeMap<String, String>,
    resource_group: Option<String>,
}

impl Labels {
    /// Those of a task.
    pub(crate) fn of(spec: &TaskSpec) -> Self {
        let tags = spec.tags.iter();
        Self {
            tags: tags
                .map(|tag| (tag.key.clone(), tag.value.clone()))
                .collect(),
            resource_group: Some(spec.resource_group.clone()).filter(|name| !name.is_empty()),
        }
    }
}

impl Rule {
    /// Whether it watches a task with these labels.
    pub(crate) fn covers(&self, task: &TaskId, labels: &Labels) -> bool {
        let is_theirs =
            self.resource_group.is_none() || self.resource_group == labels.resource_group;
        let is_named = self.task_ids.is_empty() || self.task_ids.contains(task);
        let mut tags = self.tags.iter();
        is_theirs && is_named && tags.all(|(key, value)| labels.tags.get(key) == Some(value))
    }

    /// For how long it must be above.
    pub(crate) fn hold(&self) -> TimeDelta {
        TimeDelta::seconds(self.hold_seconds.into())
    }
}

impl From<Rule> for AlertRule {
    fn from(rule: Rule) -> Self {
        let Rule {
            id,
            name,
            metric,
            threshold,
            hold_seconds,
            severity,
            resource_group,
            task_ids,
            tags,
            contacts,
            repeat_minutes,
            is_enabled,
            created_at,
            version,
        } = rule;
        let tags = tags.into_iter().map(|(key, value)| Tag { key, value });
        Self {
            id: id.into(),
            name,
            metric: metric.as_str().to_owned(),
            threshold,
            hold_seconds,
            severity: severity.as_str().to_owned(),
            resource_group: resource_group.unwrap_or_default(),
            task_ids: task_ids.into_iter().map(Into::into).collect(),
            tags: tags.collect(),
            contacts,
            repeat_minutes,
            disabled: !is_enabled,
            created_at: Some(created_at.into()),
            version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn all_that_a_rule_says_of_a_task_must_be_so() {
        let task: TaskId = "t000000000000".parse().unwrap();
        let rule = Rule {
            id: RuleId::random(),
            name: "late".to_owned(),
            metric: RuleMetric::TaskDelaySeconds,
            threshold: 60,
            hold_seconds: 0,
            severity: Severity::Warning,
            resource_group: None,
            task_ids: Vec::new(),
            tags: BTreeMap::new(),
            contacts: Vec::new(),
            repeat_minutes: 0,
            is_enabled: true,
            created_at: DateTime::UNIX_EPOCH,
            version: 1,
        };
        let labels = Labels {
            tags: [tag("env", "prod"), tag("team", "shop")].into(),
            resource_group: Some("sales".to_owned()),
        };
        assert!(rule.covers(&task, &labels) && rule.covers(&task, &Labels::default()));
        let theirs = Rule {
            resource_group: Some("sales".to_owned()),
            tags: [tag("env", "prod")].into(),
            task_ids: vec![task.clone()],
            ..rule
        };
        assert!(theirs.covers(&task, &labels));
        assert!(!theirs.covers(&task, &Labels::default()));
        assert!(!theirs.covers(&TaskId::random(), &labels));
        let other = Rule {
            tags: [tag("env", "test")].into(),
            ..theirs.clone()
        };
        assert!(!other.covers(&task, &labels));
        let crm = Rule {
            resource_group: Some("crm".to_owned()),
            ..theirs
        };
        assert!(!crm.covers(&task, &labels));
    }
}
