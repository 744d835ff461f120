//! One task under its lease: makes the wish true, again and again within the retry window.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::lease::Lease;
use rowcast_bus::monitor::Monitors;
use rowcast_bus::{Bus, beat, trace_context};
use rowcast_domain::{Backoff, TaskId};
use rowcast_pg::Networks;
use rowcast_proto::message::{
    CaptureState, ChangeTypes, DesiredState, TaskError, TaskSpec, Timestamp,
};
use rowcast_proto::stream::task_stream;
use rowcast_service::BoxError;
use rowcast_service::keyring::Keyring;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_metrics::TaskMonitor;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::error::{Error, Recovery};
use crate::keeper::Wanted;
use crate::keeper::wal_end::WalEnds;
use crate::metrics;
use crate::pipeline::source::Watched;
use crate::prepare::retention;
use crate::prepare::step::StartStep;
use crate::prepare::{self, Prepared};
use crate::release;
use crate::report::{LOOK_EVERY, Reporter};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A task that ran this long without progress has recovered all the same: the source was idle.
const RECOVERED_AFTER: Duration = Duration::from_secs(10);

/// An interrupted task does not wait longer for what the broker says of itself.
const COMPLAINTS_WITHIN: Duration = Duration::from_secs(2);

/// A start whose steps are all shorter tells none of them.
const STEP_TOLD_AFTER: Duration = Duration::from_millis(300);

/// What all tasks of this process share.
pub(crate) struct Platform {
    pub(crate) capture_id: String,
    pub(crate) control: Bus,
    pub(crate) data: Bus,
    pub(crate) keyring: Keyring,
    pub(crate) source_networks: Networks,
    pub(crate) nats_monitors: Monitors,
    pub(crate) wishes: kv::Store,
    pub(crate) statuses: kv::Store,
    pub(crate) leases: kv::Store,
    pub(crate) checkpoints: kv::Store,
    pub(crate) tracked: kv::Store,
    pub(crate) schemas: kv::Store,
    pub(crate) wal_ends: Arc<WalEnds>,
}

/// What a worker is told of its task.
pub(crate) struct Wishes {
    /// The wish.
    pub(crate) wish: watch::Receiver<TaskSpec>,
    /// How long it may be interrupted: the shortest time among the tasks on the same server, for they
    /// hold its WAL together.
    pub(crate) retry_minutes: watch::Receiver<u32>,
}

/// Works on a task until it needs nobody, the lease is lost, or the process stops.
pub(crate) async fn work(
    platform: &Platform,
    task: &TaskId,
    lease: Lease,
    wishes: Wishes,
    stop: CancellationToken,
) {
    let done = CancellationToken::new();
    // A task of its own, for the work on one large row takes seconds in which nothing else is polled here;
    // it dies with this future.
    let mut keeping = JoinSet::new();
    keeping.spawn(lease.keep(done.clone()).in_current_span());
    let monitor = TaskMonitor::new();
    let reporter = Reporter::new(platform, task.clone(), monitor.clone());
    let worker = Worker {
        platform,
        task,
        wish: wishes.wish,
        retry_minutes: wishes.retry_minutes,
        stop,
        reporter,
        monitor: monitor.clone(),
    };
    tokio::select! {
        biased;
        // Whatever runs is cut off here: another process may begin at any moment.
        Some(lost) = keeping.join_next() => {
            if let Err(error) = kept(lost) {
                tracing::warn!(%task, %error, "lease lost, task dropped");
            }
        }
        () = TaskMonitor::instrument(&monitor, worker.run()) => {
            done.cancel();
            if let Some(Err(error)) = keeping.join_next().await.map(kept) {
                tracing::warn!(%task, %error, "lease not given back, it will run out");
            }
        }
    }
}

fn kept(outcome: Result<Result<(), BoxError>, JoinError>) -> Result<(), BoxError> {
    outcome?
}

struct Worker<'a> {
    platform: &'a Platform,
    task: &'a TaskId,
    wish: watch::Receiver<TaskSpec>,
    retry_minutes: watch::Receiver<u32>,
    stop: CancellationToken,
    reporter: Reporter,
    monitor: TaskMonitor,
}

/// Since when a task has been interrupted, and how long it waits before the next attempt.
struct Retrying {
    since: Option<chrono::DateTime<Utc>>,
    backoff: Backoff,
}

/// How an attempt ended.
enum Ended {
    /// The wish changed or the process stops.
    Halted,
    /// By itself; a task that is to be removed is removed.
    Done,
    /// It was interrupted; `recovered` tells whether it ran well before.
    Interrupted { error: Error, recovered: bool },
}

