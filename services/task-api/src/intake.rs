//! What capture says of the tasks: from the bucket of reports into the tasks' rows.
//!
//! ```text
//! KV watch ──────┐
//! every 5 s, all ┴─▶ same version of the wish? ─▶ transition, error, position
//! ```

use std::time::Duration;

use async_nats::jetstream::kv;
use futures::StreamExt as _;
use rowcast_bus::{async_nats, provision, trace_context};
use rowcast_domain::{Backoff, Lsn, TaskEvent, TaskId, TaskState};
use rowcast_proto::message::{self, CaptureState, TaskStatus};
use rowcast_proto::rest::{HeldRange, TaskError, TaskPosition};
use rowcast_proto::stream::TASK_STATUS;
use rowcast_service::{BoxError, CancellationToken};
use tokio::time::MissedTickBehavior;
use tracing::Instrument as _;

use crate::lifecycle::{self, Step};
use crate::state::App;
use crate::store::task::{self, Observed, StoredTask};
use crate::{clock, convert};

/// How often all reports are read again: a watch may miss one.
const REREAD_EVERY: Duration = Duration::from_secs(5);

const ACTOR: &str = "service:capture";

/// Takes reports until told to stop.
///
/// # Errors
/// None while the database and NATS can come back: those failures are retried.
pub(crate) async fn run(app: App, stop: CancellationToken) -> Result<(), BoxError> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    while !stop.is_cancelled() {
        let taken = stop
            .run_until_cancelled(Box::pin(until_failure(&app)))
            .await;
        let Some(Err(error)) = taken else { break };
        tracing::warn!(error = %error, "reports not taken");
        stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait()))
            .await;
    }
    Ok(())
}

async fn until_failure(app: &App) -> Result<(), BoxError> {
    // Again after each failure: a server that comes back may have lost it.
    let store = provision::bucket(app.bus(), &TASK_STATUS).await?;
    let mut reports = store.watch_all().await?;
    let mut timer = tokio::time::interval(REREAD_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = timer.tick() => reread(app, &store).await?,
            report = reports.next() => {
                let entry = report.ok_or("the watch has ended")??;
                if entry.operation == kv::Operation::Put {
                    take(app, &entry.key, &entry.value).await?;
                }
            }
        }
    }
}

async fn reread(app: &App, store: &kv::Store) -> Result<(), BoxError> {
    let mut keys = store.keys().await?;
    while let Some(key) = keys.next().await {
        let key = key?;
        if let Some(value) = store.get(&key).await? {
            take(app, &key, &value).await?;
        }
    }
    Ok(())
}

/// Takes one report. One that cannot be read is told of and left: the others go on.
async fn take(app: &App, key: &str, value: &[u8]) -> Result<(), BoxError> {
    let (id, status) = match (
        key.parse::<TaskId>(),
        serde_json::from_slice::<TaskStatus>(value),
    ) {
        (Ok(id), Ok(status)) => (id, status),
        (Err(error), _) => {
            tracing::warn!(key, error = %error, "report of no task");
            return Ok(());
        }
        (_, Err(error)) => {
            tracing::warn!(key, error = %error, "report not read");
            return Ok(());
        }
    };
    // One every few seconds and task: seen when debugging, no trace of its own.
    let span = tracing::debug_span!("take report", task = %id, generation = status.generation);
    trace_context::continue_from(&span, status.trace.as_ref().unwrap_or(&Default::default()));
    apply(app, &id, status).instrument(span).await
}

