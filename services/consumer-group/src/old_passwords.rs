//! Closes once more what has logged in while a password was changed.
//!
//! A login that was judged by the old password may be let in behind the closing of the connections. Once no such login can
//! be under way any more, all are closed a second time, in time for the five seconds after which nobody reads by the old
//! password.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use rowcast_service::{BoxError, CancellationToken};

use crate::state::State;
use crate::store::group::{KickDue, kick_due, kicked, not_kicked};
use crate::{connection, kick};

/// How often it is looked for what is due.
const EVERY: Duration = Duration::from_millis(500);

/// Logins whose connections are closed at a time.
const CONCURRENT: usize = 16;

/// Closes what is due until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        if let Some(Err(error)) = stop.run_until_cancelled(close(&state)).await {
            tracing::warn!(%error, "connections with an old password not closed yet");
        }
        stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
    Ok(())
}

async fn close(state: &State) -> Result<(), BoxError> {
    let due = kick_due(&state.pool).await?;
    stream::iter(due)
        .for_each_concurrent(CONCURRENT, |due| async move {
            if let Err(error) = close_of(state, &due).await {
                // The others are not held up.
                tracing::warn!(group = %due.group, task = %due.task, %error, "connections with an old password not closed yet");
            }
        })
        .await;
    Ok(())
}

async fn close_of(state: &State, due: &KickDue) -> Result<(), BoxError> {
    let login = connection::login(&due.account, &due.group);
    match kick::login(&state.system, &login).await {
        Ok(_closed) => kicked(&state.pool, due).await?,
        Err(error) => {
            not_kicked(&state.pool, due).await?;
            return Err(error);
        }
    }
    Ok(())
}
