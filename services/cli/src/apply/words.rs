//! Steps in words, as they are shown.

use rowcast_proto::rest::{GroupDelivery, PurchaseTask};
use serde::Serialize;

use super::document::{GroupEntry, IgnoredEntry, WantedState};
use super::ignored;
use super::plan::Step;
use crate::task::{instance, selection};

/// A step in words; also what `-o json` prints.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct StepInWords {
    action: &'static str,
    kind: &'static str,
    name: String,
    detail: String,
}

/// Of a step: what is done, to what, its name, and what else there is to say.
type Parts = (&'static str, &'static str, String, String);

impl Step {
    pub(super) fn in_words(&self) -> StepInWords {
        let (action, kind, name, detail) = match self {
            Self::CreateContact(contact) => {
                let to = contact.webhook.as_ref().or(contact.email.as_ref());
                let (name, to) = (contact.name.clone(), to.cloned());
                ("create", "contact", name, to.unwrap_or_default())
            }
            Self::UpdateContact {
                contact, changes, ..
            } => update("contact", contact.name.clone(), changes),
            Self::CreateRule(rule) => create("rule", &rule.name, rule.metric.as_str()),
            Self::UpdateRule { rule, changes } => update("rule", rule.name.clone(), changes),
            Self::CreateSource { source, .. } => {
                let place = format!("{}:{}/{}", source.host, source.port, source.database);
                create("source", &source.name, &place)
            }
            Self::CreateTask { task, .. } => {
                let tracked = selection::in_words(&task.objects);
                let detail = format!("{tracked} of source {}", task.source);
                ("create", "task", task.name.clone(), detail)
            }
            Self::UpdateSource {
                source, changes, ..
            } => update("source", source.name.clone(), changes),
            Self::UpdateTask { task, changes, .. } => update("task", task.clone(), changes),
            Self::ReplaceObjects { task, from, to } => {
                let (from, to) = (selection::in_words(from), selection::in_words(to));
                ("replace", "objects", task.clone(), format!("{from} → {to}"))
            }
            Self::CreateGroup { task, group } => {
                let name = format!("{task}/{}", group.name);
                ("create", "group", name, group_in_words(group))
            }
            Self::UpdateGroup {
                task,
                group,
                changes,
                ..
            } => update("group", format!("{task}/{group}"), changes),
            Self::IgnoreAlerts { task, checks } => {
                ("ignore", "alerts", task.clone(), ignored::codes(checks))
            }
            Self::Bring {
                task,
                to,
                purchase,
                ignored,
            } => (
                "bring",
                "task",
                task.clone(),
                way_to(*to, purchase, ignored),
            ),
            Self::Release(task) => {
                let detail = format!("{}, with its stream and all its groups", task.id);
                ("release", "task", task.name.clone(), detail)
            }
            Self::DeleteSource(source) => {
                let id = source.id.to_string();
                ("delete", "source", source.name.clone(), id)
            }
        };
        StepInWords {
            action,
            kind,
            name,
            detail,
        }
    }
}

fn way_to(to: WantedState, purchase: &PurchaseTask, ignored: &[IgnoredEntry]) -> String {
    match to {
        WantedState::Running => {
            let how = in_words(purchase);
            let alerts = ignored::left_out(ignored);
            format!("precheck{alerts}, purchase {how}, start, as far as missing")
        }
        WantedState::Suspended => "suspend".to_owned(),
    }
}

fn create(kind: &'static str, name: &str, detail: &str) -> Parts {
    ("create", kind, name.to_owned(), detail.to_owned())
}

fn update(kind: &'static str, name: String, changes: &[String]) -> Parts {
    ("update", kind, name, changes.join(", "))
}

fn group_in_words(group: &GroupEntry) -> String {
    let mode = group.mode.filter(|mode| !mode.is_ordered());
    let mode = mode.map_or_else(String::new, |mode| format!(", {mode}"));
    let push = match group.delivery {
        Some(GroupDelivery::Push) => ", push",
        Some(GroupDelivery::Pull) | None => "",
    };
    format!("account {}{mode}{push}", group.account)
}

fn in_words(purchase: &PurchaseTask) -> String {
    match purchase.months {
        None => "by the hour".to_owned(),
        Some(months) => {
            let renewed = if purchase.auto_renew {
                " that renew themselves"
            } else {
                ""
            };
            format!("for {}{renewed}", instance::in_words(months))
        }
    }
}

impl StepInWords {
    /// As `+ source shop (db.example:5432/shop)`.
    pub(super) fn line(&self) -> String {
        let mark = match self.action {
            "create" => '+',
            "release" | "delete" => '-',
            "replace" | "update" => '~',
            _ => '>',
        };
        format!("{mark} {} {} ({})", self.kind, self.name, self.detail)
    }
}
