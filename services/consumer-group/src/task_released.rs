//! A released task takes its groups with it, and gets no other.

use chrono::Utc;
use rowcast_bus::{Bus, Outcome, consume};
use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::message::TaskStateChanged;
use rowcast_service::{BoxError, CancellationToken};

use crate::state::State;
use crate::{clearing, removal, store};

/// The durable consumer, shared by the copies of this service.
const DURABLE: &str = "consumer-group";

/// Takes changes of state until told to stop.
pub(crate) async fn run(bus: Bus, state: State, stop: CancellationToken) -> Result<(), BoxError> {
    let consuming = consume(bus, DURABLE, stop, move |event| {
        let state = state.clone();
        async move { take(&state, event).await }
    });
    Box::pin(consuming).await
}

/// Taken twice, it does nothing the second time.
async fn take(state: &State, event: TaskStateChanged) -> Result<(), Outcome> {
    if TaskState::from_name(&event.to) != Some(TaskState::Released) {
        return Ok(());
    }
    let task_id: TaskId = event
        .task_id
        .parse()
        .map_err(|error: rowcast_domain::ParseIdError| Outcome::Park(error.into()))?;
    delete_groups(state, &task_id)
        .await
        .map_err(|error| Outcome::Retry(error.into()))
}

async fn delete_groups(state: &State, task_id: &TaskId) -> Result<(), sqlx::Error> {
    // Who creates a group at the same time has the lock before, and the group is found below; or has it behind, and is told.
    let mut transaction = state.pool.begin().await?;
    store::lock_task(&mut transaction, task_id.as_str()).await?;
    store::released::note(&mut *transaction, task_id).await?;
    transaction.commit().await?;
    let groups = store::group::of_task(&state.pool, task_id).await?;
    for group in &groups {
        if removal::mark(&state.pool, group, Utc::now()).await? {
            tracing::info!(group = %group.id, task = %task_id, "group deleted with its task");
        }
    }
    clearing::cut_off(state, &groups).await;
    Ok(())
}
