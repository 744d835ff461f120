//! Alerts of a precheck that somebody answers for: kept, and in the task's history.

use rowcast_domain::{TaskEvent, TaskId};
use rowcast_proto::rest::{CheckItem, Ignored};

use super::{Step, record};
use crate::auth::Caller;
use crate::clock;
use crate::error::ApiError;
use crate::state::App;
use crate::store::{precheck, task};

/// Writes down who answers for these alerts, in a transaction of its own. What is ignored already stays
/// with whom it was first.
///
/// # Errors
/// Where there is no such task.
pub(crate) async fn ignore_checks(
    app: &App,
    caller: &Caller,
    id: &TaskId,
    alerts: &[&CheckItem],
    ignored: &Ignored,
) -> Result<(), ApiError> {
    let news: Vec<_> = alerts
        .iter()
        .filter(|item| item.ignored.is_none())
        .collect();
    if news.is_empty() {
        return Ok(());
    }
    let mut transaction = app.pool().begin().await?;
    let locked = task::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("task", id.as_str()))?;
    for item in &news {
        precheck::ignore(&mut transaction, id, item, ignored).await?;
    }
    precheck::note_ignored(&mut transaction, id).await?;
    let codes: Vec<&str> = news.iter().map(|item| item.code.as_str()).collect();
    let reason = format!(
        "alerts ignored by {}: {} ({})",
        ignored.by,
        codes.join(", "),
        ignored.reason
    );
    let step = Step::requested(TaskEvent::Configured, &caller.actor(), &reason);
    let mut task = locked.clone();
    task.updated_at = clock::now().max(locked.updated_at);
    task::update(&mut transaction, &task).await?;
    record(&mut transaction, &locked, &task, step).await?;
    transaction.commit().await?;
    Ok(())
}
