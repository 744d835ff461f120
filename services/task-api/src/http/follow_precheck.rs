//! `GET /tasks/{id}/precheck/progress`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::{Stream, StreamExt as _};
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::message::PrecheckProgress;
use rowcast_proto::rest::PrecheckEnded;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::body::TaskPath;
use super::get_task::existing;
use super::query::Params;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// How often the task is looked at while a run says nothing: one whose precheck was killed ends too.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the next run is waited for.
const BEGINS_WITHIN: Duration = Duration::from_secs(2);

/// How soon after the last check its report is stored.
const LOOK_AT_END: Duration = Duration::from_millis(100);

/// An event as it is sent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes what axum writes")]
struct ProgressEvent {
    /// `begin`, `item` or `end`.
    event: String,
    /// JSON: `PrecheckBegun`, `CheckItem` or `PrecheckEnded`.
    data: String,
}

/// Which run.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// The run that is about to begin: to be asked for just before it is. It is waited for two seconds.
    #[serde(default)]
    next: bool,
}

/// Shows a running precheck check by check, as server-sent events: `begin` with `PrecheckBegun`, an `item`
/// with a `CheckItem` for each check that has ended, and `end` with `PrecheckEnded` once the report is there. A second `begin`, as after a run that was
/// cut off, begins anew. Of a task that is not being prechecked, the last run of the past hour.
#[utoipa::path(
    get,
    path = "/tasks/{id}/precheck/progress",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), Which),
    responses(
        (status = 200, description = "The events", body = ProgressEvent, content_type = "text/event-stream"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn follow_precheck(
    State(app): State<App>,
    TaskPath(id): TaskPath,
    Params(which): Params<Which>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let state = existing(&app, &id).await?.state;
    let mut follower = Follower::new(id);
    follower.seat = Some(app.seat().ok_or_else(too_many)?);
    let key = follower.task.as_str();
    let changes = if state == TaskState::Prechecking {
        let watch = app.prechecks().watch_with_history(key).await;
        Some(watch.map_err(ApiError::nats)?)
    } else if which.next {
        let watch = app.prechecks().watch(key).await;
        follower.begins_by = Some(Instant::now() + BEGINS_WITHIN);
        Some(watch.map_err(ApiError::nats)?)
    } else {
        let last = app.prechecks().get(key).await;
        let last = last.map_err(ApiError::nats)?.ok_or_else(nothing_told)?;
        follower.learn(&read(&last)?)?;
        follower.end(state)?;
        None
    };
    let events = futures::stream::unfold(Some((app, follower, changes)), async |following| {
        let (app, mut follower, mut changes) = following?;
        let event = match follower.next(&app, changes.as_mut()).await {
            Ok(event) => event?,
            Err(error) => {
                // Whoever follows sees the stream end without its last event.
                tracing::warn!(task = %follower.task, %error, "a precheck is not followed any more");
                return None;
            }
        };
        Some((Ok(event), Some((app, follower, changes))))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn too_many() -> ApiError {
    let detail = "too many prechecks are followed at the same time";
    ApiError::refused(StatusCode::TOO_MANY_REQUESTS, "too_many_followers", detail)
        .retry_after(BEGINS_WITHIN)
        .repair("Close some, or ask for the report: GET /api/v1/tasks/{id}/precheck.")
}

fn nothing_told() -> ApiError {
    let detail = "the task was not prechecked within the last hour";
    ApiError::refused(StatusCode::NOT_FOUND, "precheck_not_found", detail)
        .repair("Run a precheck: POST /api/v1/tasks/{id}/precheck.")
}

fn read(value: &[u8]) -> Result<PrecheckProgress, ApiError> {
    serde_json::from_slice(value)
        .map_err(|error| ApiError::Unreadable(format!("progress of a precheck: {error}")))
}

/// What a client was told of a run.
struct Follower {
    task: TaskId,
    /// The run that is followed; empty before the first.
    run: String,
    /// How many of its checks were told.
    told: usize,
    is_over: bool,
    /// Until when a run may begin that was not under way.
    begins_by: Option<Instant>,
    /// One of those that there are for followers.
    seat: Option<OwnedSemaphorePermit>,
    events: VecDeque<Event>,
    has_ended: bool,
}

impl Follower {
    const fn new(task: TaskId) -> Self {
        Self {
            task,
            run: String::new(),
            told: 0,
            is_over: false,
            begins_by: None,
            seat: None,
            events: VecDeque::new(),
            has_ended: false,
        }
    }

    /// The next event; `None` after the last.
    async fn next(
        &mut self,
        app: &App,
        mut changes: Option<&mut kv::Watch>,
    ) -> Result<Option<Event>, ApiError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let Some(changes) = changes.as_deref_mut().filter(|_| !self.has_ended) else {
                return Ok(None);
            };
            let pause = if self.is_over {
                LOOK_AT_END
            } else {
                LOOK_EVERY
            };
            tokio::select! {
                () = app.stop().cancelled() => return Ok(None),
                change = changes.next() => {
                    let change = change.ok_or_else(|| ApiError::nats("the watch has ended"))?;
                    let entry = change.map_err(ApiError::nats)?;
                    if entry.operation == kv::Operation::Put {
                        self.follow(&read(&entry.value)?)?;
                    }
                }
                () = tokio::time::sleep(pause) => {
                    let state = existing(app, &self.task).await?.state;
                    if state != TaskState::Prechecking && !self.may_begin() {
                        self.end(state)?;
                    }
                }
            }
        }
    }

    fn may_begin(&self) -> bool {
        self.run.is_empty() && self.begins_by.is_some_and(|until| Instant::now() < until)
    }

    /// What a run under way tells. What is over from the beginning is the run before, where that is seen.
    fn follow(&mut self, progress: &PrecheckProgress) -> Result<(), ApiError> {
        let is_old = self.begins_by.is_none() && progress.run != self.run;
        if progress.finished_at.is_some() && is_old {
            return Ok(());
        }
        self.learn(progress)
    }

    fn learn(&mut self, progress: &PrecheckProgress) -> Result<(), ApiError> {
        if progress.run != self.run {
            self.run.clone_from(&progress.run);
            self.told = 0;
            self.say("begin", &convert::precheck_begun(progress)?)?;
        }
        for item in progress.items.iter().skip(self.told) {
            self.say("item", &convert::check_item(item.clone()))?;
        }
        self.told = progress.items.len();
        self.is_over = progress.finished_at.is_some();
        Ok(())
    }

    fn end(&mut self, state: TaskState) -> Result<(), ApiError> {
        self.has_ended = true;
        self.say("end", &PrecheckEnded { state })
    }

    fn say(&mut self, name: &str, body: &impl Serialize) -> Result<(), ApiError> {
        let event = Event::default().event(name).json_data(body);
        let event = event.map_err(|error| ApiError::Unreadable(format!("{name}: {error}")))?;
        self.events.push_back(event);
        Ok(())
    }
}
