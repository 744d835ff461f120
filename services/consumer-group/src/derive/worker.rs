//! One group under its lease: its own stream is made, again and again where that fails.

use std::time::Duration;

use rowcast_bus::lease::Lease;
use rowcast_domain::Backoff;
use rowcast_proto::message::DerivationState;
use rowcast_service::{BoxError, CancellationToken};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Deriving;
use super::failure::Failure;
use super::session::{self, Ended};
use crate::store;
use crate::store::group::{Derived, Group};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A session that lasted this long begins the waits anew.
const RECOVERED_AFTER: Duration = Duration::from_secs(10);

/// How often it is looked whether there is something to read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Works on a group until told to stop, or the lease is lost.
pub(super) async fn work(
    deriving: &Deriving,
    group: &Group,
    derived: &Derived,
    lease: Lease,
    stop: CancellationToken,
) {
    let done = CancellationToken::new();
    // A task of its own, for the work on one large row takes seconds in which nothing else is polled here; it dies with
    // this future.
    let mut keeping = JoinSet::new();
    keeping.spawn(lease.keep(done.clone()).in_current_span());
    tokio::select! {
        biased;
        // Whatever runs is cut off here: another copy may begin at any moment.
        Some(lost) = keeping.join_next() => {
            if let Err(error) = kept(lost) {
                tracing::warn!(group = %group.id, task = %group.task_id, %error, "lease lost, group dropped");
            }
        }
        () = Box::pin(sessions(deriving, group, derived, &stop)) => {
            done.cancel();
            if let Some(Err(error)) = keeping.join_next().await.map(kept) {
                tracing::warn!(group = %group.id, task = %group.task_id, %error, "lease not given back, it will run out");
            }
        }
    }
}

fn kept(ended: Result<Result<(), BoxError>, JoinError>) -> Result<(), BoxError> {
    ended?
}

async fn sessions(deriving: &Deriving, group: &Group, derived: &Derived, stop: &CancellationToken) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    // Of the last session, by which what is told of its end is left out where another copy has begun one since.
    let mut number = None;
    while !stop.is_cancelled() {
        let began_at = Instant::now();
        if number.is_none() {
            number = last_session(deriving, group).await;
        }
        let run = session::run(deriving, group, derived, &mut number, stop);
        let wait = match Box::pin(run).await {
            Ok(Ended::Stopped) => return,
            Ok(Ended::NothingToRead) => LOOK_EVERY,
            Err(failure) => {
                if began_at.elapsed() >= RECOVERED_AFTER {
                    backoff.reset();
                }
                number = tell(deriving, group, number, &failure).await;
                match failure {
                    Failure::Retry(_) => backoff.next_wait(),
                    Failure::Stop(_) => LONGEST_WAIT,
                }
            }
        };
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

/// The number of the last session; `None` where the database does not say.
async fn last_session(deriving: &Deriving, group: &Group) -> Option<i64> {
    let known = store::derivation::session(&deriving.state.pool, &group.id).await;
    known
        .inspect_err(|error| {
            tracing::warn!(group = %group.id, task = %group.task_id, %error, "it is not known which session was the last");
        })
        .ok()
}

/// Says why the session of this number has failed, or what came behind it; gives the number where it is still the last.
async fn tell(
    deriving: &Deriving,
    group: &Group,
    number: Option<i64>,
    failure: &Failure,
) -> Option<i64> {
    tracing::warn!(group = %group.id, task = %group.task_id, error = %failure, "own stream is not made");
    let state = match failure {
        Failure::Stop(_) => DerivationState::Stopped,
        Failure::Retry(_) => DerivationState::Retrying,
    };
    let (pool, reason) = (&deriving.state.pool, failure.to_string());
    // Without the database it could not be written down either.
    let number = number?;
    match store::derivation::tell(pool, &group.id, number, state, &reason).await {
        Ok(true) => Some(number),
        Ok(false) => {
            tracing::warn!(group = %group.id, task = %group.task_id, "another copy has begun a session since, what it says stays");
            None
        }
        Err(error) => {
            tracing::warn!(group = %group.id, task = %group.task_id, %error, "why the own stream is not made cannot be written down");
            Some(number)
        }
    }
}