async fn apply(app: &App, id: &TaskId, status: TaskStatus) -> Result<(), BoxError> {
    let mut transaction = app.pool().begin().await?;
    let Some(locked) = task::lock(&mut transaction, id).await? else {
        tracing::debug!("report of an unknown task");
        return Ok(());
    };
    if status.generation != locked.generation {
        // It speaks of an older wish; the one about the current wish is still to come.
        return Ok(());
    }
    if status.state() == CaptureState::Released && !is_removed(locked.state) {
        // It was reset, and is as if it had never run.
        return Ok(());
    }
    let observed = Observed {
        // Why it is locked stays, whatever capture says of the way there.
        error: if locked.state == TaskState::Locked {
            locked.error.clone()
        } else {
            error(&status)
        },
        position: position(&status).or_else(|| removed(&locked, &status)),
        objects_since: objects_since(&status),
        warnings: status.warnings.clone(),
        step: Some(status.step.clone()).filter(|step| !step.is_empty()),
    };
    task::observe(&mut transaction, id, &observed).await?;
    if let Some(step) = step(&status, observed.error) {
        if locked.state.transition(step.event).is_ok() {
            if step.event == TaskEvent::CaptureRemoved {
                task::forget_observed(&mut transaction, id).await?;
            }
            lifecycle::apply(&mut transaction, locked, step, clock::now()).await?;
        } else {
            tracing::debug!(state = %locked.state, event = ?step.event, "report changes nothing");
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Whether what the task made is to be removed.
fn is_removed(state: TaskState) -> bool {
    matches!(state, TaskState::Released | TaskState::Resetting)
}

/// What a report means for the task's state; `None` where it is only about the way there.
fn step(status: &TaskStatus, error: Option<TaskError>) -> Option<Step> {
    let (event, reason) = match status.state() {
        CaptureState::Running => (TaskEvent::CaptureRunning, "changes flow"),
        CaptureState::Retrying => (TaskEvent::CaptureRetrying, "interrupted, tries again"),
        CaptureState::Stopped => (TaskEvent::CaptureStopped, "stopped, needs a decision"),
        CaptureState::Released => (TaskEvent::CaptureRemoved, "what it made is removed"),
        // What the user asked for is the task's state already.
        CaptureState::Unspecified | CaptureState::Starting | CaptureState::Suspended => {
            return None;
        }
    };
    let reason = match &error {
        Some(error) => format!("{reason}: {}", error.message),
        None => reason.to_owned(),
    };
    Some(Step {
        event,
        actor: ACTOR.to_owned(),
        reason,
        error,
        accept_stop: None,
        trace: status.trace.clone().unwrap_or_default(),
    })
}

fn error(status: &TaskStatus) -> Option<TaskError> {
    let error = status.error.clone()?;
    Some(convert::task_error(error, status.retry_until))
}

/// `None` where the report does not speak of the task's present objects: those of a stopped task may
/// have been replaced since, and are tracked once it is started.
fn objects_since(status: &TaskStatus) -> Option<Lsn> {
    match status.state() {
        CaptureState::Running | CaptureState::Retrying => status.objects_since.parse().ok(),
        CaptureState::Unspecified
        | CaptureState::Starting
        | CaptureState::Stopped
        | CaptureState::Suspended
        | CaptureState::Released => None,
    }
}

/// `None` before the first change is in the stream.
fn position(status: &TaskStatus) -> Option<TaskPosition> {
    Some(TaskPosition {
        position: status.position.parse().ok()?,
        stream_sequence: status.stream_sequence,
        committed_at: status.committed_at.and_then(|time| time.try_into().ok()),
        confirmed_lsn: status.confirmed_lsn.parse().ok()?,
        lag_bytes: status.lag_bytes,
        changes: status.changes,
        delay_seconds: status.delay_seconds,
        messages_per_second: status.messages_per_second,
        bytes_per_second: status.bytes_per_second,
        cpu_percent: status.cpu_percent,
        memory_bytes: status.memory_bytes,
        held: status.held.and_then(held),
        durable: status.durable,
        reported_at: status.updated_at?.try_into().ok()?,
    })
}

/// A capture that took a task only to remove what it made knows no position of it. That it has reported is told all the
/// same: who waits for a release goes by it.
fn removed(task: &StoredTask, status: &TaskStatus) -> Option<TaskPosition> {
    if status.state() != CaptureState::Released {
        return None;
    }
    Some(TaskPosition {
        reported_at: status.updated_at?.try_into().ok()?,
        ..task.position.clone()?
    })
}

/// `None` where a newer capture says it in a way that is not known here.
fn held(held: message::HeldRange) -> Option<HeldRange> {
    Some(HeldRange {
        first_sequence: held.first_sequence,
        last_sequence: held.last_sequence,
        first_at: held.first_at?.try_into().ok()?,
        last_at: held.last_at?.try_into().ok()?,
        messages: held.messages,
        bytes: held.bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: CaptureState) -> TaskStatus {
        TaskStatus {
            state: state.into(),
            ..TaskStatus::default()
        }
    }

    #[test]
    fn a_stop_carries_its_error_and_its_reason() {
        let mut stopped = status(CaptureState::Stopped);
        stopped.error = Some(message::TaskError {
            code: "SlotLost".to_owned(),
            message: "the slot is gone".to_owned(),
            advice: String::new(),
        });
        let step = step(&stopped, error(&stopped)).unwrap();
        assert_eq!(step.event, TaskEvent::CaptureStopped);
        assert!(step.reason.ends_with("the slot is gone"), "{}", step.reason);
        assert_eq!(step.error.unwrap().code, "SlotLost");
    }

    #[test]
    fn what_the_user_asked_for_is_no_news() {
        for state in [CaptureState::Starting, CaptureState::Suspended] {
            assert!(step(&status(state), None).is_none(), "{state:?}");
        }
    }

    #[test]
    fn a_stopped_task_does_not_say_since_when_its_objects_are_tracked() {
        let mut running = status(CaptureState::Running);
        running.objects_since = "0/16B3748".to_owned();
        assert_eq!(objects_since(&running), "0/16B3748".parse().ok());
        running.set_state(CaptureState::Stopped);
        assert_eq!(objects_since(&running), None);
    }

    #[test]
    fn a_report_without_a_position_has_none() {
        assert_eq!(position(&status(CaptureState::Starting)), None);
    }
}
