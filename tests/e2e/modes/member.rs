//! A member with a runtime of its own, so that it can be killed like a process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use rowcast_client::{Error, Subscription};
use rowcast_e2e::Group;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::log::Log;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Deals with changes until it is told to leave, or is killed.
pub(super) struct Member {
    runtime: Runtime,
    work: JoinSet<()>,
    leave: oneshot::Sender<()>,
}

impl Member {
    pub(super) fn join(group: &Group, log: &Log) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let (leave, left) = oneshot::channel();
        let (group, log) = (group.clone(), log.clone());
        let mut work = JoinSet::new();
        work.spawn_on(
            async move {
                let changes = group.subscribe().await.unwrap();
                deal(changes, left, number, &log).await;
            },
            runtime.handle(),
        );
        Self {
            runtime,
            work,
            leave,
        }
    }

    /// It says that it goes.
    pub(super) fn leave(self) {
        let Self {
            runtime,
            mut work,
            leave,
        } = self;
        leave.send(()).unwrap_or_default();
        std::thread::spawn(move || {
            let left = runtime.block_on(work.join_next());
            left.transpose().unwrap();
        });
    }

    /// Nothing of it runs on, and its connection breaks.
    pub(super) fn kill(self) {
        self.runtime.shutdown_background();
    }
}

async fn deal(mut changes: Subscription, mut left: oneshot::Receiver<()>, number: u64, log: &Log) {
    loop {
        let delivery = tokio::select! {
            _told = &mut left => return changes.close().await,
            next = changes.next() => next.unwrap().unwrap(),
        };
        let row = delivery.change.after.as_ref();
        let field = |name: &str| row.and_then(|row| row.get(name)?.as_u64());
        let dealing = match (field("key"), field("version")) {
            (Some(key), Some(version)) => Some(log.begin(number, key, version)),
            // Of the transaction, or of the schema.
            _ => None,
        };
        if let Some(dealing) = &dealing {
            tokio::time::sleep(Duration::from_micros(500)).await;
            dealing.done();
        }
        match delivery.ack().await {
            Ok(()) => {
                if let Some(dealing) = &dealing {
                    dealing.acknowledged();
                }
            }
            Err(Error::NotHeld { .. } | Error::NotAcknowledged(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
