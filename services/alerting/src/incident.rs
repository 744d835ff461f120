//! When an incident is raised, and when it ends.

use chrono::{DateTime, Utc};
use rowcast_domain::{GroupId, IncidentId, RuleId, TaskId, TaskState};
use rowcast_proto::message;
use rowcast_proto::message::{EventMeta, TaskError, TaskStateChanged};
use rowcast_proto::rest::Severity;

use crate::error::Error;

/// A rule: a task is in a state that needs a person.
#[derive(Debug)]
pub(crate) struct StateRule {
    /// Its name.
    pub(crate) name: &'static str,
    /// The state.
    state: TaskState,
    /// What a task in it is, behind its name.
    words: &'static str,
}

/// The task stopped and needs a decision.
pub(crate) const TASK_ABNORMAL: StateRule = StateRule {
    name: "task_abnormal",
    state: TaskState::Abnormal,
    words: "stopped and needs a decision",
};

/// The task's instance has expired: nothing is read, and the source keeps its WAL.
pub(crate) const TASK_LOCKED: StateRule = StateRule {
    name: "task_locked",
    state: TaskState::Locked,
    words: "is locked",
};

/// The rule: what a started task needs of its source or the broker is no longer as it was prechecked.
pub(crate) const SOURCE_DRIFTED: &str = "source_drifted";

/// The rule: the task is further behind its source than its threshold.
pub(crate) const TASK_DELAYED: &str = "task_delayed";

/// The rule: retention has removed what a group had not read.
pub(crate) const GROUP_GAP: &str = "group_gap";

/// The rule: retention will soon remove what a group has not read.
pub(crate) const GROUP_BEHIND: &str = "group_behind";

/// The rule: a change that a group must acknowledge before others was sent as often as it allows.
pub(crate) const GROUP_BLOCKED: &str = "group_blocked";

/// The rule: a group has changes that were put away, and nobody has dealt with yet.
pub(crate) const GROUP_DEAD_LETTERS: &str = "group_dead_letters";

/// A consumer group that an incident is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AboutGroup {
    pub(crate) id: GroupId,
    pub(crate) name: String,
}

/// The rule of a user by which an incident was raised, as it was then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByRule {
    pub(crate) id: RuleId,
    pub(crate) name: String,
    pub(crate) severity: Severity,
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incident {
    pub(crate) id: IncidentId,
    pub(crate) task_id: TaskId,
    pub(crate) task_name: String,
    /// The rule that raised it; of a user's, what it watches.
    pub(crate) rule: String,
    /// What happened, in a sentence.
    pub(crate) summary: String,
    /// The error behind it.
    pub(crate) error: Option<TaskError>,
    pub(crate) opened_at: DateTime<Utc>,
    /// `None` while open.
    pub(crate) resolved_at: Option<DateTime<Utc>>,
    /// `None` where it is about the whole task.
    pub(crate) group: Option<AboutGroup>,
    /// `None` where the service's own rule raised it.
    pub(crate) by: Option<ByRule>,
}

impl From<Incident> for message::Incident {
    fn from(incident: Incident) -> Self {
        let Incident {
            id,
            task_id,
            task_name,
            rule,
            summary,
            error,
            opened_at,
            resolved_at,
            group,
            by,
        } = incident;
        let (group_id, group_name) = group
            .map(|group| (group.id.into(), group.name))
            .unwrap_or_default();
        let (rule_id, rule_name, severity) = by
            .map(|by| (by.id.into(), by.name, by.severity.as_str().to_owned()))
            .unwrap_or_default();
        Self {
            id: id.into(),
            task_id: task_id.into(),
            task_name,
            rule,
            summary,
            error,
            opened_at: Some(opened_at.into()),
            resolved_at: resolved_at.map(Into::into),
            group_id,
            group_name,
            rule_id,
            rule_name,
            severity,
        }
    }
}

/// A task's change of state, as far as rules look at it.
#[derive(Debug, Clone)]
pub(crate) struct StateChange {
    pub(crate) event_id: String,
    pub(crate) task_id: TaskId,
    pub(crate) task_name: String,
    pub(crate) to: TaskState,
    pub(crate) reason: String,
    pub(crate) error: Option<TaskError>,
    pub(crate) at: DateTime<Utc>,
}

impl StateChange {
    /// Reads the event. One without a readable time happened `now`.
    ///
    /// # Errors
    /// Where it names no event, no task or no state that we know.
    pub(crate) fn read(event: TaskStateChanged, now: DateTime<Utc>) -> Result<Self, Error> {
        let TaskStateChanged {
            meta,
            task_id,
            task_name,
            to,
            reason,
            error,
            ..
        } = event;
        let about = About::read(meta, task_id, now)?;
        let Some(to) = TaskState::from_name(&to) else {
            return Err(Error::Malformed {
                field: "to",
                value: to,
            });
        };
        Ok(Self {
            event_id: about.event_id,
            task_id: about.task_id,
            task_name,
            to,
            reason,
            error,
            at: about.at,
        })
    }
}

