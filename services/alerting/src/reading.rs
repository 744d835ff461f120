//! What each metric says of tasks and their groups at one moment. Pure.

use std::collections::HashMap;

use rowcast_domain::TaskId;
use rowcast_proto::message::TaskError;
use rowcast_proto::rest::RuleMetric;

use crate::delay::Seen;
use crate::incident::{AboutGroup, Incident};
use crate::tasks::Running;

/// What a metric says of a task, or of one of its groups.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) task: TaskId,
    pub(crate) task_name: String,
    pub(crate) group: Option<AboutGroup>,
    /// `None` where it is not known at the moment; 1 where a metric is true or not, and true.
    pub(crate) value: Option<u64>,
    /// A sentence, without its end where the metric is a number.
    pub(crate) words: String,
    pub(crate) error: Option<TaskError>,
}

/// All readings of one moment. What is missing there is over: a task that need not run is not late.
#[derive(Debug, Default)]
pub(crate) struct Readings(HashMap<RuleMetric, Vec<Reading>>);

impl Readings {
    /// Those of tasks that should run, and of what is wrong by the service's own rules.
    pub(crate) fn of(running: &[(&TaskId, Running<'_>)], open: &[Incident]) -> Self {
        let mut readings = Self::default();
        for (task, running) in running {
            readings.add(RuleMetric::TaskDelaySeconds, delay(task, running));
            readings.add(RuleMetric::TaskLagBytes, lag(task, running));
        }
        let own = open.iter().filter(|incident| incident.by.is_none());
        for incident in own {
            if let Some(metric) = RuleMetric::from_name(&incident.rule) {
                readings.add(metric, truth(incident));
            }
        }
        readings
    }

    fn add(&mut self, metric: RuleMetric, reading: Reading) {
        self.0.entry(metric).or_default().push(reading);
    }

    /// Those of one metric.
    pub(crate) fn about(&self, metric: RuleMetric) -> &[Reading] {
        self.0.get(&metric).map_or(&[], Vec::as_slice)
    }
}

fn of_task(task: &TaskId, running: &Running<'_>, value: Option<u64>, words: String) -> Reading {
    let report = running.report;
    Reading {
        task: task.clone(),
        task_name: running.wish.name.clone(),
        group: None,
        value,
        words,
        error: report.and_then(|report| report.status.error.clone()),
    }
}

fn delay(task: &TaskId, running: &Running<'_>) -> Reading {
    let seconds = running.delay.num_seconds().unsigned_abs();
    let value = match running.seen {
        // It waits for a decision, which is an incident of its own.
        Seen::Stopped => None,
        Seen::Flowing { .. } | Seen::Unmeasured | Seen::Interrupted => Some(seconds),
    };
    let name = &running.wish.name;
    let words = format!("Task {name} is {seconds} s behind its source");
    of_task(task, running, value, words)
}

/// While nothing flows nobody tells how much it is.
fn lag(task: &TaskId, running: &Running<'_>) -> Reading {
    let bytes = match running.seen {
        Seen::Flowing { .. } => running.report.map(|report| report.status.lag_bytes),
        Seen::Unmeasured | Seen::Interrupted | Seen::Stopped => None,
    };
    let name = &running.wish.name;
    let kept = bytes.unwrap_or_default();
    let words = format!("The source keeps {kept} bytes of WAL for task {name}");
    of_task(task, running, bytes, words)
}

fn truth(incident: &Incident) -> Reading {
    Reading {
        task: incident.task_id.clone(),
        task_name: incident.task_name.clone(),
        group: incident.group.clone(),
        value: Some(1),
        words: incident.summary.clone(),
        error: incident.error.clone(),
    }
}
