//! What the platform is told of a task: on every change, and while it runs at least every 5 s. That the
//! source's WAL moves on with nothing for the task is no change: hundreds of tasks may be told so.

mod entry;
mod rates;

use std::time::Duration;

use chrono::Utc;
use rowcast_domain::{Backlog, Lsn, TaskId};
use rowcast_proto::message::{CaptureState, TaskError, TaskSpec, TaskStatus, Timestamp};

use tokio::time::Instant;
use tokio_metrics::TaskMonitor;

use self::entry::StatusEntry;
use self::rates::{Come, Rates};
use crate::keeper::Wanted;
use crate::metrics;
use crate::pipeline::progress::Durable;
use crate::pipeline::source::Watched;
use crate::prepare::step::StartStep;
use crate::server_time;
use crate::worker::Platform;

/// How often a running task is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest silence of a running task, in looks.
const LOOKS_BETWEEN: u32 = 5;

/// Reports one task.
pub(crate) struct Reporter {
    entry: StatusEntry,
    task: TaskId,
    status: TaskStatus,
    first_sequence: Option<u64>,
    silent_looks: u32,
    rates: Rates,
    /// The most that the buffers took since the last report.
    memory: u64,
    backlog: Backlog,
    monitor: TaskMonitor,
}

/// The longest header of a page of WAL, in bytes (`xlog_internal.h`).
const PAGE_HEADER: u64 = 40;

impl Reporter {
    /// Of a task whose lease this process holds. `monitor` knows how long the work on it took.
    pub(crate) fn new(platform: &Platform, task: TaskId, monitor: TaskMonitor) -> Self {
        let status = TaskStatus {
            task_id: task.to_string(),
            capture_id: platform.capture_id.clone(),
            ..TaskStatus::default()
        };
        let entry = StatusEntry::new(
            platform.statuses.clone(),
            platform.leases.clone(),
            task.clone(),
            platform.capture_id.clone(),
        );
        Self {
            entry,
            task,
            status,
            first_sequence: None,
            silent_looks: 0,
            rates: Rates::default(),
            memory: 0,
            backlog: Backlog::default(),
            monitor,
        }
    }

    /// From now on this version of the wish is made true.
    pub(crate) fn speak_of(&mut self, spec: &TaskSpec) {
        if self.status.generation != spec.generation {
            // That was said of the version before.
            self.status.objects_since.clear();
        }
        self.status.generation = spec.generation;
        self.status.trace.clone_from(&spec.trace);
    }

    /// The task is in another state.
    pub(crate) async fn state(&mut self, state: CaptureState) {
        self.interrupted(state, None, None).await;
    }

    /// What a start is at.
    pub(crate) async fn step(&mut self, step: StartStep) {
        step.as_str().clone_into(&mut self.status.step);
        self.write().await;
    }

    /// The task is in another state because of an error.
    pub(crate) async fn interrupted(
        &mut self,
        state: CaptureState,
        error: Option<TaskError>,
        retry_until: Option<Timestamp>,
    ) {
        self.status.set_state(state);
        self.status.step.clear();
        self.status.error = error;
        self.status.retry_until = retry_until;
        // That was said of a task that runs.
        self.status.delay_seconds = None;
        self.status.messages_per_second = None;
        self.status.bytes_per_second = None;
        self.status.cpu_percent = None;
        self.status.memory_bytes = None;
        self.write().await;
    }

    /// A look at the running task, which makes `wanted` true.
    pub(crate) async fn look(&mut self, watched: &Watched, wanted: &Wanted) {
        self.status.generation = wanted.generation;
        self.status.trace.clone_from(&wanted.trace);
        if self.observe(watched) || self.silent_looks >= LOOKS_BETWEEN {
            self.write().await;
        } else {
            self.silent_looks += 1;
        }
    }

