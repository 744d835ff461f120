//! Rules of a file. Pure.

use std::collections::BTreeMap;

use rowcast_domain::{ContactId, TaskId};
use rowcast_proto::rest::{CreateRule, PatchRule, Rule, RuleMetric, Severity, default_enabled};
use serde::{Deserialize, Serialize};

use super::change::Changes;
use super::conflict::differs;
use super::contact;
use super::document::Document;
use super::plan::{Present, Step, only};
use crate::tags;

/// When somebody is to know of tasks or their groups. What is absent is as the API takes it, also of a rule that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleEntry {
    pub(crate) name: String,
    /// What it watches.
    pub(crate) metric: RuleMetric,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threshold: Option<u64>,
    #[serde(default)]
    pub(crate) hold_seconds: u32,
    #[serde(default)]
    pub(crate) severity: Severity,
    /// Names of tasks of the file, names or ids of such as are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tasks: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource_group: Option<String>,
    /// Names of contacts of the file, names or ids of such as are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contacts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repeat_minutes: Option<u32>,
    #[serde(default = "default_enabled", skip_serializing_if = "is_true")]
    pub(crate) enabled: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_true(enabled: &bool) -> bool {
    *enabled
}

impl RuleEntry {
    /// A rule that is there; `tasks` and `contacts` have names by ids.
    pub(crate) fn of(
        rule: Rule,
        tasks: &BTreeMap<String, String>,
        contacts: &BTreeMap<String, String>,
    ) -> Self {
        let name =
            |names: &BTreeMap<String, String>, id: String| names.get(&id).cloned().unwrap_or(id);
        let task_ids = rule.task_ids.into_iter().map(String::from);
        let contact_ids = rule.contacts.into_iter().map(String::from);
        Self {
            name: rule.name,
            metric: rule.metric,
            threshold: rule.threshold,
            hold_seconds: rule.hold_seconds,
            severity: rule.severity,
            tasks: task_ids.map(|id| name(tasks, id)).collect(),
            tags: rule.tags,
            resource_group: rule.resource_group,
            contacts: contact_ids.map(|id| name(contacts, id)).collect(),
            repeat_minutes: rule.repeat_minutes,
            enabled: rule.enabled,
        }
    }

    /// What the API is asked to make.
    pub(super) fn create(&self, task_ids: Vec<TaskId>, contacts: Vec<ContactId>) -> CreateRule {
        CreateRule {
            name: self.name.clone(),
            metric: self.metric,
            threshold: self.threshold,
            hold_seconds: self.hold_seconds,
            severity: self.severity,
            task_ids,
            tags: self.tags.clone(),
            resource_group: self.group().cloned(),
            contacts,
            repeat_minutes: self.repeat_minutes,
            enabled: self.enabled,
        }
    }

    /// What the API is asked to change of the one that is there: all of it.
    pub(super) fn patch(&self, task_ids: Vec<TaskId>, contacts: Vec<ContactId>) -> PatchRule {
        PatchRule {
            name: None,
            threshold: self.threshold,
            hold_seconds: Some(self.hold_seconds),
            severity: Some(self.severity),
            task_ids: Some(task_ids),
            tags: Some(self.tags.clone()),
            resource_group: Some(self.group().cloned().unwrap_or_default()),
            contacts: Some(contacts),
            repeat_minutes: Some(self.repeat_minutes.unwrap_or_default()),
            enabled: Some(self.enabled),
        }
    }

    /// A file says by an empty text that there is none.
    fn group(&self) -> Option<&String> {
        self.resource_group.as_ref().filter(|name| !name.is_empty())
    }
}

