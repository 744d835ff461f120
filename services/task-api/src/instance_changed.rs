//! What billing says of instances: from its facts into the tasks' states.
//!
//! ```text
//! expired ─▶ a started task is locked
//! renewed ─▶ a locked task goes on, or is suspended again where it was
//! ended   ─▶ the task is released
//! ```
//!
//! A fact carries the whole instance and billing's count of its changes. What is older than what was taken is
//! left, and so is a fact that comes twice.

use chrono::{DateTime, Utc};
use rowcast_bus::{Outcome, consume, trace_context};
use rowcast_domain::{TaskEvent, TaskId, TaskState};
use rowcast_proto::message::{InstanceStateChanged, TraceContext};
use rowcast_proto::rest::{InstanceState, TaskError};
use rowcast_service::{BoxError, CancellationToken};

use crate::error::ApiError;
use crate::lifecycle::{self, Step};
use crate::state::App;
use crate::store::instance_state::{self, KnownInstance};
use crate::store::{task, transition};
use crate::{clock, convert};

/// The durable consumer, shared by the copies of this service.
const DURABLE: &str = "task-api";

/// A task is locked with this error.
const EXPIRED: &str = "InstanceExpired";

/// Takes facts about instances until told to stop.
///
/// # Errors
/// None while the database and NATS can come back: those failures are retried.
pub(crate) async fn run(app: App, stop: CancellationToken) -> Result<(), BoxError> {
    let bus = app.bus().clone();
    let consuming = consume(bus, DURABLE, stop, move |fact| {
        let app = app.clone();
        async move { take(&app, fact).await }
    });
    // On the heap: the states of its queries and requests make it a large one.
    Box::pin(consuming).await
}

async fn take(app: &App, fact: InstanceStateChanged) -> Result<(), Outcome> {
    let trace = fact.meta.and_then(|meta| meta.trace).unwrap_or_default();
    let instance = fact
        .instance
        .ok_or_else(|| Outcome::Park("the fact has no instance".into()))?;
    let id: TaskId = instance
        .task_id
        .parse()
        .map_err(|error: rowcast_domain::ParseIdError| Outcome::Park(error.into()))?;
    let known = convert::known_instance(&instance).map_err(|error| Outcome::Park(error.into()))?;
    let why = Why {
        actor: fact.actor,
        trace: ours(trace),
    };
    apply(app, &id, &known, why)
        .await
        .map_err(|error| Outcome::Retry(error.into()))
}

/// Our span continues the fact's; where traces are off here, the fact's own goes on.
fn ours(trace: TraceContext) -> TraceContext {
    let current = trace_context::current();
    if current.traceparent.is_empty() {
        trace
    } else {
        current
    }
}

async fn apply(app: &App, id: &TaskId, known: &KnownInstance, why: Why) -> Result<(), ApiError> {
    let mut transaction = app.pool().begin().await?;
    let Some(locked) = task::lock(&mut transaction, id).await? else {
        tracing::warn!(task = %id, "fact about the instance of an unknown task");
        return Ok(());
    };
    if !instance_state::note(&mut transaction, id, known).await? {
        tracing::debug!(task = %id, version = known.version, "fact was taken before, or is an older one");
        return Ok(());
    }
    let before = transition::state_before_lock(&mut transaction, id).await?;
    if let Some(event) = event(known.state, locked.state, before) {
        let step = step(event, known, why);
        lifecycle::apply(&mut transaction, locked, step, clock::now()).await?;
    }
    transaction.commit().await?;
    app.wish_changed().notify_one();
    Ok(())
}

/// What an instance's state makes of a task; `None` where it stays as it is. `before` is the state in which the
/// task was locked last.
///
/// A task that was abnormal is started: what stopped it stops it again, with its name, or has been mended
/// meanwhile. One that the user had suspended stays so.
fn event(instance: InstanceState, task: TaskState, before: Option<TaskState>) -> Option<TaskEvent> {
    let event = match instance {
        InstanceState::Expired => TaskEvent::Lock,
        InstanceState::Ended if task == TaskState::Released => return None,
        InstanceState::Ended => TaskEvent::Release,
        InstanceState::Active if task != TaskState::Locked => return None,
        InstanceState::Active if before == Some(TaskState::Suspended) => TaskEvent::Unlock,
        InstanceState::Active => TaskEvent::Start,
    };
    // A task that was never started has nothing to lock.
    task.transition(event).is_ok().then_some(event)
}

/// Who and what is behind a fact.
struct Why {
    actor: String,
    trace: TraceContext,
}

fn step(event: TaskEvent, known: &KnownInstance, why: Why) -> Step {
    let (reason, error) = match known.state {
        InstanceState::Expired => {
            let error = expired(known);
            (error.message.clone(), Some(error))
        }
        InstanceState::Ended => {
            let reason = "the subscription expired and was not renewed in time";
            (reason.to_owned(), None)
        }
        InstanceState::Active => {
            let until = known.expires_at.map(written).unwrap_or_default();
            (format!("the subscription was renewed until {until}"), None)
        }
    };
    Step {
        event,
        actor: why.actor,
        reason,
        error,
        accept_stop: None,
        trace: why.trace,
    }
}

/// Why a task is locked, and what to do. The slot stays: without it changes would be lost.
pub(crate) fn expired(known: &KnownInstance) -> TaskError {
    let at = known.expires_at.map(written).unwrap_or_default();
    let until = known.release_at.map(written).unwrap_or_default();
    TaskError {
        code: EXPIRED.to_owned(),
        message: format!("the subscription expired at {at}"),
        advice: format!(
            "Renew it, by POST /api/v1/tasks/{{id}}/renew or rowcast task renew: no change is lost then. \
             Else the task is released at {until}. Until then its slot stays, and the source keeps all WAL \
             from where the task stood; reset or release the task where there is no room for it."
        ),
        retry_until: None,
    }
}

pub(crate) fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_locks_what_was_started_and_nothing_else() {
        for task in TaskState::ALL {
            let started = matches!(
                task,
                TaskState::Starting
                    | TaskState::Running
                    | TaskState::Retrying
                    | TaskState::Abnormal
                    | TaskState::Suspended
                    | TaskState::Locked
            );
            let expected = started.then_some(TaskEvent::Lock);
            assert_eq!(
                event(InstanceState::Expired, task, None),
                expected,
                "{task}"
            );
        }
    }

    #[test]
    fn a_renewal_wakes_a_locked_task_unless_its_user_had_suspended_it() {
        let renewed = |before| event(InstanceState::Active, TaskState::Locked, Some(before));
        assert_eq!(renewed(TaskState::Running), Some(TaskEvent::Start));
        assert_eq!(renewed(TaskState::Abnormal), Some(TaskEvent::Start));
        assert_eq!(renewed(TaskState::Suspended), Some(TaskEvent::Unlock));
        for task in TaskState::ALL {
            if task != TaskState::Locked {
                let idle = event(InstanceState::Active, task, Some(TaskState::Running));
                assert_eq!(idle, None, "{task}");
            }
        }
    }

    #[test]
    fn an_end_releases_every_task_once() {
        for task in TaskState::ALL {
            let expected = (task != TaskState::Released).then_some(TaskEvent::Release);
            assert_eq!(event(InstanceState::Ended, task, None), expected, "{task}");
        }
    }
}
