//! Wishes against workers: on every change of a wish and on a timer, so that a missed message costs
//! nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::lease::Lease;
use rowcast_domain::TaskId;
use rowcast_proto::message::{CaptureState, DesiredState, TaskSpec, TaskStatus};
use rowcast_service::{BoxError, Kind, Tasks};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::metrics;
use crate::worker::{self, Platform, Wishes};

/// How often tasks that nobody works on are looked for.
const RECONCILE_EVERY: Duration = Duration::from_secs(1);

/// How long to wait before the wishes are watched again.
const WATCH_AGAIN_AFTER: Duration = Duration::from_secs(1);

struct Supervisor {
    platform: Arc<Platform>,
    tasks: Tasks,
    stop: CancellationToken,
    wishes: HashMap<TaskId, TaskSpec>,
    workers: HashMap<TaskId, Attended>,
    /// Versions of wishes that need nobody any more.
    settled: HashMap<TaskId, u64>,
}

/// A task that this process works on.
struct Attended {
    wish: watch::Sender<TaskSpec>,
    retry_minutes: watch::Sender<u32>,
}

impl Attended {
    fn is_closed(&self) -> bool {
        self.wish.is_closed()
    }
}

/// Who works on a task.
enum Taken {
    /// This process.
    ByUs(Box<Lease>),
    /// Another one.
    ByAnother,
    /// Nobody needs to: the wish is true, or waits for a decision.
    Settled,
}

/// Takes tasks and works on them until the process stops.
pub(crate) async fn run(
    platform: Arc<Platform>,
    tasks: Tasks,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    let mut supervisor = Supervisor {
        platform,
        tasks,
        stop: stop.clone(),
        wishes: HashMap::new(),
        workers: HashMap::new(),
        settled: HashMap::new(),
    };
    while !stop.is_cancelled() {
        if let Err(error) = supervisor.follow().await {
            tracing::warn!(%error, "wishes cannot be watched, trying again");
            tokio::select! {
                () = tokio::time::sleep(WATCH_AGAIN_AFTER) => {}
                () = stop.cancelled() => {}
            }
        }
    }
    Ok(())
}