/// What every event about a task says.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) event_id: String,
    pub(crate) task_id: TaskId,
    pub(crate) at: DateTime<Utc>,
}

impl About {
    /// One without a readable time happened `now`.
    ///
    /// # Errors
    /// Where it names no event or no task.
    pub(crate) fn read(
        meta: Option<EventMeta>,
        task_id: String,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        let meta = meta.unwrap_or_default();
        if meta.id.is_empty() {
            return Err(Error::Malformed {
                field: "meta.id",
                value: meta.id,
            });
        }
        let Ok(task) = TaskId::try_from(task_id.clone()) else {
            return Err(Error::Malformed {
                field: "task_id",
                value: task_id,
            });
        };
        let at = meta
            .occurred_at
            .and_then(|at| at.try_into().ok())
            .unwrap_or(now);
        Ok(Self {
            event_id: meta.id,
            task_id: task,
            at,
        })
    }
}

/// What a change of state makes of incidents.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Nothing.
    Keep,
    /// A new one begins.
    Raise(Incident),
    /// The open one ends, at the time of the change.
    Resolve(Incident),
}

/// Decides by the open incident of the task under the rule, if it has one. `id` is for a new one.
pub(crate) fn decide(
    open: Option<Incident>,
    rule: &StateRule,
    change: &StateChange,
    id: IncidentId,
) -> Action {
    match (open, change.to == rule.state) {
        (None, true) => Action::Raise(Incident {
            id,
            task_id: change.task_id.clone(),
            task_name: change.task_name.clone(),
            rule: rule.name.to_owned(),
            summary: summary(rule, change),
            error: change.error.clone(),
            opened_at: change.at,
            resolved_at: None,
            group: None,
            by: None,
        }),
        // A task that comes there again while it is there is the same incident.
        (Some(_), true) | (None, false) => Action::Keep,
        (Some(open), false) => Action::Resolve(open),
    }
}

fn summary(rule: &StateRule, change: &StateChange) -> String {
    let StateChange {
        task_name,
        reason,
        error,
        ..
    } = change;
    let why = error
        .as_ref()
        .map_or(reason.as_str(), |error| error.message.as_str());
    if why.is_empty() {
        format!("Task {task_name} {}.", rule.words)
    } else {
        format!("Task {task_name} {}: {why}", rule.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn change(to: TaskState) -> StateChange {
        StateChange {
            event_id: "e1".to_owned(),
            task_id: "t000000000000".parse().unwrap(),
            task_name: "orders".to_owned(),
            to,
            reason: "capture stopped".to_owned(),
            error: None,
            at: now(),
        }
    }

    fn id() -> IncidentId {
        "c000000000000".parse().unwrap()
    }

    fn decided(open: Option<Incident>, to: TaskState) -> Action {
        decide(open, &TASK_ABNORMAL, &change(to), id())
    }

    fn open() -> Incident {
        match decided(None, TaskState::Abnormal) {
            Action::Raise(incident) => incident,
            other @ (Action::Keep | Action::Resolve(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn abnormal_raises_once() {
        let incident = open();
        assert_eq!(incident.rule, TASK_ABNORMAL.name);
        assert_eq!(incident.opened_at, now());
        assert_eq!(
            incident.summary,
            "Task orders stopped and needs a decision: capture stopped"
        );
        let again = decided(Some(incident), TaskState::Abnormal);
        assert_eq!(again, Action::Keep);
    }

    #[test]
    fn every_other_state_resolves_what_is_open_and_only_that() {
        for to in TaskState::ALL
            .into_iter()
            .filter(|to| *to != TaskState::Abnormal)
        {
            assert_eq!(decided(None, to), Action::Keep, "{to}");
            assert_eq!(decided(Some(open()), to), Action::Resolve(open()), "{to}");
        }
    }

    #[test]
    fn the_error_says_more_than_the_reason() {
        let error = Some(TaskError {
            message: "the slot is lost".to_owned(),
            ..TaskError::default()
        });
        let change = StateChange {
            error,
            ..change(TaskState::Abnormal)
        };
        assert!(summary(&TASK_ABNORMAL, &change).ends_with(": the slot is lost"));
    }

    #[test]
    fn an_event_that_names_nothing_we_know_is_malformed() {
        let event = |to: &str, task: &str, id: &str| TaskStateChanged {
            meta: Some(EventMeta {
                id: id.to_owned(),
                ..EventMeta::default()
            }),
            task_id: task.to_owned(),
            to: to.to_owned(),
            ..TaskStateChanged::default()
        };
        let good = StateChange::read(event("abnormal", "t000000000000", "e1"), now()).unwrap();
        assert_eq!((good.to, good.at), (TaskState::Abnormal, now()));
        for bad in [
            event("exploded", "t000000000000", "e1"),
            event("abnormal", "x", "e1"),
            event("abnormal", "t000000000000", ""),
        ] {
            assert!(matches!(
                StateChange::read(bad, now()),
                Err(Error::Malformed { .. })
            ));
        }
    }
}
