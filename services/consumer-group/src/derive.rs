//! Makes the own streams of groups that have a policy or a format of their own.
//!
//! ```text
//! groups table ─▶ supervisor ─▶ lease ─▶ worker ─▶ session: task's stream ─▶ own stream
//! ```
//!
//! The copies of the service share the groups: a lease says who tries, and the expected last sequence of the own stream who
//! may. A worker that was paused, and does not know that another one has taken over, is refused by the stream.

mod message;
mod format;
mod text;
mod kind;
mod tables;
mod row;
mod change;
mod render;
mod large;
mod reader;
mod begin;
mod outbox;
mod failure;
mod session;
mod worker;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::lease::Lease;
use rowcast_bus::{Bus, provision};
use rowcast_domain::GroupId;
use rowcast_proto::stream::{GROUP_PARKED, LEASES, SCHEMAS};
use rowcast_service::{BoxError, CancellationToken, Kind, Tasks};
use tracing::Instrument as _;

use crate::state::State;
use crate::store;
use crate::store::group::{Derived, Group};

/// How often groups that nobody works on are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// By how much longer a copy waits for each group that it has: whoever has fewer is asked first.
const LONGER_FOR_EACH: Duration = Duration::from_millis(100);

/// The longest that it waits so.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// What the names of copies begin with. Each copy keeps a lease of its own name, by which the others count.
const COPY: &str = "consumer-group-";

/// What all workers of this process share.
pub(crate) struct Deriving {
    state: State,
    control: Bus,
    leases: kv::Store,
    schemas: kv::Store,
    /// Names this process to the others.
    holder: String,
    /// Memory for large changes, of all groups.
    room: large::Room,
}

impl Deriving {
    /// Opens the buckets, and the stream in which is parked.
    pub(crate) async fn open(state: State, control: Bus) -> Result<Self, BoxError> {
        provision::stream(&control, &GROUP_PARKED).await?;
        Ok(Self {
            leases: provision::bucket(&control, &LEASES).await?,
            schemas: provision::bucket(&control, &SCHEMAS).await?,
            holder: format!("{COPY}{:032x}", rand::random::<u128>()),
            room: large::Room::default(),
            state,
            control,
        })
    }
}

/// Takes groups and works on them until told to stop.
pub(crate) async fn run(
    deriving: Deriving,
    tasks: Tasks,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    let mut supervisor = Supervisor {
        deriving: Arc::new(deriving),
        tasks,
        stop: stop.clone(),
        workers: HashMap::new(),
        presence: None,
        free: HashSet::new(),
    };
    while !stop.is_cancelled() {
        if let Some(Err(error)) = stop.run_until_cancelled(supervisor.look()).await {
            tracing::warn!(%error, "groups with own streams not looked at, trying again");
        }
        let held = u32::try_from(supervisor.workers.len()).unwrap_or(u32::MAX);
        let wait = LOOK_EVERY + LONGER_FOR_EACH.saturating_mul(held);
        stop.run_until_cancelled(tokio::time::sleep(wait.min(LONGEST_LOOK)))
            .await;
    }
    Ok(())
}

struct Supervisor {
    deriving: Arc<Deriving>,
    tasks: Tasks,
    stop: CancellationToken,
    /// Cancelled where the group is no longer wanted; closed where its worker has ended.
    workers: HashMap<GroupId, Worker>,
    /// Tells the others of this copy; ends where they may take it for gone.
    presence: Option<CancellationToken>,
    /// Groups that nobody worked on when they were looked at last.
    free: HashSet<GroupId>,
}