    /// Takes over what is seen; tells whether it is new.
    fn observe(&mut self, watched: &Watched) -> bool {
        let durable = *watched.durable.borrow();
        let confirmed = *watched.confirmed.borrow();
        let end = watched.tracking.borrow().source_end;
        let source = watched.received.lsn().max(confirmed).max(end);
        let source = behind_header(confirmed, source);
        let first = *self.first_sequence.get_or_insert(durable.sequence);
        let before = self.status.clone();
        let status = &mut self.status;
        status.position = durable.position.to_string();
        status.stream_sequence = durable.sequence;
        status.confirmed_lsn = confirmed.to_string();
        // Of a session that has just begun it is not known yet.
        status.source_lsn = if end == Lsn::INVALID {
            String::new()
        } else {
            source.to_string()
        };
        status.durable = watched.hold_back.is_zero();
        status.lag_bytes = source.as_u64() - confirmed.as_u64();
        status.changes = durable.sequence.saturating_sub(first);
        status.committed_at = durable
            .committed_at
            .and_then(server_time::to_utc)
            .map(Timestamp::from);
        let tracking = watched.tracking.borrow();
        status.objects_since.clear();
        if tracking.generation == status.generation {
            status.objects_since = tracking.since.to_string();
        }
        status.warnings.clone_from(&tracking.warnings);
        status.held.clone_from(&tracking.held);
        drop(tracking);
        status.warnings.extend(watched.quarantined.borrow().clone());
        metrics::progress(
            &self.task,
            status.lag_bytes,
            status.changes.saturating_sub(before.changes),
        );
        self.measure(watched, durable, end);
        is_news(&before, &self.status)
    }

    /// How fast changes come, and how late.
    fn measure(&mut self, watched: &Watched, durable: Durable, end: Lsn) {
        let come = Come {
            messages: durable.sequence,
            bytes: durable.bytes,
            busy: self.monitor.cumulative().total_poll_duration,
        };
        let rate = self.rates.look(come, Instant::now());
        self.status.messages_per_second = Some(rate.messages);
        self.status.bytes_per_second = Some(rate.bytes);
        self.status.cpu_percent = Some(rate.busy * 100.0);
        self.memory = self.memory.max(watched.held.look());
        self.status.memory_bytes = Some(self.memory);
        let now = Utc::now();
        let stored = durable.lsn.max(watched.received.settled());
        self.backlog
            .observe(stored, behind_header(stored, end), now);
        let late = self
            .backlog
            .oldest()
            .map_or(0, |since| (now - since).num_seconds());
        // Of a session that has just begun it is not known yet.
        self.status.delay_seconds =
            (end != Lsn::INVALID).then(|| u32::try_from(late.max(0)).unwrap_or(u32::MAX));
    }

    async fn write(&mut self) {
        self.silent_looks = 0;
        self.status.updated_at = Some(Utc::now().into());
        // The task goes on: the next look reports again.
        let value = match serde_json::to_vec(&self.status) {
            Ok(value) => value,
            Err(error) => return tracing::error!(%error, "status not reported"),
        };
        if let Err(error) = self.entry.write(value.into()).await {
            self.silent_looks = LOOKS_BETWEEN;
            tracing::warn!(task = %self.task, %error, "status not reported");
        } else {
            self.memory = 0;
        }
    }
}

/// `end`, or `reached` where nothing lies between but the header of a page that has no record yet.
fn behind_header(reached: Lsn, end: Lsn) -> Lsn {
    if end.as_u64().saturating_sub(reached.as_u64()) <= PAGE_HEADER {
        reached
    } else {
        end
    }
}

/// Whether a status tells something that cannot wait for the next regular one.
fn is_news(before: &TaskStatus, status: &TaskStatus) -> bool {
    let told = |of: &TaskStatus| TaskStatus {
        source_lsn: String::new(),
        confirmed_lsn: String::new(),
        lag_bytes: 0,
        delay_seconds: None,
        messages_per_second: None,
        bytes_per_second: None,
        cpu_percent: None,
        memory_bytes: None,
        held: None,
        ..of.clone()
    };
    told(before) != told(status)
}
