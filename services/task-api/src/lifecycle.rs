//! The only way a task changes its state.
//!
//! One transaction holds the row's lock, the new state, the new version of the wish, the entry in
//! the task's history and the event for the others.

mod objects;
mod changes;
mod sources;
mod ignored;
mod open_alerts;
mod start;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use rowcast_bus::{publish, trace_context};
use rowcast_domain::{TaskEvent, TaskId, TaskState};
use rowcast_proto::message::{DesiredState, EventMeta, TaskStateChanged, TraceContext};
use rowcast_proto::rest::{AcceptableStop, TaskError, TaskTransition};
use rowcast_service::outbox;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::error::ApiError;
use crate::state::App;
use crate::store::task::{self, StoredTask};
use crate::store::transition;
use crate::{clock, convert, recheck};

pub(crate) use changes::change_task;
pub(crate) use ignored::ignore_checks;
pub(crate) use objects::{change_objects, plan_objects};
pub(crate) use open_alerts::without_open_alerts;
pub(crate) use sources::change_source;
pub(crate) use start::start;

/// Something that happens to a task, and who and what is behind it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) event: TaskEvent,
    /// `user:<name>` or `service:<name>`.
    pub(crate) actor: String,
    pub(crate) reason: String,
    /// Why the task does not run, where that is what happens.
    pub(crate) error: Option<TaskError>,
    /// The stop past which the user goes on.
    pub(crate) accept_stop: Option<AcceptableStop>,
    /// The request behind it.
    pub(crate) trace: TraceContext,
}

impl Step {
    /// A step of the request that is being answered.
    pub(crate) fn requested(event: TaskEvent, actor: &str, reason: &str) -> Self {
        Self {
            event,
            actor: actor.to_owned(),
            reason: reason.to_owned(),
            error: None,
            accept_stop: None,
            trace: trace_context::current(),
        }
    }
}

/// Takes a step in a transaction of its own.
pub(crate) async fn take(app: &App, id: &TaskId, step: Step) -> Result<StoredTask, ApiError> {
    let mut transaction = app.pool().begin().await?;
    let locked = task::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("task", id.as_str()))?;
    let task = apply(&mut transaction, locked, step, clock::now()).await?;
    transaction.commit().await?;
    app.wish_changed().notify_one();
    Ok(task)
}

/// Takes a step with a task that the transaction has locked.
///
/// A step that leads to where the task already stands leaves no trace in its history.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    locked: StoredTask,
    step: Step,
    now: DateTime<Utc>,
) -> Result<StoredTask, ApiError> {
    // A clock that went back must not turn the order of the events around.
    let now = now.max(locked.updated_at);
    let task = after(&locked, &step, now)?;
    let moved = task.state != locked.state;
    let wished = task.generation != locked.generation;
    if moved || wished || task.error != locked.error {
        task::update(connection, &task).await?;
    }
    if moved {
        record(connection, &locked, &task, step).await?;
        if matches!(task.state, TaskState::Released | TaskState::Resetting) {
            recheck::forget(connection, &task).await?;
        }
    }
    Ok(task)
}

/// The task after the step.
fn after(task: &StoredTask, step: &Step, now: DateTime<Utc>) -> Result<StoredTask, ApiError> {
    let state = task.state.transition(step.event)?;
    if let Some(stop) = step.accept_stop {
        may_accept(task, stop)?;
    }
    if step.event.is_done_in(task.state) {
        return Ok(task.clone());
    }
    let mut next = task.clone();
    next.state = state;
    next.error.clone_from(&step.error);
    if state != task.state {
        next.updated_at = now;
    }
    if let Some(desired) = desired_by(step.event) {
        // Asking again for what is already wished changes nothing, unless it has failed.
        let renewed = desired != task.desired || state != task.state || task.error.is_some();
        if renewed {
            next.desired = desired;
            next.generation += 1;
            // A decision is about one stop: the next version knows nothing of it.
            next.accepted_stop = step.accept_stop;
            next.wish_trace = step.trace.clone();
            next.updated_at = now;
        }
    }
    Ok(next)
}

/// What capture must make true after this event; `None` where its orders stay as they are.
const fn desired_by(event: TaskEvent) -> Option<DesiredState> {
    match event {
        TaskEvent::Start => Some(DesiredState::Running),
        TaskEvent::Suspend | TaskEvent::Lock => Some(DesiredState::Suspended),
        // A reset removes the same as a release.
        TaskEvent::Release | TaskEvent::Reset => Some(DesiredState::Released),
        TaskEvent::Configured
        | TaskEvent::PrecheckStarted
        | TaskEvent::PrecheckSucceeded
        | TaskEvent::PrecheckFailed
        | TaskEvent::CaptureRunning
        | TaskEvent::CaptureRetrying
        | TaskEvent::CaptureRemoved
        | TaskEvent::CaptureStopped
        // The lock has wished the suspension already.
        | TaskEvent::Unlock => None,
    }
}