struct Worker {
    /// Under which policy it has begun.
    policy: u64,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Supervisor {
    /// Takes groups that nobody works on, as many as are for this copy, leaves one where it has more, and those that were
    /// deleted, or have another policy by now.
    async fn look(&mut self) -> Result<(), BoxError> {
        if self.appear().await? {
            // What others do that have begun just now is seen next time.
            return Ok(());
        }
        let mut wanted = store::group::wanted(&self.deriving.state.pool).await?;
        wanted.retain(|group| group.derived.is_some());
        self.workers.retain(|id, worker| {
            let group = wanted.iter().find(|group| group.id == *id);
            let derived = group.and_then(|group| group.derived.as_ref());
            if derived.is_none_or(|derived| derived.version != worker.policy) {
                worker.stop.cancel();
            }
            !worker.ended.is_cancelled()
        });
        let held = self.deriving.held().await?;
        let copies = held.iter().filter(|key| key.starts_with(COPY)).count();
        let (fair, has) = (wanted.len().div_ceil(copies.max(1)), self.workers.len());
        wanted.retain(|group| {
            !self.workers.contains_key(&group.id) && !held.contains(group.id.as_str())
        });
        // Not while others leave something free: what is left would come back.
        if has > fair
            && wanted.is_empty()
            && let Some(worker) = self.workers.values().next()
        {
            worker.stop.cancel();
        }
        let free = wanted.iter().map(|group| group.id.clone()).collect();
        let before = std::mem::replace(&mut self.free, free);
        let mut more = fair.saturating_sub(has);
        // Whoever is counted may be unable to take its own: what stays free goes to anybody.
        wanted.sort_by_key(|group| !before.contains(&group.id));
        if more == 0
            && wanted
                .first()
                .is_some_and(|group| before.contains(&group.id))
        {
            more = 1;
        }
        for group in wanted.into_iter().take(more) {
            let Some(derived) = group.derived.clone() else {
                continue;
            };
            let Deriving { leases, holder, .. } = &*self.deriving;
            if let Some(lease) = Lease::take(leases, group.id.as_str(), holder).await? {
                self.attend(group, derived, lease);
            }
        }
        Ok(())
    }

    /// Lets the others count this copy; whether they could not before.
    async fn appear(&mut self) -> Result<bool, BoxError> {
        if self
            .presence
            .as_ref()
            .is_some_and(|kept| !kept.is_cancelled())
        {
            return Ok(false);
        }
        let Deriving { leases, holder, .. } = &*self.deriving;
        // What it left when it was cut off lasts for some seconds.
        let Some(lease) = Lease::take(leases, holder, holder).await? else {
            return Ok(false);
        };
        let kept = CancellationToken::new();
        let (ended, stop) = (kept.clone().drop_guard(), self.stop.clone());
        let presence = async move {
            if let Err(error) = lease.keep(stop).await {
                tracing::warn!(%error, "the other copies do not count this one for now");
            }
            drop(ended);
            Ok(())
        };
        self.tasks
            .spawn(Kind::Optional, "presence of this copy", presence);
        self.presence = Some(kept);
        Ok(true)
    }

    fn attend(&mut self, group: Group, derived: Derived, lease: Lease) {
        tracing::info!(group = %group.id, task = %group.task_id, epoch = lease.epoch(), "group taken");
        let worker = Worker {
            policy: derived.version,
            stop: self.stop.child_token(),
            ended: CancellationToken::new(),
        };
        let (stop, ended) = (worker.stop.clone(), worker.ended.clone().drop_guard());
        let id = group.id.clone();
        let span = tracing::info_span!("derive", group = %id, task = %group.task_id);
        let deriving = Arc::clone(&self.deriving);
        let work = async move {
            Box::pin(worker::work(&deriving, &group, &derived, lease, stop)).await;
            // Also where it panics.
            drop(ended);
            Ok(())
        };
        let name = format!("own stream of group {id}");
        self.tasks
            .spawn(Kind::Optional, name, work.instrument(span));
        self.workers.insert(id, worker);
    }
}

impl Deriving {
    /// The keys of all leases that somebody holds.
    async fn held(&self) -> Result<HashSet<String>, BoxError> {
        let keys = self.leases.keys().await?;
        Ok(keys.try_collect().await?)
    }
}
