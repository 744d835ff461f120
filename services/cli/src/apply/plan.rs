//! What has to change so that the platform is as the document says. Pure.

use std::collections::BTreeMap;

use rowcast_domain::TaskState;
use rowcast_proto::rest::{
    Contact, Format, Group, GroupFormat, Objects, PatchContact, PatchGroup, PatchSource, PatchTask,
    PurchaseTask, Rule, Source, Task,
};

use super::change;
use super::conflict::{differs, of_another_set, source_database, task_conflicts};
use super::contact;
use super::document::{
    AlertingEntry, ContactEntry, Document, GroupEntry, IgnoredEntry, SourceEntry, TaskEntry,
    WantedState,
};
use super::ignored;
use super::rule::{self, RuleEntry};

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Present {
    pub(super) sources: Vec<Source>,
    /// Without released ones.
    pub(super) tasks: Vec<PresentTask>,
    /// All, where the document names any.
    pub(super) contacts: Vec<Contact>,
    /// All, where the document names any.
    pub(super) rules: Vec<Rule>,
    /// Of all tasks that are not released, by ids.
    pub(super) task_names: BTreeMap<String, String>,
    /// Tasks of the document's set that it does not name, where they are to go.
    pub(super) unnamed: Vec<Task>,
    /// The same of its sources.
    pub(super) unnamed_sources: Vec<UnnamedSource>,
}

impl Present {
    /// The source of this name, where there is one.
    pub(super) fn source(&self, name: &str) -> Result<Option<&Source>, String> {
        let named = self.sources.iter().filter(|source| source.name == name);
        only("source", name, named)
    }

    /// The contacts of this name.
    pub(super) fn contacts_named(&self, name: &str) -> impl Iterator<Item = &Contact> {
        self.contacts
            .iter()
            .filter(move |contact| contact.name == name)
    }

    /// The contact of this id or name, where there is one.
    pub(super) fn contact(&self, named: &str) -> Result<Option<&Contact>, String> {
        let mut contacts = self.contacts.iter();
        match contacts.find(|contact| contact.id.as_str() == named) {
            Some(contact) => Ok(Some(contact)),
            None => only("contact", named, self.contacts_named(named)),
        }
    }
}

/// The one of this name, if any; `named` are all that have it.
pub(super) fn only<'a, T>(
    what: &str,
    name: &str,
    mut named: impl Iterator<Item = &'a T>,
) -> Result<Option<&'a T>, String> {
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(format!("more than one {what} is named {name:?}")),
        (first, None) => Ok(first),
    }
}

/// A source, and the tasks that stay and need it.
#[derive(Debug)]
pub(super) struct UnnamedSource {
    pub(super) source: Source,
    pub(super) needed_by: Vec<String>,
}