impl Worker<'_> {
    async fn run(mut self) {
        let mut retrying = Retrying {
            since: None,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
        };
        let mut generation = None;
        while !self.stop.is_cancelled() {
            let spec = self.wish.borrow_and_update().clone();
            self.reporter.speak_of(&spec);
            if generation.replace(spec.generation) != Some(spec.generation) {
                // The user has decided anew: the window begins anew.
                retrying = Retrying {
                    since: None,
                    backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
                };
            }
            let ended = match spec.desired() {
                DesiredState::Running => Box::pin(self.attempt(&spec)).await,
                DesiredState::Released => {
                    match release::release(self.platform, self.task, &spec).await {
                        Ok(()) => Ended::Done,
                        Err(error) => Ended::Interrupted {
                            error,
                            recovered: false,
                        },
                    }
                }
                DesiredState::Suspended => {
                    // What nobody reads meanwhile must not go sooner than its user wants.
                    let keeps = spec.retention.unwrap_or_default();
                    let kept = retention::keep(&self.platform.data, self.task, &keeps).await;
                    if let Err(error) = kept {
                        tracing::warn!(task = %self.task, %error, "retention of the stream not looked at");
                    }
                    return self.reporter.state(CaptureState::Suspended).await;
                }
                DesiredState::Unspecified => return,
            };
            match ended {
                Ended::Halted => {}
                Ended::Done => return self.reporter.state(CaptureState::Released).await,
                Ended::Interrupted { error, recovered } => {
                    if recovered {
                        retrying.since = None;
                        retrying.backoff.reset();
                    }
                    if !self.wait_to_retry(&spec, &error, &mut retrying).await {
                        return;
                    }
                }
            }
        }
    }

    /// Reports the interruption; waits and tells true where the task is to be tried again.
    async fn wait_to_retry(
        &mut self,
        spec: &TaskSpec,
        error: &Error,
        retrying: &mut Retrying,
    ) -> bool {
        let mut message = describe(error, self.task);
        if error.may_be_storage() {
            message.push_str(&self.complaints().await);
        }
        let (code, advice) = match error.recovery() {
            Recovery::Stop { code, advice } => (code, advice),
            Recovery::Retry { code } => {
                let since = *retrying.since.get_or_insert_with(Utc::now);
                let minutes = *self.retry_minutes.borrow();
                let until = since + TimeDelta::minutes(i64::from(minutes));
                // Nobody waits for a removal, but a slot that stays would fill the source's disk.
                if Utc::now() < until || spec.desired() == DesiredState::Released {
                    metrics::interruption(code);
                    let wait = retrying.backoff.next_wait();
                    tracing::warn!(task = %self.task, code, error = message, wait_ms = wait.as_millis(), "interrupted, trying again");
                    let advice =
                        "Nothing, if it passes by itself. Otherwise see the message.".to_owned();
                    let error = TaskError {
                        code: code.to_owned(),
                        message,
                        advice,
                    };
                    let until = Timestamp::from(until);
                    self.reporter
                        .interrupted(CaptureState::Retrying, Some(error), Some(until))
                        .await;
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        _ = self.wish.changed() => {}
                        () = self.stop.cancelled() => {}
                    }
                    return true;
                }
                let advice = "The retry time is over. Repair the cause, then start the task again: it goes on where it stopped.";
                (code, advice.to_owned())
            }
        };
        metrics::interruption(code);
        tracing::error!(task = %self.task, code, error = message, "stopped, needs a decision");
        let error = TaskError {
            code: code.to_owned(),
            message,
            advice,
        };
        self.reporter
            .interrupted(CaptureState::Stopped, Some(error), None)
            .await;
        false
    }

    /// What the broker says of itself, to be added to an error.
    async fn complaints(&self) -> String {
        let asked = self.platform.nats_monitors.complaints();
        let answer = tokio::time::timeout(COMPLAINTS_WITHIN, asked).await;
        answer
            .ok()
            .flatten()
            .map_or_else(String::new, |complaints| format!(": {complaints}"))
    }

    async fn attempt(&mut self, spec: &TaskSpec) -> Ended {
        self.reporter.state(CaptureState::Starting).await;
        let span =
            tracing::info_span!("prepare task", task = %self.task, generation = spec.generation);
        trace_context::continue_from(&span, &spec.trace.clone().unwrap_or_default());
        let (wanted, _) = watch::channel(Wanted::from(spec));
        let (steps, mut step) = watch::channel(StartStep::Connect);
        let (platform, task, tracked) = (self.platform, self.task, wanted.subscribe());
        let prepare = prepare::prepare(platform, task, spec, tracked, &steps);
        let mut prepare = Box::pin(prepare.instrument(span));
        let prepared = tokio::select! {
            prepared = &mut prepare => prepared,
            // Beside the start: a slow report must not stop it.
            () = tell_steps(&mut self.reporter, &mut step) => return Ended::Halted,
            _ = self.wish.changed() => return Ended::Halted,
            () = self.stop.cancelled() => return Ended::Halted,
        };
        drop(prepare);
        match prepared {
            Ok(prepared) => Box::pin(self.stream(prepared, spec, &wanted)).await,
            Err(error) => Ended::Interrupted {
                error,
                recovered: false,
            },
        }
    }

    /// Runs the pipeline and its confirmations, and looks at them.
    async fn stream(
        &mut self,
        prepared: Prepared,
        spec: &TaskSpec,
        wanted: &watch::Sender<Wanted>,
    ) -> Ended {
        let Prepared {
            pipeline,
            confirmer,
            keeper,
            watched,
        } = prepared;
        let Self {
            task,
            wish,
            stop,
            reporter,
            monitor,
            ..
        } = self;
        let started = Instant::now();
        let first = watched.durable.borrow().sequence;
        // Tasks of their own, so that nothing in the pipeline can delay them; they die with this future.
        let mut confirmations = JoinSet::new();
        confirmations.spawn(TaskMonitor::instrument(monitor, confirmer.run()).in_current_span());
        confirmations.spawn(TaskMonitor::instrument(monitor, keeper.run()).in_current_span());
        tracing::info!(%task, "running");
        let halt = CancellationToken::new();
        let outcome = {
            let run = pipeline.run(&halt);
            // Beside the pipeline: a slow report must not stop the changes.
            let reports = report_running(reporter, &watched, wanted.subscribe());
            tokio::pin!(run, reports);
            loop {
                tokio::select! {
                    outcome = &mut run => break outcome,
                    Some(ended) = confirmations.join_next() => break Err(early_end(ended)),
                    () = &mut reports => {}
                    _ = wish.changed(), if !halt.is_cancelled() => {
                        if !take_on(spec, &wish.borrow_and_update(), wanted) {
                            halt.cancel();
                        }
                    }
                    () = stop.cancelled(), if !halt.is_cancelled() => halt.cancel(),
                }
            }
        };
        match outcome {
            Ok(()) => {
                // The last confirmation, so that the next start has nothing to read again.
                if let Some(Ok(Err(error))) = confirmations.join_next().await {
                    tracing::debug!(%task, %error, "last position not confirmed");
                }
                let wanted = wanted.borrow().clone();
                reporter.look(&watched, &wanted).await;
                Ended::Halted
            }
            Err(error) => {
                let progressed = watched.durable.borrow().sequence > first;
                let recovered = progressed || source_was_well(&error, started.elapsed());
                Ended::Interrupted { error, recovered }
            }
        }
    }
}

