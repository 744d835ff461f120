//! A start, which takes an instance that lets the task run.

use axum::http::StatusCode;
use rowcast_domain::TaskId;
use rowcast_proto::rest::InstanceState;

use super::{Step, apply, without_open_alerts};
use crate::clock;
use crate::error::ApiError;
use crate::instance_changed::{expired, written};
use crate::state::App;
use crate::store::instance_state::{self, KnownInstance};
use crate::store::task::{self, StoredTask};

/// Starts a task. `answered` is what billing has just said of its instance; where a fact of billing that came
/// meanwhile is newer, that decides.
pub(crate) async fn start(
    app: &App,
    id: &TaskId,
    step: Step,
    answered: &KnownInstance,
) -> Result<StoredTask, ApiError> {
    let mut transaction = app.pool().begin().await?;
    let locked = task::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("task", id.as_str()))?;
    // A precheck that ends takes the same lock.
    without_open_alerts(&mut transaction, &locked).await?;
    // A fact is taken with the same row locked: it is either known by now, or finds the task started.
    let known = instance_state::get(&mut transaction, id).await?;
    let newest = known
        .as_ref()
        .filter(|known| known.version > answered.version)
        .unwrap_or(answered);
    may_run(newest)?;
    // What was true before this answer must not lock the task any more.
    instance_state::note(&mut transaction, id, answered).await?;
    let task = apply(&mut transaction, locked, step, clock::now()).await?;
    transaction.commit().await?;
    app.wish_changed().notify_one();
    Ok(task)
}

/// # Errors
/// Names the expiry, and what repairs it.
fn may_run(instance: &KnownInstance) -> Result<(), ApiError> {
    let (code, detail, repair) = match instance.state {
        InstanceState::Active => return Ok(()),
        InstanceState::Expired => {
            let until = instance.release_at.map(written).unwrap_or_default();
            let repair = format!(
                "Renew it before {until}: POST /api/v1/tasks/{{id}}/renew; a task that was started goes on by itself then."
            );
            ("instance_expired", expired(instance).message, repair)
        }
        InstanceState::Ended => {
            let repair = "Create a new task and buy an instance for it.".to_owned();
            (
                "instance_ended",
                "the task's instance has ended".to_owned(),
                repair,
            )
        }
    };
    Err(ApiError::refused(StatusCode::CONFLICT, code, detail).repair(repair))
}