/// A task with its groups.
#[derive(Debug)]
pub(super) struct PresentTask {
    pub(super) task: Task,
    pub(super) groups: Vec<Group>,
    /// Codes of alerts that nobody answers for; read only where the document answers for any.
    pub(super) open_alerts: Vec<String>,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub(super) enum Step {
    CreateContact(ContactEntry),
    UpdateContact {
        contact: ContactEntry,
        /// Without its secret.
        patch: PatchContact,
        changes: Vec<String>,
    },
    CreateRule(RuleEntry),
    UpdateRule {
        rule: RuleEntry,
        changes: Vec<String>,
    },
    CreateSource {
        source: SourceEntry,
        /// Those of the file, and the mark of its set.
        tags: BTreeMap<String, String>,
    },
    UpdateSource {
        source: SourceEntry,
        /// Without secrets.
        patch: Box<PatchSource>,
        changes: Vec<String>,
    },
    CreateTask {
        task: TaskEntry,
        /// That of the file, and the mark of its set.
        tags: BTreeMap<String, String>,
    },
    UpdateTask {
        task: String,
        /// Without alerting, whose contacts may have no ids yet.
        patch: PatchTask,
        alerting: Option<AlertingEntry>,
        changes: Vec<String>,
    },
    ReplaceObjects {
        task: String,
        from: Objects,
        to: Objects,
    },
    CreateGroup {
        task: String,
        group: GroupEntry,
    },
    UpdateGroup {
        task: String,
        group: String,
        patch: PatchGroup,
        changes: Vec<String>,
    },
    IgnoreAlerts {
        task: String,
        checks: Vec<IgnoredEntry>,
    },
    Bring {
        task: String,
        to: WantedState,
        /// Where it has no instance yet.
        purchase: PurchaseTask,
        /// What may be found by its precheck.
        ignored: Vec<IgnoredEntry>,
    },
    Release(Box<Task>),
    DeleteSource(Source),
}

/// The steps in their order, or all differences that no step can remove.
pub(super) fn plan(document: &Document, present: &Present) -> Result<Vec<Step>, Vec<String>> {
    let set = document.set.as_deref();
    let mut steps = Vec::new();
    let mut conflicts = Vec::new();
    plan_sources(document, present, &mut steps, &mut conflicts);
    contact::plan_contacts(document, present, &mut steps, &mut conflicts);
    let mut brought = Vec::new();
    for wanted in &document.tasks {
        let named = |known: &&PresentTask| known.task.name == wanted.name;
        let known = match only("task", &wanted.name, present.tasks.iter().filter(named)) {
            Ok(known) => known,
            Err(conflict) => {
                conflicts.push(conflict);
                continue;
            }
        };
        if let Some(alerting) = &wanted.alerting {
            let there = known.and_then(|known| known.task.alerting.as_ref());
            conflicts.extend(contact::unknown(
                &wanted.name,
                alerting,
                there,
                document,
                present,
            ));
        }
        match known {
            None => match source_database(wanted, document, present) {
                Ok(_database) => steps.push(Step::CreateTask {
                    task: wanted.clone(),
                    tags: change::all_tags(wanted.tags.as_ref(), set, &BTreeMap::new()),
                }),
                Err(conflict) => conflicts.push(conflict),
            },
            Some(known) => {
                conflicts.extend(task_conflicts(wanted, &known.task, document, present));
                steps.extend(change::of_task(wanted, set, &known.task, present));
                steps.extend(replacement(wanted, &known.task));
                steps.extend(ignored::plan(wanted, known));
            }
        }
        for group in &wanted.groups {
            let groups = known.map_or(&[][..], |known| &known.groups);
            match groups.iter().find(|there| there.name == group.name) {
                None => steps.push(Step::CreateGroup {
                    task: wanted.name.clone(),
                    group: group.clone(),
                }),
                Some(there) => {
                    conflicts.extend(group_conflicts(wanted, group, there));
                    steps.extend(change::of_group(&wanted.name, group, there));
                }
            }
        }
        match bring(wanted, known.map(|known| known.task.state)) {
            Ok(step) => brought.extend(step),
            Err(conflict) => conflicts.push(conflict),
        }
    }
    rule::plan_rules(document, present, &mut steps, &mut conflicts);
    steps.extend(brought);
    // Last: nothing is destroyed where anything before fails.
    plan_prune(present, &mut steps, &mut conflicts);
    if conflicts.is_empty() {
        Ok(steps)
    } else {
        Err(conflicts)
    }
}

/// What is fixed when a group is made.
fn group_conflicts(task: &TaskEntry, wanted: &GroupEntry, there: &Group) -> Vec<String> {
    let what = |member: &str| format!("group {}/{}: {member}", task.name, wanted.name);
    let mode = wanted.mode.as_ref();
    let delivery = wanted.delivery.as_ref();
    let mut conflicts = told_otherwise(task, wanted, there);
    conflicts.extend(differs(&what("account"), &there.account, &wanted.account));
    conflicts.extend(mode.and_then(|mode| differs(&what("mode"), &there.mode, mode)));
    conflicts
        .extend(delivery.and_then(|wanted| differs(&what("delivery"), &there.delivery, wanted)));
    conflicts
}

/// Whether a group is told changes in its own way, and in which format, is fixed when it is made.
fn told_otherwise(task: &TaskEntry, wanted: &GroupEntry, there: &Group) -> Vec<String> {
    let what = |member: &str| format!("group {}/{}: {member}", task.name, wanted.name);
    let etl = wanted.etl.as_ref();
    let etl = etl.filter(|_etl| !change::has_own_stream(there));
    let etl = etl.and_then(|etl| {
        let (found, wanted) = (
            change::policy(there.etl.as_ref()),
            change::policy(Some(etl)),
        );
        differs(&what("etl"), &found, &wanted)
    });
    let format = wanted.format.and_then(|format| {
        // The task's format is no format of the group's own.
        let found = there.format.unwrap_or(match task.format {
            Format::Protobuf if there.etl.is_none() => GroupFormat::Protobuf,
            Format::Protobuf | Format::Json => GroupFormat::Json,
        });
        differs(&what("format"), &found.as_str(), &format.as_str())
    });
    etl.into_iter().chain(format).collect()
}

fn plan_sources(
    document: &Document,
    present: &Present,
    steps: &mut Vec<Step>,
    conflicts: &mut Vec<String>,
) {
    let set = document.set.as_deref();
    for wanted in &document.sources {
        match present.source(&wanted.name) {
            Ok(None) => steps.push(Step::CreateSource {
                source: wanted.clone(),
                tags: change::all_tags(wanted.tags.as_ref(), set, &BTreeMap::new()),
            }),
            Ok(Some(source)) => {
                let what = format!("source {}: set", wanted.name);
                conflicts.extend(of_another_set(&what, &source.tags, document.set.as_ref()));
                steps.extend(change::of_source(wanted, set, source));
            }
            Err(conflict) => conflicts.push(conflict),
        }
    }
}

/// What the file names no longer: tasks first, for they need their sources.
fn plan_prune(present: &Present, steps: &mut Vec<Step>, conflicts: &mut Vec<String>) {
    let unnamed = present.unnamed.iter().cloned().map(Box::new);
    steps.extend(unnamed.map(Step::Release));
    for UnnamedSource { source, needed_by } in &present.unnamed_sources {
        if needed_by.is_empty() {
            steps.push(Step::DeleteSource(source.clone()));
        } else {
            let names = needed_by.join(", ");
            conflicts.push(format!(
                "source {}: the file names it no longer, and tasks that stay need it: {names}",
                source.name
            ));
        }
    }
}

/// Objects that are others, whatever their order.
fn replacement(wanted: &TaskEntry, there: &Task) -> Option<Step> {
    (sorted(&wanted.objects) != sorted(&there.objects)).then(|| Step::ReplaceObjects {
        task: wanted.name.clone(),
        from: there.objects.clone(),
        to: wanted.objects.clone(),
    })
}

fn sorted(objects: &Objects) -> Objects {
    let mut objects = objects.clone();
    objects.schemas.sort_by(|a, b| a.name.cmp(&b.name));
    objects.schema_patterns.sort();
    for schema in &mut objects.schemas {
        schema.tables.sort();
        schema.patterns.sort();
    }
    objects
}

/// How the task comes to the wanted state; `None` where it is there or on its way.
fn bring(wanted: &TaskEntry, state: Option<TaskState>) -> Result<Option<Step>, String> {
    let Some(to) = wanted.state else {
        return Ok(None);
    };
    let step = Ok(Some(Step::Bring {
        task: wanted.name.clone(),
        to,
        purchase: wanted.purchase.clone().unwrap_or(PurchaseTask::BY_THE_HOUR),
        ignored: wanted.ignored_checks.clone(),
    }));
    let refused = |advice: &str| {
        let state = state.map_or_else(|| "new".to_owned(), |state| state.to_string());
        Err(format!("task {}: it is {state}: {advice}", wanted.name))
    };
    match (to, state) {
        (
            WantedState::Running,
            Some(TaskState::Running | TaskState::Starting | TaskState::Retrying),
        )
        | (WantedState::Suspended, Some(TaskState::Suspended)) => Ok(None),
        (WantedState::Running, Some(TaskState::Suspended))
        | (
            WantedState::Suspended,
            Some(TaskState::Starting | TaskState::Running | TaskState::Retrying),
        ) => step,
        (_, Some(TaskState::Abnormal | TaskState::Locked)) => {
            refused("that needs your decision, see `rowcast task show`")
        }
        (_, Some(TaskState::Resetting)) => refused("apply the file again once that is over"),
        (_, Some(TaskState::Released)) => refused("that is its end"),
        (
            to,
            None
            | Some(
                TaskState::NotConfigured
                | TaskState::NotStarted
                | TaskState::Prechecking
                | TaskState::PrecheckFailed
                | TaskState::PrecheckPassed,
            ),
        ) => match to {
            WantedState::Running => step,
            WantedState::Suspended => {
                refused("only a task that was started can be suspended; leave `state` out")
            }
        },
    }
}

#[cfg(test)]
mod tests;