/// Whether the user may go on past this stop: only where the task stands at it. Asking once more for
/// what was just accepted is no fault.
///
/// # Errors
/// Says at which stop the task stands, and what can be accepted.
pub(crate) fn may_accept(task: &StoredTask, stop: AcceptableStop) -> Result<(), ApiError> {
    let present = task.error.as_ref().map(|error| error.code.as_str());
    let runs = task.state == TaskState::Starting || TaskEvent::Start.is_done_in(task.state);
    let was_accepted = runs && task.accepted_stop == Some(stop);
    if present == Some(stop.as_str()) || was_accepted {
        return Ok(());
    }
    let asked = stop.as_str();
    let detail = match present {
        Some(code) => format!("the task's error is {code} and not {asked}"),
        None => format!("the task has no error, so there is no {asked} to accept"),
    };
    let repair = match present.and_then(AcceptableStop::from_name) {
        Some(possible) => format!(
            "Accept {}, or leave accept_stop out to try again as it is.",
            possible.as_str()
        ),
        None => format!(
            "Leave accept_stop out. Only these can be accepted, and only as the task's present error: {}.",
            AcceptableStop::ALL.map(AcceptableStop::as_str).join(", ")
        ),
    };
    let refused = ApiError::refused(StatusCode::CONFLICT, "stop_not_present", detail);
    Err(refused.field("accept_stop").repair(repair))
}

/// Whether capture follows, or will follow, the present version of the wish.
const fn knows_its_wish(state: TaskState) -> bool {
    match state {
        TaskState::Starting
        | TaskState::Running
        | TaskState::Retrying
        | TaskState::Suspended
        | TaskState::Locked => true,
        TaskState::NotConfigured
        | TaskState::NotStarted
        | TaskState::Prechecking
        | TaskState::PrecheckFailed
        | TaskState::PrecheckPassed
        | TaskState::Abnormal
        | TaskState::Resetting
        | TaskState::Released => false,
    }
}

/// Makes what was changed a new version of the wish. A decision was about the version before.
fn wish_anew(task: &mut StoredTask, step: &Step) {
    task.generation += 1;
    task.accepted_stop = None;
    task.wish_trace = step.trace.clone();
}

