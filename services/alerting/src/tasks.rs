//! Tasks as their wishes and reports tell of them.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::TaskId;
use rowcast_proto::message::{DesiredState, TaskSpec, TaskStatus};

use crate::delay::{Behind, Seen};
use crate::rule::Labels;

/// What a task's wish says of it.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    /// Its own threshold of delay in seconds, and who is told then.
    pub(crate) threshold: Option<u64>,
    pub(crate) contacts: Vec<String>,
    is_running: bool,
}

/// The last report on a task.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) status: TaskStatus,
    came_at: DateTime<Utc>,
}

/// A task that should run, as it is now.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    pub(crate) wish: &'a Wish,
    pub(crate) report: Option<&'a Report>,
    pub(crate) seen: Seen,
    pub(crate) delay: TimeDelta,
}

#[derive(Debug, Default)]
pub(crate) struct Tasks {
    wishes: HashMap<TaskId, Wish>,
    reports: HashMap<TaskId, Report>,
    behind: HashMap<TaskId, Behind>,
}

impl Tasks {
    /// Takes a wish over.
    pub(crate) fn learn(&mut self, entry: &kv::Entry) {
        let Some((task, spec)) = read::<TaskSpec>(entry) else {
            return;
        };
        let wish = spec.and_then(Wish::of);
        if !wish.as_ref().is_some_and(|wish| wish.is_running) {
            self.behind.remove(&task);
        }
        match wish {
            Some(wish) => {
                self.wishes.insert(task, wish);
            }
            None => {
                self.wishes.remove(&task);
            }
        }
    }

    /// Takes a report over.
    pub(crate) fn hear(&mut self, entry: &kv::Entry) {
        match read::<TaskStatus>(entry) {
            Some((task, Some(status))) => {
                // What was there before we looked is as old as its entry: capture may be dead.
                let now = Utc::now();
                let is_first = !self.reports.contains_key(&task);
                let created = Some(entry.created)
                    .filter(|_| is_first)
                    .and_then(|created| {
                        DateTime::from_timestamp(created.unix_timestamp(), created.nanosecond())
                    });
                let came_at = created.map_or(now, |created| created.min(now));
                self.reports.insert(task, Report { status, came_at });
            }
            Some((task, None)) => {
                self.reports.remove(&task);
            }
            None => {}
        }
    }

    /// The wish of a task that is not released.
    pub(crate) fn wish(&self, task: &TaskId) -> Option<&Wish> {
        self.wishes.get(task)
    }

    /// Looks at those that should run. `since` says for a task that was not looked at before since when it is known to
    /// be behind.
    pub(crate) fn look(
        &mut self,
        now: DateTime<Utc>,
        since: impl Fn(&TaskId, &Wish) -> Option<DateTime<Utc>>,
    ) -> Vec<(&TaskId, Running<'_>)> {
        let running = self.wishes.iter().filter(|(_task, wish)| wish.is_running);
        let mut looked = Vec::new();
        for (task, wish) in running {
            let report = self.reports.get(task);
            let behind = self.behind.entry(task.clone());
            let behind =
                behind.or_insert_with(|| since(task, wish).map(Behind::since).unwrap_or_default());
            let came_at = report.map_or(now, |report| report.came_at);
            let seen = Seen::of(report.map(|report| &report.status), now - came_at);
            behind.observe(seen, came_at);
            let delay = behind.delay(now);
            let running = Running {
                wish,
                report,
                seen,
                delay,
            };
            looked.push((task, running));
        }
        looked
    }
}

impl Wish {
    /// `None` where it is released.
    fn of(spec: TaskSpec) -> Option<Self> {
        let is_running = match spec.desired() {
            DesiredState::Running => true,
            DesiredState::Suspended | DesiredState::Unspecified => false,
            DesiredState::Released => return None,
        };
        let labels = Labels::of(&spec);
        let alerting = spec.alerting.unwrap_or_default();
        let threshold = u64::from(alerting.delay_seconds);
        Some(Self {
            name: spec.name,
            labels,
            threshold: Some(threshold).filter(|seconds| *seconds > 0 && is_running),
            contacts: alerting.contacts,
            is_running,
        })
    }
}

/// The task and its value; no value where it was deleted. One that cannot be read is told of and left.
fn read<T: serde::de::DeserializeOwned>(entry: &kv::Entry) -> Option<(TaskId, Option<T>)> {
    let Ok(task) = entry.key.parse::<TaskId>() else {
        tracing::warn!(
            bucket = entry.bucket,
            key = entry.key,
            "a key that is no task"
        );
        return None;
    };
    match entry.operation {
        kv::Operation::Delete | kv::Operation::Purge => Some((task, None)),
        kv::Operation::Put => match serde_json::from_slice(&entry.value) {
            Ok(value) => Some((task, Some(value))),
            Err(error) => {
                tracing::error!(bucket = entry.bucket, %task, %error, "a value that cannot be read");
                None
            }
        },
    }
}