impl Supervisor {
    /// Follows the wishes until the watch ends.
    async fn follow(&mut self) -> Result<(), BoxError> {
        // The watch begins with the present value of every key.
        let wishes = self.platform.wishes.clone();
        let mut changes = wishes.watch_with_history(">").await?;
        let mut timer = tokio::time::interval(RECONCILE_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                change = changes.next() => {
                    let entry = change.ok_or("the watch has ended")??;
                    if let Some(task) = self.learn(&entry) {
                        self.reconcile(&task).await;
                    }
                }
                _ = timer.tick() => {
                    let unattended: Vec<TaskId> =
                        self.wishes.keys().filter(|task| !self.is_attended(task)).cloned().collect();
                    for task in unattended {
                        self.reconcile(&task).await;
                    }
                    self.share_retry_windows();
                    let attended = self.wishes.keys().filter(|task| self.is_attended(task));
                    metrics::tasks(attended.count());
                }
            }
        }
    }

    /// Takes a wish over; gives the task whose wish is new.
    fn learn(&mut self, entry: &kv::Entry) -> Option<TaskId> {
        let Ok(task) = entry.key.parse::<TaskId>() else {
            tracing::warn!(key = entry.key, "a wish with a key that is no task");
            return None;
        };
        match entry.operation {
            kv::Operation::Delete | kv::Operation::Purge => {
                self.wishes.remove(&task);
                return None;
            }
            kv::Operation::Put => {}
        }
        match serde_json::from_slice(&entry.value) {
            Ok(wish) => {
                self.wishes.insert(task.clone(), wish);
                Some(task)
            }
            Err(error) => {
                tracing::error!(%task, %error, "a wish that cannot be read is left alone");
                None
            }
        }
    }

    fn is_attended(&self, task: &TaskId) -> bool {
        self.workers
            .get(task)
            .is_some_and(|worker| !worker.is_closed())
    }

    /// Tells the worker, or takes the task if it needs one and nobody has it.
    async fn reconcile(&mut self, task: &TaskId) {
        let Some(wish) = self.wishes.get(task).cloned() else {
            return;
        };
        if let Some(worker) = self.workers.get(task).filter(|worker| !worker.is_closed()) {
            worker.wish.send_if_modified(|known| {
                let newer = wish.generation > known.generation;
                if newer {
                    *known = wish;
                }
                newer
            });
            return;
        }
        self.workers.remove(task);
        if self.settled.get(task) == Some(&wish.generation) {
            return;
        }
        match self.take(task, &wish).await {
            Ok(Taken::ByUs(lease)) => self.attend(task, wish, *lease),
            Ok(Taken::ByAnother) => {}
            Ok(Taken::Settled) => {
                self.settled.insert(task.clone(), wish.generation);
            }
            Err(error) => tracing::warn!(%task, %error, "task not taken, trying again"),
        }
    }

    /// The shortest retry window among the tasks that run on each server.
    fn retry_windows(&self) -> HashMap<(&str, u32), u32> {
        let mut windows = HashMap::new();
        for wish in self.wishes.values() {
            if let (DesiredState::Running, Some(server)) = (wish.desired(), server(wish)) {
                let shortest = windows.entry(server).or_insert(wish.retry_minutes);
                *shortest = wish.retry_minutes.min(*shortest);
            }
        }
        windows
    }

    fn share_retry_windows(&self) {
        let windows = self.retry_windows();
        for worker in self.workers.values() {
            let minutes = retry_minutes(&worker.wish.borrow(), &windows);
            worker.retry_minutes.send_if_modified(|known| {
                let news = *known != minutes;
                *known = minutes;
                news
            });
        }
    }

    async fn take(&self, task: &TaskId, wish: &TaskSpec) -> Result<Taken, BoxError> {
        let Platform {
            statuses,
            leases,
            capture_id,
            ..
        } = &*self.platform;
        let status = statuses.get(task.as_str()).await?;
        let status: Option<TaskStatus> = status
            .map(|value| serde_json::from_slice(&value))
            .transpose()?;
        if status.is_some_and(|status| is_settled(wish, &status)) {
            return Ok(Taken::Settled);
        }
        let lease = Lease::take(leases, task.as_str(), capture_id).await?;
        Ok(lease.map_or(Taken::ByAnother, |lease| Taken::ByUs(Box::new(lease))))
    }

    fn attend(&mut self, task: &TaskId, wish: TaskSpec, lease: Lease) {
        tracing::info!(%task, generation = wish.generation, epoch = lease.epoch(), "task taken");
        let (retry_sender, retry_minutes) =
            watch::channel(retry_minutes(&wish, &self.retry_windows()));
        let (sender, wish) = watch::channel(wish);
        let attended = Attended {
            wish: sender,
            retry_minutes: retry_sender,
        };
        self.workers.insert(task.clone(), attended);
        let wishes = Wishes {
            wish,
            retry_minutes,
        };
        let (platform, stop, id) = (Arc::clone(&self.platform), self.stop.clone(), task.clone());
        // What is logged within is about the task, and told to its users.
        let span = tracing::info_span!("work", %task);
        let work = async move {
            // On the heap: the pipeline's state is large.
            Box::pin(worker::work(&platform, &id, lease, wishes, stop)).await;
            Ok(())
        };
        self.tasks.spawn(
            Kind::Optional,
            format!("task {task}"),
            work.instrument(span),
        );
    }
}

/// Host and port of the task's server.
fn server(wish: &TaskSpec) -> Option<(&str, u32)> {
    let source = wish.source.as_ref()?;
    Some((source.host.as_str(), source.port))
}

/// The shortest retry window on the task's server, its own included.
fn retry_minutes(wish: &TaskSpec, windows: &HashMap<(&str, u32), u32>) -> u32 {
    let shortest = server(wish).and_then(|server| windows.get(&server));
    shortest.map_or(wish.retry_minutes, |&shortest| {
        shortest.min(wish.retry_minutes)
    })
}

/// Whether this version of the wish needs nobody any more.
fn is_settled(wish: &TaskSpec, status: &TaskStatus) -> bool {
    let at_rest = match status.state() {
        CaptureState::Stopped | CaptureState::Suspended | CaptureState::Released => true,
        CaptureState::Unspecified
        | CaptureState::Starting
        | CaptureState::Running
        | CaptureState::Retrying => false,
    };
    at_rest && status.generation >= wish.generation
}
