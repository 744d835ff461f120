//! Raises an incident where a task is further behind its source than its threshold.
//!
//! ```text
//! KV rowcast_tasks ────────┐
//! KV rowcast_task_status ──┴─▶ every 2 s: delay of each ─▶ raise or resolve?
//! ```
//!
//! How far tasks are behind is held in memory, so one copy of alerting judges: the one that holds a lock of
//! the database, and only by the connection that holds it. The next one begins with what is open.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::{Bus, provision, trace_context};
use rowcast_domain::{IncidentId, TaskId};
use rowcast_proto::message::{DesiredState, TaskSpec, TaskStatus};
use rowcast_proto::stream::{TASK_STATUS, TASKS};
use rowcast_service::{BoxError, CancellationToken};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::MissedTickBehavior;

use crate::delay::{Behind, Seen, Verdict, judge};
use crate::error::Error;
use crate::incident::{Incident, TASK_DELAYED};
use crate::state_changed::{raise, resolve};
use crate::store::incidents;

/// How often every task is judged.
const EVERY: Duration = Duration::from_secs(2);

/// How long to wait after a failure, or while another copy judges.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A task of which somebody wants to know.
#[derive(Debug)]
struct Wish {
    name: String,
    threshold: TimeDelta,
    contacts: Vec<String>,
}

/// The last report on a task.
#[derive(Debug)]
struct Report {
    status: TaskStatus,
    came_at: DateTime<Utc>,
}

#[derive(Debug, Default)]
struct Tasks {
    /// Those that should run and have a threshold.
    wishes: HashMap<TaskId, Wish>,
    reports: HashMap<TaskId, Report>,
    behind: HashMap<TaskId, Behind>,
}

/// Judges until told to stop.
///
/// # Errors
/// None while the database and NATS can come back: those failures are retried.
pub(crate) async fn run(pool: PgPool, bus: Bus, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        let judging = stop.run_until_cancelled(Box::pin(until_failure(&pool, &bus)));
        if let Some(Err(error)) = judging.await {
            tracing::warn!(%error, "delays are not judged, trying again");
        }
        stop.run_until_cancelled(tokio::time::sleep(AGAIN_AFTER))
            .await;
    }
    Ok(())
}

/// Ends at once where another copy judges.
async fn until_failure(pool: &PgPool, bus: &Bus) -> Result<(), BoxError> {
    let mut connection = pool.acquire().await?;
    let is_ours: bool = sqlx::query_scalar(
        "SELECT pg_try_advisory_lock(hashtext(current_schema()), hashtext('delays'))",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !is_ours {
        return Ok(());
    }
    // Of the pool no longer: the lock ends with the connection, and only with it.
    let mut connection = connection.detach();
    let wishes = provision::bucket(bus, &TASKS).await?;
    let reports = provision::bucket(bus, &TASK_STATUS).await?;
    follow(&mut connection, &wishes, &reports).await
}

async fn follow(
    connection: &mut PgConnection,
    wishes: &kv::Store,
    reports: &kv::Store,
) -> Result<(), BoxError> {
    let mut tasks = Tasks::default();
    // Nothing is judged by half of the wishes: what is open would end.
    let mut is_complete = wishes.stream.cached_info().state.messages == 0;
    let mut wishes = wishes.watch_with_history(">").await?;
    let mut reports = reports.watch_with_history(">").await?;
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            wish = wishes.next() => {
                let entry = wish.ok_or("the watch of wishes has ended")??;
                is_complete |= entry.seen_current || entry.delta == 0;
                tasks.learn(&entry);
            }
            report = reports.next() => {
                tasks.hear(&report.ok_or("the watch of reports has ended")??);
            }
            _ = timer.tick(), if is_complete => tasks.judge(connection, Utc::now()).await?,
        }
    }
}

impl Tasks {
    /// Takes a wish over.
    fn learn(&mut self, entry: &kv::Entry) {
        let Some((task, spec)) = read::<TaskSpec>(entry) else {
            return;
        };
        let threshold = spec.as_ref().and_then(threshold);
        match (spec, threshold) {
            (Some(spec), Some(threshold)) => {
                let wish = Wish {
                    name: spec.name,
                    threshold,
                    contacts: spec.alerting.unwrap_or_default().contacts,
                };
                self.wishes.insert(task, wish);
            }
            (None, _) | (Some(_), None) => {
                self.wishes.remove(&task);
                self.behind.remove(&task);
            }
        }
    }

    /// Takes a report over.
    fn hear(&mut self, entry: &kv::Entry) {
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

    async fn judge(
        &mut self,
        connection: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let open = incidents::open_of_rule(connection, TASK_DELAYED).await?;
        let mut open: HashMap<TaskId, Incident> = open
            .into_iter()
            .map(|incident| (incident.task_id.clone(), incident))
            .collect();
        for (task, wish) in &self.wishes {
            let report = self.reports.get(task);
            let open = open.remove(task);
            let behind = self
                .behind
                .entry(task.clone())
                .or_insert_with(|| match &open {
                    Some(incident) => Behind::since(incident.opened_at - wish.threshold),
                    None => Behind::default(),
                });
            let came_at = report.map_or(now, |report| report.came_at);
            let seen = Seen::of(report.map(|report| &report.status), now - came_at);
            behind.observe(seen, came_at);
            let delay = behind.delay(now);
            match (judge(seen, delay, wish.threshold, open.is_some()), open) {
                (Verdict::Keep, _) | (Verdict::Raise, Some(_)) | (Verdict::Resolve, None) => {}
                (Verdict::Raise, None) => {
                    let incident = incident(task, wish, delay, report, now);
                    begin(connection, incident, &wish.contacts).await?;
                }
                (Verdict::Resolve, Some(open)) => end(connection, open, now).await?,
            }
        }
        // Of those nobody wants to know any more, or they need not run.
        for open in open.into_values() {
            end(connection, open, now).await?;
        }
        Ok(())
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

/// Of a task that should run.
fn threshold(spec: &TaskSpec) -> Option<TimeDelta> {
    if spec.desired() != DesiredState::Running {
        return None;
    }
    let seconds = spec.alerting.as_ref()?.delay_seconds;
    (seconds > 0).then(|| TimeDelta::seconds(seconds.into()))
}

fn incident(
    task: &TaskId,
    wish: &Wish,
    delay: TimeDelta,
    report: Option<&Report>,
    now: DateTime<Utc>,
) -> Incident {
    Incident {
        id: IncidentId::random(),
        task_id: task.clone(),
        task_name: wish.name.clone(),
        rule: TASK_DELAYED.to_owned(),
        summary: format!(
            "Task {} is {} s behind its source; {} s are allowed.",
            wish.name,
            delay.num_seconds(),
            wish.threshold.num_seconds()
        ),
        error: report.and_then(|report| report.status.error.clone()),
        opened_at: now,
        resolved_at: None,
        group: None,
    }
}

async fn begin(
    connection: &mut PgConnection,
    incident: Incident,
    contacts: &[String],
) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    raise(
        &mut transaction,
        incident,
        contacts,
        &trace_context::current(),
    )
    .await?;
    transaction.commit().await?;
    Ok(())
}

async fn end(
    connection: &mut PgConnection,
    open: Incident,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    resolve(&mut transaction, open, now, &trace_context::current()).await?;
    transaction.commit().await?;
    Ok(())
}