async fn record(
    connection: &mut PgConnection,
    before: &StoredTask,
    task: &StoredTask,
    step: Step,
) -> Result<(), ApiError> {
    let entry = TaskTransition {
        from: before.state,
        to: task.state,
        actor: step.actor,
        reason: step.reason.clone(),
        trace_id: trace_context::trace_id(&step.trace).map(str::to_owned),
        at: task.updated_at,
    };
    transition::insert(connection, &task.id, &entry).await?;
    tracing::info!(
        task = %task.id,
        from = %entry.from,
        to = %entry.to,
        actor = entry.actor,
        reason = entry.reason,
        "task changed"
    );
    let event = TaskStateChanged {
        meta: Some(EventMeta {
            id: Uuid::now_v7().to_string(),
            occurred_at: Some(task.updated_at.into()),
            trace: Some(step.trace),
        }),
        task_id: task.id.to_string(),
        task_name: task.definition.name.clone(),
        from: entry.from.to_string(),
        to: entry.to.to_string(),
        actor: entry.actor,
        reason: entry.reason,
        error: task.error.clone().map(convert::task_error_message),
    };
    let fact =
        publish::fact(&event).map_err(|error| ApiError::Unreadable(format!("event: {error}")))?;
    outbox::append(connection, &fact).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn task(state: TaskState, desired: DesiredState) -> StoredTask {
        let definition = serde_json::json!({
            "name": "orders", "source_id": "s000000000000", "objects": {"all": true}
        });
        StoredTask {
            source_id: "s000000000000".parse().unwrap(),
            id: "t000000000000".parse().unwrap(),
            definition: serde_json::from_value(definition).unwrap(),
            state,
            desired,
            generation: 3,
            wish_trace: TraceContext::default(),
            accepted_stop: None,
            error: None,
            position: None,
            objects_since: None,
            warnings: Vec::new(),
            step: None,
            last_precheck: None,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    fn step(event: TaskEvent) -> Step {
        Step::requested(event, "user:test", "asked")
    }

    fn failure() -> TaskError {
        failure_of("SlotLost")
    }

    fn failure_of(code: &str) -> TaskError {
        TaskError {
            code: code.to_owned(),
            message: String::new(),
            advice: String::new(),
            retry_until: None,
        }
    }

    #[test]
    fn a_suspension_is_a_new_wish() {
        let running = task(TaskState::Running, DesiredState::Running);
        let next = after(&running, &step(TaskEvent::Suspend), clock::now()).unwrap();
        assert_eq!(next.state, TaskState::Suspended);
        assert_eq!(
            (next.desired, next.generation),
            (DesiredState::Suspended, 4)
        );
    }

    #[test]
    fn a_report_leaves_the_wish_alone() {
        let starting = task(TaskState::Starting, DesiredState::Running);
        let next = after(&starting, &step(TaskEvent::CaptureRunning), clock::now()).unwrap();
        assert_eq!(next.state, TaskState::Running);
        assert_eq!((next.desired, next.generation), (DesiredState::Running, 3));
    }

    #[test]
    fn asking_twice_wishes_once() {
        let starting = task(TaskState::Starting, DesiredState::Running);
        let next = after(&starting, &step(TaskEvent::Start), clock::now()).unwrap();
        assert_eq!(next.generation, 3);
        assert_eq!(next.updated_at, starting.updated_at);
    }

    #[test]
    fn a_release_that_failed_is_wished_again() {
        let mut released = task(TaskState::Released, DesiredState::Released);
        released.error = Some(failure());
        let next = after(&released, &step(TaskEvent::Release), clock::now()).unwrap();
        assert_eq!((next.state, next.generation), (TaskState::Released, 4));
        assert_eq!(next.error, None);
    }

    #[test]
    fn a_start_after_a_stop_is_a_new_wish_without_the_old_error() {
        let mut abnormal = task(TaskState::Abnormal, DesiredState::Running);
        abnormal.error = Some(failure());
        let next = after(&abnormal, &step(TaskEvent::Start), clock::now()).unwrap();
        assert_eq!((next.state, next.generation), (TaskState::Starting, 4));
        assert_eq!(next.error, None);
    }

    #[test]
    fn a_start_of_what_runs_changes_nothing() {
        for state in [TaskState::Running, TaskState::Retrying] {
            let mut running = task(state, DesiredState::Running);
            running.error = (state == TaskState::Retrying).then(failure);
            let next = after(&running, &step(TaskEvent::Start), clock::now()).unwrap();
            assert_eq!((next.state, next.generation), (state, 3));
            assert_eq!(next.error, running.error);
            // Once more what was accepted, too.
            running.accepted_stop = Some(AcceptableStop::Gap);
            assert!(after(&running, &accepting(AcceptableStop::Gap), clock::now()).is_ok());
        }
    }

    fn accepting(stop: AcceptableStop) -> Step {
        Step {
            accept_stop: Some(stop),
            ..step(TaskEvent::Start)
        }
    }

    #[test]
    fn an_accepted_stop_is_part_of_one_version_of_the_wish() {
        let mut stopped = task(TaskState::Abnormal, DesiredState::Running);
        stopped.error = Some(failure_of("Gap"));
        let accepted = after(&stopped, &accepting(AcceptableStop::Gap), clock::now()).unwrap();
        assert_eq!(
            (accepted.generation, accepted.accepted_stop),
            (4, Some(AcceptableStop::Gap))
        );
        // The same request again asks for nothing new.
        let again = after(&accepted, &accepting(AcceptableStop::Gap), clock::now()).unwrap();
        assert_eq!(again.generation, 4);
        let suspended = after(&accepted, &step(TaskEvent::Suspend), clock::now()).unwrap();
        assert_eq!((suspended.generation, suspended.accepted_stop), (5, None));
    }

    #[test]
    fn only_the_stop_at_which_the_task_stands_can_be_accepted() {
        let refused = |code: Option<&str>| {
            let mut stopped = task(TaskState::Abnormal, DesiredState::Running);
            stopped.error = code.map(failure_of);
            match after(&stopped, &accepting(AcceptableStop::Gap), clock::now()) {
                Err(ApiError::Refused(refused)) => refused.repair.unwrap(),
                other => panic!("{other:?}"),
            }
        };
        let repair = refused(Some("BrokerDataLoss"));
        assert!(repair.starts_with("Accept BrokerDataLoss"), "{repair}");
        for code in [None, Some("SourceReplaced")] {
            let repair = refused(code);
            assert!(
                repair.ends_with("Gap, PublicationMissing, BrokerDataLoss."),
                "{repair}"
            );
        }
    }
}