/// Tells the steps of a start that take long enough, until the start drops their sender.
async fn tell_steps(reporter: &mut Reporter, steps: &mut watch::Receiver<StartStep>) {
    let mut told = None;
    loop {
        let step = *steps.borrow_and_update();
        let is_short = tokio::time::timeout(STEP_TOLD_AFTER, steps.changed()).await;
        let next = match is_short {
            Ok(next) => next,
            Err(_elapsed) => {
                if told.replace(step) != Some(step) {
                    reporter.step(step).await;
                }
                steps.changed().await
            }
        };
        if next.is_err() {
            return;
        }
    }
}

/// Whether an idle source, which gives nothing to acknowledge, has recovered before it failed: it was
/// connected for a while. A broker has only once it acknowledges: its silence takes just as long to be
/// noticed.
fn source_was_well(error: &Error, ran_for: Duration) -> bool {
    if let Error::SourceSilent(silence) = error {
        return ran_for.saturating_sub(*silence) >= RECOVERED_AFTER;
    }
    matches!(error, Error::Source(_)) && ran_for >= RECOVERED_AFTER
}

/// Reports a running task for ever.
async fn report_running(
    reporter: &mut Reporter,
    watched: &Watched,
    wanted: watch::Receiver<Wanted>,
) {
    reporter.state(CaptureState::Running).await;
    let mut timer = beat::every(LOOK_EVERY);
    loop {
        timer.tick().await;
        let wanted = wanted.borrow().clone();
        reporter.look(watched, &wanted).await;
    }
}

/// Passes the next version of the wish on to a running task, if that can go on: other objects, and
/// another policy, are taken between two transactions. Tells whether it can.
fn take_on(present: &TaskSpec, next: &TaskSpec, wanted: &watch::Sender<Wanted>) -> bool {
    let alike = TaskSpec {
        generation: next.generation,
        objects: next.objects.clone(),
        change_types: kinds_of(next, present),
        etl: next.etl.clone(),
        trace: next.trace.clone(),
        name: next.name.clone(),
        alerting: next.alerting.clone(),
        tags: next.tags.clone(),
        resource_group: next.resource_group.clone(),
        accepted_stop: next.accepted_stop.clone(),
        ..present.clone()
    };
    let goes_on = alike == *next;
    if goes_on {
        wanted.send_replace(Wanted::from(next));
    }
    goes_on
}

/// Other kinds of changes are taken as other objects are; schema changes need a start, which makes what tells them.
fn kinds_of(next: &TaskSpec, present: &TaskSpec) -> Option<ChangeTypes> {
    let (next, present) = (next.change_types.clone()?, present.change_types.as_ref()?);
    Some(ChangeTypes {
        data: next.data,
        schema: present.schema,
    })
}

/// The confirmations end with the pipeline, or because the source is lost.
fn early_end(ended: Result<Result<(), Error>, JoinError>) -> Error {
    match ended {
        Ok(Ok(())) => Error::broker("the confirmations ended early"),
        Ok(Err(error)) => error,
        Err(panic) => Error::broker(panic),
    }
}

/// The error with its causes, in one line; the stream is named where it is the stream's.
fn describe(error: &Error, task: &TaskId) -> String {
    let mut text = if let Error::Batch(batch) = error {
        format!("broker: stream {}: {batch}", task_stream(task))
    } else {
        error.to_string()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}