/// Makes those that are missing, and changes what differs.
pub(super) fn plan_rules(
    document: &Document,
    present: &Present,
    steps: &mut Vec<Step>,
    conflicts: &mut Vec<String>,
) {
    for wanted in &document.rules {
        let named = present.rules.iter().filter(|rule| rule.name == wanted.name);
        let there = only("rule", &wanted.name, named);
        let (tasks, contacts) = match &there {
            Ok(Some(there)) => (&there.task_ids[..], &there.contacts[..]),
            Ok(None) | Err(_) => (&[][..], &[][..]),
        };
        let what = format!("rule {}", wanted.name);
        conflicts.extend(unknown_tasks(wanted, tasks, document, present));
        let (told, unknown) = (&wanted.contacts, contact::unknown_named);
        conflicts.extend(unknown(&what, told, contacts, document, present));
        if wanted.metric.unit().is_some() != wanted.threshold.is_some() {
            let metric = wanted.metric.as_str();
            conflicts.push(match wanted.threshold {
                Some(_) => format!("{what}: {metric} is true or not and has no threshold"),
                None => format!("{what}: {metric} needs a threshold"),
            });
        }
        match there {
            Ok(None) => steps.push(Step::CreateRule(wanted.clone())),
            Ok(Some(there)) => {
                let what = format!("{what}: metric");
                match differs(&what, &there.metric.as_str(), &wanted.metric.as_str()) {
                    Some(conflict) => conflicts.push(conflict),
                    None => steps.extend(change(wanted, there, present)),
                }
            }
            Err(conflict) => conflicts.push(conflict),
        }
    }
}

/// `covered` are those that the rule covers already: one may be released, or of others.
fn unknown_tasks(
    wanted: &RuleEntry,
    covered: &[TaskId],
    document: &Document,
    present: &Present,
) -> Vec<String> {
    let is_there = |named: &String| {
        let mut tasks = document.tasks.iter();
        covered.iter().any(|id| id.as_str() == named)
            || present.task_names.contains_key(named)
            || present.task_names.values().any(|name| name == named)
            || tasks.any(|task| task.name == *named)
    };
    let unknown = wanted.tasks.iter().filter(|named| !is_there(named));
    unknown
        .map(|named| {
            let rule = &wanted.name;
            format!("rule {rule}: there is no task {named:?}, neither here nor in the file")
        })
        .collect()
}

/// What of a rule is otherwise.
fn change(wanted: &RuleEntry, there: &Rule, present: &Present) -> Option<Step> {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let text = |text: Option<String>| text.unwrap_or_default();
    let repeat = |minutes: Option<u32>| text(number(minutes.map(u64::from)));
    let tasks = |ids: Vec<String>| {
        let names = ids.into_iter();
        sorted(names.map(|id| present.task_names.get(&id).cloned().unwrap_or(id)))
    };
    let told = |ids: Vec<String>| sorted(ids.iter().map(|id| contact::label_of(id, present)));
    let there_tasks = there.task_ids.iter().map(ToString::to_string).collect();
    let there_told = there.contacts.iter().map(ToString::to_string).collect();
    let mut changes = Changes::default();
    for (what, is, wants) in [
        (
            "threshold",
            text(number(there.threshold)),
            text(number(wanted.threshold)),
        ),
        (
            "hold_seconds",
            there.hold_seconds.to_string(),
            wanted.hold_seconds.to_string(),
        ),
        (
            "severity",
            there.severity.as_str().to_owned(),
            wanted.severity.as_str().to_owned(),
        ),
        ("tasks", tasks(there_tasks), tasks(wanted.tasks.clone())),
        (
            "tags",
            tags::in_words(&there.tags),
            tags::in_words(&wanted.tags),
        ),
        (
            "resource_group",
            text(there.resource_group.clone()),
            text(wanted.group().cloned()),
        ),
        ("contacts", told(there_told), told(wanted.contacts.clone())),
        (
            "repeat_minutes",
            repeat(there.repeat_minutes),
            repeat(wanted.repeat_minutes),
        ),
        (
            "enabled",
            there.enabled.to_string(),
            wanted.enabled.to_string(),
        ),
    ] {
        changes.found(what, &is, &wants);
    }
    changes.then(|changes| Step::UpdateRule {
        rule: wanted.clone(),
        changes,
    })
}

fn sorted(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names.join("+")
}
