//! Makes the own streams of groups that have a policy or a format of their own.
//!
//! ```text
//! groups table ─▶ supervisor ─▶ lease ─▶ worker ─▶ session: task's stream ─▶ own stream
//! ```
//!
//! The copies of the service share the groups: a lease says who tries, and the expected last sequence of the own stream who
//! may. A worker that was paused, and does not know that another one has taken over, is refused by the stream.

mod message;
mod text;
mod tables;
mod row;
mod change;
mod render;
mod reader;
mod begin;
mod outbox;
mod failure;
mod session;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::lease::Lease;
use rowcast_bus::{Bus, provision};
use rowcast_domain::GroupId;
use rowcast_proto::stream::{LEASES, SCHEMAS};
use rowcast_service::{BoxError, CancellationToken, Kind, Tasks};
use tracing::Instrument as _;

use crate::state::State;
use crate::store;
use crate::store::group::{Derived, Group};

/// How often groups that nobody works on are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// By how much longer a copy waits for each group that it has: so the copies come to have about as many.
const LONGER_FOR_EACH: Duration = Duration::from_millis(100);

/// The longest that it waits so.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// What all workers of this process share.
pub(crate) struct Deriving {
    state: State,
    control: Bus,
    leases: kv::Store,
    schemas: kv::Store,
    /// Names this process to the others.
    holder: String,
}

impl Deriving {
    /// Opens the buckets.
    pub(crate) async fn open(state: State, control: Bus) -> Result<Self, BoxError> {
        Ok(Self {
            leases: provision::bucket(&control, &LEASES).await?,
            schemas: provision::bucket(&control, &SCHEMAS).await?,
            holder: format!("consumer-group-{:032x}", rand::random::<u128>()),
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
}

struct Worker {
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Supervisor {
    /// Takes one more group where there is one, and leaves those that were deleted.
    async fn look(&mut self) -> Result<(), BoxError> {
        let mut wanted = store::group::open(&self.deriving.state.pool).await?;
        wanted.retain(|group| group.derived.is_some() && group.deleted_at.is_none());
        self.workers.retain(|id, worker| {
            if !wanted.iter().any(|group| group.id == *id) {
                worker.stop.cancel();
            }
            !worker.ended.is_cancelled()
        });
        wanted.retain(|group| !self.workers.contains_key(&group.id));
        for group in wanted {
            let Some(derived) = group.derived.clone() else {
                continue;
            };
            let Deriving { leases, holder, .. } = &*self.deriving;
            if let Some(lease) = Lease::take(leases, group.id.as_str(), holder).await? {
                self.attend(group, derived, lease);
                // The others are for whoever has fewer.
                return Ok(());
            }
        }
        Ok(())
    }

    fn attend(&mut self, group: Group, derived: Derived, lease: Lease) {
        tracing::info!(group = %group.id, task = %group.task_id, epoch = lease.epoch(), "group taken");
        let worker = Worker {
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
