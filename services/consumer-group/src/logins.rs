//! The tasks that have to do with logins.

use rowcast_service::{BoxError, CancellationToken, Kind, Tasks};

use crate::callout::Callout;
use crate::state::State;
use crate::{login_record, old_passwords};

/// Spawns what judges logins, tells of them, and closes connections by a password that is not right any more.
pub(crate) async fn spawn(
    callout: Callout,
    state: &State,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> Result<(), BoxError> {
    let requests = callout.listen().await?;
    let memory = callout.memory();
    tasks.spawn(
        Kind::Essential,
        "callout",
        callout.run(requests, stop.clone()),
    );
    tasks.spawn(
        Kind::Essential,
        "record of logins",
        login_record::run(memory, state.pool.clone(), stop.clone()),
    );
    tasks.spawn(
        Kind::Essential,
        "old passwords",
        old_passwords::run(state.clone(), stop.clone()),
    );
    Ok(())
}
